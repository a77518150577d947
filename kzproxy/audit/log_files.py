"""Which files a decision log is in: one of each worker, and what was moved aside of each."""

import re
from pathlib import Path


def own_file(file: Path, number: int) -> Path:
    """Return a worker's file: ``decisions.jsonl`` of worker 2 is ``decisions.2.jsonl``."""
    return file.with_name(f"{file.stem}.{number}{file.suffix}")


def present_files(file: Path) -> list[Path]:
    """Return the files that are, or were, written under the name ``file``: it, and each worker's.

    Raises:
        OSError: Their directory cannot be read.
    """
    of_a_worker = re.compile(rf"{re.escape(file.stem)}\.[1-9]\d{{0,3}}{re.escape(file.suffix)}")
    return sorted(
        each
        for each in file.parent.iterdir()
        if each.name == file.name or of_a_worker.fullmatch(each.name)
    )
