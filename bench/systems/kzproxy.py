"""kzproxy with everything on."""

import json
import shutil
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from bench.load import Door
from bench.policy import PREFIX
from bench.systems.system import System
from bench.world import AUDIENCE, World


class Kzproxy(System):
    """kzproxy with everything on, as ``kzproxy serve`` runs it."""

    name = "kzproxy"
    impersonates = True

    @property
    def door(self) -> Door:
        """Tokens and device certificates; the upstream must see who asked."""
        return Door(
            address=f"127.0.0.1:{self.port}",
            authority=self.site.world.authority,
            certificates=True,
            check_user=True,
        )

    @property
    def door_with_devices(self) -> Door:
        """The same: it has no other."""
        return self.door

    @property
    def door_without_devices(self) -> Door:
        """The same listener; the policy lets those who show no certificate do very little."""
        return replace(self.door, certificates=False)

    @property
    def decision_logs(self) -> Sequence[Path]:
        """One a worker."""
        return sorted(self.site.directory.glob("decisions*.jsonl"))

    def command(self) -> list[str]:
        """Write its files; return what starts it."""
        world, directory = self.site.world, self.site.directory
        self._write("authentication.yaml", authentication(world))
        shutil.copy(world.directory / "policy.yaml", directory)
        self._write(
            "kzproxy.yaml",
            {
                "apiVersion": "kzproxy.dev/v1",
                "kind": "ProxyConfiguration",
                "listen": {
                    "address": f"127.0.0.1:{self.port}",
                    "certificateFile": str(world.directory / "proxy.crt"),
                    "privateKeyFile": str(world.directory / "proxy.key"),
                },
                "devices": {"certificateAuthorityFile": str(world.directory / "device-ca.crt")},
                "ops": {"address": f"127.0.0.1:{self._second_port}"},
                "upstream": {
                    "server": {
                        "url": f"https://{self.site.upstream.address}",
                        "certificateAuthorityFile": str(self.site.upstream.authority),
                        "tokenFile": str(self.site.upstream.token_file),
                    }
                },
                "authenticationFile": "authentication.yaml",
                "policyFiles": ["policy.yaml"],
                "decisionLog": {"file": "decisions.jsonl"},
                "drainTimeoutSeconds": 5,
            },
        )
        file = str(directory / "kzproxy.yaml")
        return [sys.executable, "-m", "kzproxy", "serve", "--config", file]

    def _write(self, name: str, document: object) -> None:
        (self.site.directory / name).write_text(json.dumps(document, indent=1))


def authentication(world: World) -> dict[str, object]:
    """Return the AuthenticationConfiguration for the issuer of ``world``."""
    return {
        "apiVersion": "apiserver.config.k8s.io/v1",
        "kind": "AuthenticationConfiguration",
        "jwt": [
            {
                "issuer": {
                    "url": world.issuer_url,
                    "audiences": [AUDIENCE],
                    "certificateAuthority": world.authority.read_text(),
                },
                "claimMappings": {
                    "username": {"claim": "sub", "prefix": PREFIX},
                    "groups": {"claim": "groups", "prefix": PREFIX},
                    "uid": {"claim": "uid"},
                },
            }
        ],
    }
