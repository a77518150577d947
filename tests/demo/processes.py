"""What runs on this machine, found by where it runs: pids alone may be another's by now."""

import time
from pathlib import Path


def processes_in(directory: Path) -> set[int]:
    """Return the processes whose working directory is ``directory`` or below it."""
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            where = (process / "cwd").readlink()
        except OSError:  # it has ended, or is not ours to see
            continue
        if where.is_relative_to(directory):
            found.add(int(process.name))
    return found


def wait_until_none_in(directory: Path, *, seconds: float = 15.0) -> None:
    """Insist that every process in ``directory`` ends by itself."""
    deadline = time.monotonic() + seconds
    while left := processes_in(directory):
        assert time.monotonic() < deadline, f"still running in {directory}: {left}"
        time.sleep(0.05)
