"""Where runs leave their logs, and how many of them are kept."""

import re
import shutil
from pathlib import Path

from kzproxy.clock.system import Clock

# A run of ten minutes leaves some hundred megabytes.
KEPT = 5
_NAME = re.compile(r"\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d")


def new_directory(parent: Path, clock: Clock, kept: int = KEPT) -> Path:
    """Make a directory for a run below ``parent``, and remove all but the last ``kept`` with it.

    What is not named as a run's is left alone.
    """
    directory = parent / f"{clock.now():%Y-%m-%dT%H-%M-%S}"
    directory.mkdir(parents=True)
    runs = sorted(each for each in parent.iterdir() if _NAME.fullmatch(each.name))
    for old in runs[:-kept]:
        shutil.rmtree(old, ignore_errors=True)  # another run may be at the same
    return directory
