"""Wait for what a process does in its own time."""

import time
from collections.abc import Callable

SECONDS = 20.0


def eventually(holds: Callable[[], object], why: Callable[[], object] = str) -> None:
    """Return once ``holds`` does; where it never does, ``why`` says more."""
    deadline = time.monotonic() + SECONDS
    while not holds():
        assert time.monotonic() < deadline, why()
        time.sleep(0.02)
