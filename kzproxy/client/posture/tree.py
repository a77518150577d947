"""Files of the machine, below a root that a test or a mounted image can have elsewhere."""

import os
import stat
from pathlib import Path

from kzproxy.client.bounded_file import read_descriptor
from kzproxy.client.posture.finding import Unknowable

_MAX_BYTES = 64 * 1024
_MAX_NAMES = 4096


class Tree:
    """Reads below a root; what is not there, or is not what it should be, cannot be told."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @property
    def is_here(self) -> bool:
        """Whether it is the machine that this runs on."""
        return self.root == Path("/")

    def text(self, path: str, limit_bytes: int = _MAX_BYTES) -> str:
        """Return a whole file as text.

        Raises:
            Unknowable: It cannot be read, is no ordinary file or is larger than ``limit_bytes``.
        """
        return self.data(path, limit_bytes).decode("utf-8", "replace")

    def data(self, path: str, limit_bytes: int = _MAX_BYTES) -> bytes:
        """Return a whole file; see ``text``."""
        try:
            # A pipe in a file's place would otherwise be waited for.
            flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
            descriptor = os.open(self.place(path), flags)
        except (OSError, ValueError) as error:
            raise Unknowable(_words(path, error)) from None
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise Unknowable(f"{path} is no ordinary file")
            return read_descriptor(descriptor, limit_bytes)
        except OSError as error:
            raise Unknowable(_words(path, error)) from None
        except OverflowError:
            raise Unknowable(f"{path} is larger than {limit_bytes} bytes") from None
        finally:
            os.close(descriptor)

    def names(self, path: str) -> tuple[str, ...]:
        """Return the names in a directory, sorted.

        Raises:
            Unknowable: It cannot be read, or has too many.
        """
        names: list[str] = []
        try:
            with os.scandir(self.place(path)) as entries:
                for entry in entries:
                    names.append(entry.name)
                    if len(names) > _MAX_NAMES:
                        raise Unknowable(f"{path} has more than {_MAX_NAMES} names in it")
        except OSError as error:
            raise Unknowable(_words(path, error)) from None
        return tuple(sorted(names))

    def exists(self, path: str) -> bool:
        """Whether there is something; False too where that cannot be seen."""
        try:
            return self.place(path).exists()
        except (OSError, ValueError):
            return False

    def changed_at(self, path: str) -> float:
        """Return when a file was written last, in seconds since 1970.

        Raises:
            Unknowable: That cannot be seen.
        """
        try:
            return self.place(path).stat().st_mtime
        except (OSError, ValueError) as error:
            raise Unknowable(_words(path, error)) from None

    def place(self, path: str) -> Path:
        """Return where ``path``, which begins with a slash, really is."""
        return self.root / path.lstrip("/")


def _words(path: str, error: Exception) -> str:
    match error:
        case FileNotFoundError() | NotADirectoryError():
            return f"there is no {path}"
        case PermissionError():
            return f"{path} cannot be read without more rights"
        case OSError():
            return f"{path} cannot be read: {error.strerror}"
        case _:
            return f"{path} cannot be read"
