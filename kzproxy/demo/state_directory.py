"""A directory that one control plane has for itself."""

import fcntl
import shutil
from pathlib import Path
from typing import IO

from kzproxy.demo.component import ControlPlaneError

_MARK = "kzproxy-control-plane"


class StateDirectory:
    """Claims a directory until ``release``; what an earlier cluster left in it is removed."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self._lock: IO[str] | None = None

    def claim(self) -> None:
        """Make the directory, or empty one of ours.

        Raises:
            ControlPlaneError: It holds something else, or another control plane uses it.
        """
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        mark = self.path / _MARK
        if not mark.exists() and any(self.path.iterdir()):
            raise ControlPlaneError(f"{self.path} is neither empty nor a control plane's directory")
        self._lock = mark.open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self.release()
            raise ControlPlaneError(f"another control plane runs in {self.path}") from error
        for entry in self.path.iterdir():
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            elif entry != mark:
                entry.unlink()

    def release(self) -> None:
        """Let another have the directory; its files stay, for reading logs."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None
