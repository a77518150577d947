"""What the demo says while it gets up: on stderr, a spinner at a terminal that can show one."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.text import Text


class Progress:
    """Tells of the slow steps; a quiet one tells nothing but warnings."""

    def __init__(self, console: Console, *, quiet: bool) -> None:
        """Take a console on stderr, since stdout may belong to a command."""
        self._console = console
        self._quiet = quiet

    @contextmanager
    def step(self, doing: str) -> Iterator[None]:
        """Show ``doing`` while the block runs."""
        if self._quiet:
            yield
        elif self._console.is_interactive:
            with self._console.status(Text(f"{doing} ...")):
                yield
        else:
            self._plain(f"{doing} ...")
            yield

    def warn(self, message: str) -> None:
        """Say something that must not be missed."""
        self._plain(message)

    def _plain(self, message: str) -> None:
        text = f"kzproxy demo: {message}"
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)
