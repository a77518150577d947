"""A user who is signed in, at a shell with kzproxy's commands."""

import os
import subprocess
import sys
import time
from pathlib import Path

from kzproxy.client.kubeconfig import ProxyContext
from kzproxy.client.plugin_arguments import to_arguments
from kzproxy.client.plugin_settings import IssuerClient, PluginSettings, Prompting
from kzproxy.client.token_cache import CacheEntry, TokenCache, cache_key
from tests.proxy.world import World


class Shell:
    """Holds a kubeconfig for the world's kzproxy, and a token as if its user had signed in."""

    def __init__(self, world: World, directory: Path, token: str) -> None:
        settings = PluginSettings(
            client=IssuerClient(issuer=world.issuer.url, client_id="kubectl"),
            prompting=Prompting(),
            server=f"https://localhost:{world.proxy.port}",
        )
        self.directory = directory
        context = ProxyContext(
            name="kz",
            settings=settings,
            server_ca="",
            namespace="",
            command=(sys.executable, "-m", "kzproxy"),
        )
        document = context.document(current=True)
        cluster = context.entries()["clusters"] | {"certificate-authority": "ca.crt"}
        document.put("clusters", "kz", cluster)
        (directory / "ca.crt").write_bytes(world.authority.pem)
        (directory / "config").write_text(document.text())
        cache = TokenCache(str(directory / "cache"))
        cache.prepare()
        later = int(time.time()) + 3000
        entry = CacheEntry(
            arguments=tuple(to_arguments(settings)),
            id_token=token,
            refresh_token="",
            expires_at=later,
            refresh_at=later,
        )
        cache.write(cache_key(settings.client, settings.server), entry)

    def runs(self, *arguments: str, **more: str) -> "subprocess.CompletedProcess[str]":
        """Run ``kzproxy`` with some arguments, and more in its environment."""
        environ = os.environ | {
            "KUBECONFIG": str(self.directory / "config"),
            "KZPROXY_CACHE_DIR": str(self.directory / "cache"),
            "TZ": "UTC",
            **more,
        }
        return subprocess.run(
            [sys.executable, "-m", "kzproxy", *arguments],
            env=environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
