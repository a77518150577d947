"""A kzproxy that signs people in itself, with an identity provider, and users at their shells."""

import asyncio
import os
import shlex
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from kzproxy.clock.system import SystemClock
from kzproxy.demo.identity_provider import IdentityProvider, running_identity_provider
from kzproxy.demo.idp_clients import Client
from kzproxy.demo.idp_settings import IdentityProviderSettings, SigningAlgorithm
from tests.proxy.process import ProxyProcess, free_ports, running_proxy
from tests.servers.authority import Authority
from tests.servers.scripted_api_server import ScriptedApiServer, scripted_api_server

BROWSER = Path(__file__).with_name("browser_script.py")
SECRET = "the demo provider's secret for kzproxy"
PREFIX = "idp:"


@dataclass
class SessionWorld:
    """A kzproxy's surroundings where it keeps sessions.

    Attributes:
        sign_in_url: ``signIn.url``.
    """

    directory: Path
    authority: Authority
    idp: IdentityProvider
    proxy: ProxyProcess
    sign_in_url: str

    def user(self, name: str, place: Path) -> "User":
        """Return one of the demo provider's people at a machine of theirs."""
        return User(world=self, name=name, directory=place)


@dataclass
class User:
    """Somebody at a shell with a kubeconfig and a cache of their own."""

    world: SessionWorld
    name: str
    directory: Path

    def set_up(self) -> "User":
        """Write the kubeconfig, as users do."""
        words = [sys.executable, BROWSER, "--user", self.name, "--ca", self._ca]
        done = self.runs(
            "kubeconfig",
            f"--server=https://localhost:{self.world.proxy.port}",
            f"--server-ca={self._ca}",
            f"--sign-in-url={self.world.sign_in_url}",
            f"--issuer-ca={self._ca}",
            f"--browser-command={shlex.join(str(word) for word in words)}",
            "--flow=browser",
        )
        assert done.returncode == 0, done.stderr
        return self

    def runs(self, *arguments: str, **environ: str) -> "subprocess.CompletedProcess[str]":
        """Run ``kzproxy`` with some arguments."""
        return subprocess.run(
            [sys.executable, "-m", "kzproxy", *arguments],
            env=os.environ
            | {
                "KUBECONFIG": str(self.directory / "config"),
                "KZPROXY_CACHE_DIR": str(self.directory / "cache"),
                "HOME": str(self.directory),
                "TZ": "UTC",
            }
            | environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    @property
    def _ca(self) -> Path:
        return self.world.directory / "ca.crt"


@contextmanager
def session_world(
    directory: Path, rules: list[dict[str, Any]], devices: dict[str, Any] | None = None
) -> Iterator[tuple[SessionWorld, ScriptedApiServer]]:
    """Run all of it until the block ends; ``devices`` adds to that section."""
    authority = Authority.root()
    (directory / "ca.crt").write_bytes(authority.pem)
    authority.server("localhost", "127.0.0.1").write_to(directory, "tls")
    authority.issued.write_to(directory, "device-ca")
    made = subprocess.check_output([sys.executable, "-m", "kzproxy", "store", "new-key"])
    (directory / "store.keys").write_bytes(made)
    (directory / "idp.secret").write_text(SECRET)
    (port,) = free_ports(1)
    url = f"https://localhost:{port}"
    with (
        _idp_in_thread(directory, url) as idp,
        scripted_api_server(directory, authority) as api_server,
    ):
        (directory / "authentication.yaml").write_text(
            yaml.safe_dump(_authentication(idp.issuer, authority))
        )
        (directory / "policy.yaml").write_text(
            yaml.safe_dump(
                {
                    "apiVersion": "kzproxy.dev/v1",
                    "kind": "AccessPolicy",
                    "metadata": {"name": "tests"},
                    "rules": rules,
                }
            )
        )
        settings = _configuration(api_server.upstream(), idp.issuer, url, port, devices or {})
        with running_proxy(directory, settings) as proxy:
            yield SessionWorld(directory, authority, idp, proxy, url), api_server


def _configuration(
    upstream: dict[str, object], issuer: str, url: str, port: int, devices: dict[str, Any]
) -> dict[str, Any]:
    return {
        "apiVersion": "kzproxy.dev/v1",
        "kind": "ProxyConfiguration",
        "listen": {"certificateFile": "tls.crt", "privateKeyFile": "tls.key"},
        "devices": {
            "certificateAuthorityFile": "ca.crt",
            "issuing": {"certificateFile": "ca.crt", "privateKeyFile": "device-ca.key"},
        }
        | devices,
        "store": {"file": "kept.db", "keysFile": "store.keys"},
        "signIn": {
            "address": f"127.0.0.1:{port}",
            "url": url,
            "providers": [
                {
                    "issuer": issuer,
                    "clientID": "kzproxy-server",
                    "clientSecretFile": "idp.secret",
                    "certificateAuthorityFile": "ca.crt",
                }
            ],
        },
        "upstream": upstream,
        "authenticationFile": "authentication.yaml",
        "policyFiles": ["policy.yaml"],
        "decisionLog": {"file": "decisions.jsonl"},
        "drainTimeoutSeconds": 5,
    }


def _authentication(issuer: str, authority: Authority) -> dict[str, Any]:
    return {
        "apiVersion": "apiserver.config.k8s.io/v1",
        "kind": "AuthenticationConfiguration",
        "jwt": [
            {
                "issuer": {
                    "url": issuer,
                    "audiences": ["kzproxy"],
                    "certificateAuthority": authority.pem.decode(),
                },
                "claimMappings": {
                    "username": {"claim": "preferred_username", "prefix": PREFIX},
                    "groups": {"claim": "groups", "prefix": PREFIX},
                },
            }
        ],
    }


@contextmanager
def _idp_in_thread(directory: Path, sign_in_url: str) -> Iterator[IdentityProvider]:
    """Serve the demo's provider beside a test that does not run on an event loop."""
    client = Client(
        client_id="kzproxy-server",
        name="kzproxy",
        redirect_uris=(f"{sign_in_url}/callback",),
        secret=SECRET,
    )
    settings = IdentityProviderSettings(
        algorithm=SigningAlgorithm.ES256, confidential_clients=(client,)
    )
    loop, ended, ready = asyncio.new_event_loop(), asyncio.Event(), threading.Event()
    served: list[IdentityProvider] = []

    async def serve() -> None:
        async with running_identity_provider(
            settings,
            SystemClock(),
            certificate_file=directory / "tls.crt",
            private_key_file=directory / "tls.key",
        ) as idp:
            served.append(idp)
            ready.set()
            await ended.wait()

    def run() -> None:
        asyncio.set_event_loop(loop)
        try:
            loop.run_until_complete(serve())
        finally:
            ready.set()
            loop.close()

    thread = threading.Thread(target=run, name="idp")
    thread.start()
    ready.wait(30)
    try:
        yield served[0]
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join(30)
