"""A kzproxy that signs people in itself and keeps their sessions, with a foreign provider."""

import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.cluster.kubectl import Kubectl
from tests.proxy.issuer_thread import issuer_in_thread
from tests.proxy.process import free_ports, running_proxy
from tests.proxy.world import PREFIX, World, configuration
from tests.servers.authority import Authority
from tests.servers.foreign_idp.process import (
    CONFIDENTIAL_CLIENT_ID,
    CONFIDENTIAL_CLIENT_SECRET,
    ForeignIdp,
    running_foreign_idp,
)

USERS: Mapping[str, Mapping[str, object]] = {
    "alice": {"groups": ["testers"], "email": "alice@example.test"},
    "bob": {"groups": ["readers"], "email": "bob@example.test"},
}
ROOT = Path(__file__).parents[2]


@dataclass
class SessionWorld:
    """The kzproxy and what is around it.

    Attributes:
        world: Its surroundings, with an issuer whose tokens it takes as they are.
        idp: Where it sends people to sign in.
        url: Its sign-in.
    """

    world: World
    idp: ForeignIdp
    url: str

    def member(self, home: Path, *arguments: str) -> "Member":
        """Return somebody with a kubeconfig that ``kzproxy kubeconfig`` wrote."""
        member = Member(self, home)
        done = member.runs(
            *("kubeconfig", "--context=kz", f"--output={home / 'config'}"),
            f"--server=https://localhost:{self.world.proxy.port}",
            f"--server-ca={self.world.authority_file}",
            f"--sign-in-url={self.url}",
            *arguments,
        )
        assert done.returncode == 0, done.stderr
        return member


@dataclass
class Member:
    """Somebody at a shell with kubectl and kzproxy."""

    around: SessionWorld
    home: Path

    def kubectl(self, program: Path, namespace: str = "") -> Kubectl:
        return Kubectl(
            program=program,
            kubeconfig=self.home / "config",
            home=self.home,
            namespace=namespace,
            extra={"KZPROXY_CACHE_DIR": str(self.cache)},
        )

    @property
    def cache(self) -> Path:
        return self.home / "sign-ins"

    @property
    def environ(self) -> dict[str, str]:
        return {
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "HOME": str(self.home),
            "KUBECONFIG": str(self.home / "config"),
            "KZPROXY_CACHE_DIR": str(self.cache),
        }

    def starts(self, *arguments: str) -> "subprocess.Popen[str]":
        """Start ``kzproxy ...`` with pipes for all three streams."""
        return subprocess.Popen(
            [sys.executable, "-m", "kzproxy", *arguments],
            cwd=ROOT,
            env=self.environ,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def runs(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run ``kzproxy ...`` to its end."""
        return subprocess.run(
            [sys.executable, "-m", "kzproxy", *arguments],
            cwd=ROOT,
            env=self.environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )


@contextmanager
def session_world(
    directory: Path, upstream: dict[str, Any], **sections: Any
) -> Iterator[SessionWorld]:
    """Run one; ``sections`` are put into its configuration as they are."""
    authority, clients = Authority.root(), Authority.root("clients' authority")
    [port] = free_ports(1)
    url = f"https://localhost:{port}"
    certificate, key = authority.server("localhost").write_to(directory, "foreign-idp")
    with issuer_in_thread(directory, authority) as issuer:
        settings = configuration(directory, authority, issuer, upstream)
        clients.issued.write_to(directory, "clients")
        (directory / "clients.crt").write_bytes(clients.pem)
        (directory / "devices.crt").write_bytes(authority.pem + clients.pem)
        (directory / "idp.secret").write_text(CONFIDENTIAL_CLIENT_SECRET)
        made = subprocess.run(
            [sys.executable, "-m", "kzproxy", "store", "new-key"], capture_output=True, check=True
        )
        (directory / "store.keys").write_bytes(made.stdout)
        with running_foreign_idp(
            directory,
            certificate_file=certificate,
            private_key_file=key,
            ca_file=directory / "ca.crt",
            users=USERS,
            redirect_uris=[f"{url}/callback"],
        ) as idp:
            _trust(directory, idp)
            settings |= {
                "store": {"file": "kept.db", "keysFile": "store.keys"},
                "devices": {
                    "certificateAuthorityFile": "devices.crt",
                    "issuing": {"certificateFile": "clients.crt", "privateKeyFile": "clients.key"},
                },
                "signIn": {
                    "address": f"127.0.0.1:{port}",
                    "url": url,
                    "providers": [
                        {
                            "issuer": idp.issuer,
                            "clientID": CONFIDENTIAL_CLIENT_ID,
                            "clientSecretFile": "idp.secret",
                            "certificateAuthorityFile": "ca.crt",
                        }
                    ],
                },
                **sections,
            }
            with running_proxy(directory, settings) as proxy:
                yield SessionWorld(World(directory, authority, issuer, proxy), idp, url)


def _trust(directory: Path, idp: ForeignIdp) -> None:
    """Add the provider to kzproxy's AuthenticationConfiguration, which has the claim mappings."""
    file = directory / "authentication.yaml"
    document = yaml.safe_load(file.read_text())
    document["jwt"].append(
        {
            "issuer": {
                "url": idp.issuer,
                "audiences": [CONFIDENTIAL_CLIENT_ID],
                "certificateAuthority": idp.ca_file.read_text(),
            },
            "claimMappings": {
                "username": {"claim": "sub", "prefix": PREFIX},
                "groups": {"claim": "groups", "prefix": PREFIX},
            },
        }
    )
    file.write_text(yaml.safe_dump(document))
