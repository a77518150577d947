"""One of the demo provider's people at a shell, who signs in at kzproxy by a script's hand."""

import os
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.proxy.sign_in_world import SignInWorld

BROWSER = Path(__file__).with_name("browser_script.py")


@dataclass
class DemoShell:
    """Holds a kubeconfig and a cache of their own; ``set_up`` makes them."""

    world: SignInWorld
    user: str
    directory: Path

    def set_up(self) -> "DemoShell":
        """Write the kubeconfig, as users do."""
        self.directory.mkdir(exist_ok=True)
        words = [sys.executable, BROWSER, "--user", self.user, "--ca", self.world.ca_file]
        done = self.runs(
            "kubeconfig",
            f"--server=https://localhost:{self.world.proxy.port}",
            f"--server-ca={self.world.ca_file}",
            f"--sign-in-url={self.world.url}",
            f"--issuer-ca={self.world.ca_file}",
            f"--browser-command={shlex.join(str(word) for word in words)}",
            "--flow=browser",
        )
        assert done.returncode == 0, done.stderr
        return self

    def runs(self, *arguments: str, **environ: str) -> "subprocess.CompletedProcess[str]":
        """Run ``kzproxy`` with some arguments."""
        own = {
            "KUBECONFIG": str(self.directory / "config"),
            "KZPROXY_CACHE_DIR": str(self.directory / "cache"),
            "HOME": str(self.directory),
            "TZ": "UTC",
        }
        return subprocess.run(
            [sys.executable, "-m", "kzproxy", *arguments],
            env=os.environ | own | environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
