"""Move a decision log aside when it is long enough, and drop the oldest of those moved."""

import re
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

import msgspec


class Rotation(msgspec.Struct, frozen=True, kw_only=True):
    """When the log goes on in a new file, and what becomes of the old ones.

    Attributes:
        at_bytes: The size at which a file is moved aside.
        keep: How many moved files are kept; the oldest go first.
    """

    at_bytes: int
    keep: int

    def plan(self) -> "RotationPlan":
        """Return what carries this out for one log."""
        return RotationPlan(self)


class RotationPlan:
    """Knows when a log is to be moved aside next."""

    def __init__(self, rotation: Rotation) -> None:
        self._rotation = rotation
        self._at_bytes = rotation.at_bytes

    def is_due(self, size_bytes: int) -> bool:
        """Return whether the file is long enough; a try that fails is due only much later."""
        if size_bytes < self._rotation.at_bytes:
            self._at_bytes = self._rotation.at_bytes
        if size_bytes < self._at_bytes:
            return False
        self._at_bytes = size_bytes + self._rotation.at_bytes
        return True

    def drop_oldest(self, path: Path) -> None:
        """Remove the oldest moved files of ``path`` but the last ``keep``.

        Raises:
            OSError: One cannot be removed.
        """
        moved = moved_files(path)
        for old in moved[: max(0, len(moved) - self._rotation.keep)]:
            old.unlink()


def move_aside(path: Path, *, seq: int, now: datetime) -> None:
    """Rename ``path`` after the time and its last line, so that names sort as they were written.

    Where the clock was set back since the last time, it is named after that one's time.

    Raises:
        OSError: It cannot be renamed.
    """
    stamp = max([f"{now:%Y%m%dT%H%M%SZ}", *_stamped(path).values()])
    path.rename(path.with_name(f"{path.name}.{stamp}-{seq:012d}"))


def moved_files(path: Path) -> list[Path]:
    """Return what ``move_aside`` has made of ``path``, the oldest first."""
    return sorted(_stamped(path))


def _stamped(path: Path) -> dict[Path, str]:
    """Return what ``move_aside`` has made of ``path``, with the stamp in the name of each."""
    ours = _ours(path)
    found = {each: ours.fullmatch(each.name) for each in path.parent.iterdir()}
    return {each: match[1] for each, match in found.items() if match is not None}


def _ours(path: Path) -> re.Pattern[str]:
    """Return what the names begin with that ``move_aside`` gives: the first group is the stamp."""
    return re.compile(re.escape(path.name) + r"\.(\d{8}T\d{6}Z)-\d{12}")


def moved_by_anybody(path: Path) -> list[Path]:
    """Return what kzproxy, logrotate or a person has made of ``path``, the last written first.

    Their names go on with a dot or a dash and a digit, and may end as those of packed files do. A
    packed one beside what it is made of is left out, since it may not be whole yet.

    Raises:
        OSError: The directory cannot be read.
    """
    theirs = re.compile(re.escape(path.name) + r"[.-]\d[^.]*(\.(?:bz2|gz|lz4|xz|zst|Z))?")
    found = [match for each in path.parent.iterdir() if (match := theirs.fullmatch(each.name))]
    names = {match[0] for match in found}
    moved = [
        path.with_name(match[0])
        for match in found
        if match[1] is None or match[0].removesuffix(match[1]) not in names
    ]
    written_at = _written_at(path, moved)
    return sorted(moved, key=lambda each: (written_at[each], each.name), reverse=True)


def _written_at(path: Path, moved: Iterable[Path]) -> dict[Path, int]:
    """Return when each was written last, in nanoseconds: of ours none before one that it follows.

    The clock may have been set back in between, and names tell their order.
    """
    ours = _ours(path)
    latest, written_at = 0, {}
    for each in sorted(moved):
        written_at[each] = each.lstat().st_mtime_ns
        if ours.match(each.name):
            latest = written_at[each] = max(latest, written_at[each])
    return written_at
