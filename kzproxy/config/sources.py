"""The files that a configuration was read from, and what they looked like then."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple


class Stamp(NamedTuple):
    """What changes about a file when it is written anew, replaced, or its link is moved.

    Of what a link leads to: a ConfigMap's files are links through ``..data``, which the kubelet
    moves to a new directory (pkg/volume/util/atomic_writer.go).
    """

    device: int
    inode: int
    modified_ns: int
    size_bytes: int


Looks = Mapping[Path, Stamp | None]


class Sources:
    """Every file that was looked at, whether or not it could be read."""

    def __init__(self) -> None:
        self._stamps: dict[Path, Stamp | None] = {}

    def look_at(self, path: Path) -> None:
        """Note a file as it is now. To be called before it is read, so that no change is missed."""
        self._stamps.setdefault(path, _stamp(path))

    @property
    def files(self) -> frozenset[Path]:
        """All of them."""
        return frozenset(self._stamps)

    def as_they_are(self) -> Looks:
        """Look at all of them once more."""
        return {path: _stamp(path) for path in self._stamps}

    def differ(self, looks: Looks) -> bool:
        """Whether, by ``as_they_are``, any of them is not what it was."""
        return looks != self._stamps


def _stamp(path: Path) -> Stamp | None:
    try:
        status = path.stat()
    except (OSError, ValueError):  # a name with a zero byte names no file
        return None
    return Stamp(status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size)
