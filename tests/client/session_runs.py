"""Runs ``kzproxy credential`` where kzproxy keeps the session; see ``plugin_runs``."""

import json
import subprocess
import sys
from dataclasses import dataclass
from typing import cast

from tests.client.plugin_runs import ROOT, Plugin
from tests.servers.foreign_idp.process import ForeignIdp
from tests.servers.sign_in_stand_in import SignInStandIn

# Runs the plugin twice (or as often as it is told) as children of one process, as client-go does.
ONE_PARENT = """
import json, subprocess, sys
times, *command = sys.argv[1:]
for _ in range(int(times)):
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    print(json.dumps([done.returncode, done.stdout, done.stderr]))
"""

# Each run is the child of a process of its own, as that of each kubectl is.
PARENT_OF_ITS_OWN = ("sh", "-c", '"$@"; exit $?', "sh")

Ended = tuple[int, str, str]


@dataclass(kw_only=True)
class SessionPlugin(Plugin):
    """One user's plugin at a stand-in for kzproxy's sign-in."""

    @property
    def stand_in(self) -> SignInStandIn:
        return cast(SignInStandIn, self.idp)

    @property
    def issuer_arguments(self) -> list[str]:
        return [
            f"--sign-in-url={self.stand_in.url}",
            f"--issuer-ca={self.ca_file or self.stand_in.ca_file}",
        ]

    def command(self, *more: str) -> list[str]:
        return [*PARENT_OF_ITS_OWN, *self.plain_command(*more)]

    def plain_command(self, *more: str) -> list[str]:
        return super().command(*more)

    @property
    def session(self) -> dict[str, object]:
        """The session in the cache."""
        return dict(json.loads(self.entry_file.read_text())["session"])

    def change_session(self, **changes: object) -> None:
        """Change the session in the cache, as time or somebody else would."""
        self.change_entry(session=self.session | changes)

    def let_time_pass(self) -> None:
        """Make the token one that is to be renewed."""
        self.change_entry(refresh_at=0)

    def status(self, *more: str) -> dict[str, object]:
        """Run it, expect a credential, and return what kubectl is given."""
        done = self.run(*more)
        assert done.returncode == 0, done.stderr
        return dict(json.loads(done.stdout)["status"])

    def runs_of_one_parent(self, times: int, *more: str) -> list[Ended]:
        """Run it as one kubectl process does that comes back."""
        done = subprocess.run(
            [sys.executable, "-c", ONE_PARENT, str(times), *self.plain_command(*more)],
            cwd=ROOT,
            env=self.environ,
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        return [tuple(json.loads(line)) for line in done.stdout.splitlines()]


def session_plugin(stand_in: SignInStandIn, directory: object) -> SessionPlugin:
    return SessionPlugin(idp=cast(ForeignIdp, stand_in), directory=directory)  # type: ignore[arg-type]
