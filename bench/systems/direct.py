"""No proxy at all: what load and upstream cost by themselves."""

import sys

from bench.load import Door
from bench.systems.system import System


class Direct(System):
    """The upstream itself, entered by its own door; what runs does nothing."""

    name = "direct"

    @property
    def door(self) -> Door:
        """The upstream's, asked as nginx asks it."""
        upstream = self.site.upstream
        token = upstream.token_file.read_text().strip()
        return Door(
            address=upstream.address,
            authority=upstream.authority,
            credentials=False,
            headers=(
                ("Authorization", f"Bearer {token}"),
                ("Impersonate-User", "bench:user-0000"),
                ("Impersonate-Group", "system:authenticated"),
            ),
        )

    def command(self) -> list[str]:
        """Something that waits to be ended."""
        return [sys.executable, "-c", "import signal; signal.pause()"]
