"""The systems that are measured, each started in the same way: kzproxy, and what it is beside."""

import json
import shutil
import sys
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.load import Door
from bench.policy import PREFIX
from bench.process import Process
from bench.upstreams import Upstream
from bench.world import AUDIENCE, SERVER_NAME, World
from kzproxy.demo.loopback_ports import free_ports

_NGINX_CONF = Path(__file__).with_name("nginx.conf")


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """Where a system is put: its surroundings, its upstream and a new directory of its own."""

    world: World
    upstream: Upstream
    directory: Path


class System(ABC):
    """One system in one place; it is started once."""

    name: str
    #: Whether its upstream requests carry an audit id and impersonate.
    impersonates = False

    def __init__(self, site: Site) -> None:
        self.site = site
        self.log = site.directory / f"{self.name}.log"
        self.port, self._second_port = free_ports(2)
        site.directory.mkdir(parents=True)

    @property
    def door(self) -> Door:
        """How it is entered."""
        return Door(address=f"127.0.0.1:{self.port}", authority=self.site.world.authority)

    @property
    def doors_for_connections(self) -> dict[str, Door]:
        """Further doors, by a name, at which new connections are measured."""
        return {}

    @abstractmethod
    def command(self) -> list[str]:
        """Write its files; return what starts it."""

    def start(self, prefix: Sequence[str] = ()) -> Process:
        """Start it behind ``prefix``, such as taskset; it may not be ready yet."""
        return Process([*prefix, *self.command()], self.log)


class Nginx(System):
    """nginx: no authentication, no authorization; static headers; a buffered access log."""

    name = "nginx"
    impersonates = True

    def __init__(self, site: Site, program: str) -> None:
        super().__init__(site)
        self._program = program

    @property
    def doors_for_connections(self) -> dict[str, Door]:
        """The door that asks for device certificates."""
        address = f"127.0.0.1:{self._second_port}"
        authority = self.site.world.authority
        return {"with device": Door(address=address, authority=authority, certificates=True)}

    def command(self) -> list[str]:
        """Write its files; return what starts it."""
        world, directory = self.site.world, self.site.directory
        values = {
            "DIRECTORY": directory,
            "PROXY_CERTIFICATE": world.directory / "proxy.crt",
            "PROXY_KEY": world.directory / "proxy.key",
            "DEVICE_AUTHORITY": world.directory / "device-ca.crt",
            "AUTHORITY": self.site.upstream.authority,
            "UPSTREAM": self.site.upstream.address,
            "UPSTREAM_NAME": SERVER_NAME,
            "TOKEN": self.site.upstream.token_file.read_text().strip(),
            "PORT": self.port,
            "PORT_WITH_DEVICES": self._second_port,
        }
        text = _NGINX_CONF.read_text()
        for name, value in values.items():
            text = text.replace(f"@{name}@", str(value))
        file = directory / "nginx.conf"
        file.write_text(text)
        return [self._program, "-p", str(directory), "-c", str(file), "-e", "stderr"]


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
    def decision_log(self) -> Path:
        """The records of this start."""
        return self.site.directory / "decisions.jsonl"

    def command(self) -> list[str]:
        """Write its files; return what starts it."""
        world, directory = self.site.world, self.site.directory
        self._write("authentication.yaml", _authentication(world))
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
                "decisionLog": {"file": self.decision_log.name},
                "drainTimeoutSeconds": 5,
            },
        )
        file = str(directory / "kzproxy.yaml")
        return [sys.executable, "-m", "kzproxy", "serve", "--config", file]

    def _write(self, name: str, document: object) -> None:
        (self.site.directory / name).write_text(json.dumps(document, indent=1))


def _authentication(world: World) -> dict[str, object]:
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
