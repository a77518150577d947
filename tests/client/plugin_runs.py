"""Runs ``kzproxy credential`` as kubectl does: a process of its own, with a cache of its own."""

import json
import shlex
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from tests.servers.foreign_idp.process import CLIENT_ID, ForeignIdp

ROOT = Path(__file__).parents[2]
PAGE_AGENT = ROOT / "tests" / "servers" / "foreign_idp" / "page_agent.py"
SERVER = "https://kzproxy.example.test:8443"
NEVER_COMES_BACK = "true"

KUBECTL_SAYS = {
    "apiVersion": "client.authentication.k8s.io/v1",
    "kind": "ExecCredential",
    "spec": {"interactive": False, "cluster": {"server": SERVER}},
}


@dataclass(kw_only=True)
class Plugin:
    """One user's plugin, signing in at the foreign provider without looking at its pages.

    Attributes:
        directory: Holds the cache, the home and the log of opened tabs.
        arguments: On top of issuer, client and browser.
    """

    idp: ForeignIdp
    directory: Path
    user: str = "alice"
    client_id: str = CLIENT_ID
    ca_file: Path | None = None
    cache_directory: Path | None = None
    arguments: tuple[str, ...] = ()
    exec_info: object = field(default_factory=lambda: KUBECTL_SAYS)

    @property
    def browser_command(self) -> str:
        words = [sys.executable, PAGE_AGENT, "--user", self.user, "--ca", self.idp.ca_file]
        return shlex.join(str(word) for word in [*words, "--log", self._tabs])

    @property
    def issuer_arguments(self) -> list[str]:
        return [
            f"--issuer={self.idp.issuer}",
            f"--client-id={self.client_id}",
            f"--issuer-ca={self.ca_file or self.idp.ca_file}",
        ]

    def command(self, *more: str) -> list[str]:
        arguments = [*self.issuer_arguments, *self.arguments, *more]
        if not any(argument.startswith("--browser-command=") for argument in arguments):
            arguments.append(f"--browser-command={self.browser_command}")
        return [sys.executable, "-m", "kzproxy", "credential", *arguments]

    @property
    def environ(self) -> dict[str, str]:
        return {
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "HOME": str(self.directory),
            "KZPROXY_CACHE_DIR": str(self.cache),
            "KUBERNETES_EXEC_INFO": json.dumps(self.exec_info),
        }

    def start(self, *more: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            self.command(*more),
            cwd=ROOT,
            env=self.environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *more: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            self.command(*more),
            cwd=ROOT,
            env=self.environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def token(self, *more: str) -> str:
        """Run it, expect a credential and return its token."""
        done = self.run(*more)
        assert done.returncode == 0, done.stderr
        return str(json.loads(done.stdout)["status"]["token"])

    @property
    def cache(self) -> Path:
        return self.cache_directory or self.directory / "cache"

    @property
    def entry_file(self) -> Path:
        """The one sign-in in the cache."""
        [file] = self.cache.glob("*.json")
        return file

    def change_entry(self, **changes: object) -> None:
        """Change the sign-in in the cache, as time or somebody else would."""
        fields = json.loads(self.entry_file.read_text())
        self.entry_file.write_text(json.dumps(fields | changes))

    @property
    def refreshes(self) -> int:
        """How often the provider was asked to refresh, by anybody."""
        asked = self.idp.events("token")
        return sum(event["grantType"] == "refresh_token" for event in asked)

    @property
    def tabs(self) -> int:
        """How many browser tabs were opened."""
        return len(self._tabs.read_text().splitlines()) if self._tabs.exists() else 0

    @property
    def _tabs(self) -> Path:
        return self.directory / "tabs"
