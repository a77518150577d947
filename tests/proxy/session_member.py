"""Somebody with kzproxy's own client, kubectl, and a browser, at a kzproxy that keeps sessions."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import yaml

from tests.client.chromium import UrlPipe
from tests.cluster.kubectl import Kubectl
from tests.proxy.sign_in_world import SignInWorld

ROOT = Path(__file__).parents[2]
PATIENCE_SECONDS = 60


@dataclass
class Member:
    """Their home directory, with a kubeconfig that ``kzproxy kubeconfig`` wrote."""

    world: SignInWorld
    home: Path
    pipe: UrlPipe

    @classmethod
    def of(cls, world: SignInWorld, home: Path, *arguments: str) -> "Member":
        member = cls(world, home, UrlPipe(home))
        done = member.runs(
            *("kubeconfig", "--context=kz", f"--output={home / 'config'}"),
            f"--server=https://localhost:{world.proxy.port}",
            f"--server-ca={world.ca_file}",
            f"--sign-in-url={world.url}",
            f"--browser-command={member.pipe.command}",
            *arguments,
        )
        assert done.returncode == 0, done.stderr
        return member

    @property
    def cache(self) -> Path:
        return self.home / "sign-ins"

    @property
    def entry_file(self) -> Path:
        [file] = self.cache.glob("*.json")
        return file

    @property
    def environ(self) -> dict[str, str]:
        return {
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "HOME": str(self.home),
            "KUBECONFIG": str(self.home / "config"),
            "KZPROXY_CACHE_DIR": str(self.cache),
        }

    def kubectl(self, program: Path, namespace: str = "") -> Kubectl:
        return Kubectl(
            program=program,
            kubeconfig=self.home / "config",
            home=self.home,
            namespace=namespace,
            extra={"KZPROXY_CACHE_DIR": str(self.cache)},
        )

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
            timeout=PATIENCE_SECONDS,
            check=False,
        )

    def browses(self, user: str = "operator") -> None:
        """Be the browser that the plugin has opened: sign in, and come back to the plugin."""
        with self.world.browser() as browser:
            end = browser.walk(self.pipe.url(), user)
            assert isinstance(end, str), end.text
            assert "You are signed in" in browser.get(end).text

    def signs_in(self, *arguments: str, user: str = "operator") -> str:
        """Run ``kzproxy login`` and sign in; return what it said."""
        process = self.starts("login", *arguments)
        self.browses(user)
        _, err = process.communicate(timeout=PATIENCE_SECONDS)
        assert process.returncode == 0, err
        return err

    def leave(self) -> None:
        """From here on nobody answers what the plugin asks in a browser."""
        config = self.home / "config"
        document = yaml.safe_load(config.read_text())
        [entry] = document["users"]
        arguments = entry["user"]["exec"]["args"]
        kept = [one for one in arguments if not one.startswith("--browser-command=")]
        entry["user"]["exec"]["args"] = [*kept, "--browser-command=true", "--timeout=1"]
        config.write_text(yaml.safe_dump(document))
