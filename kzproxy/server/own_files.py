"""What a running kzproxy loads of its own files, which an upgrade may have replaced meanwhile.

Some parts are loaded only by the configuration that first needs them. Those of another version
beside what runs already would be halves of two, which nobody has tried.
"""

import hashlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import kzproxy
from kzproxy.errors.configuration import ConfigurationError, Mistake

_PACKAGE = Path(kzproxy.__file__).parent
_REPLACED = Mistake(
    source="kzproxy",
    message="its files were replaced since it was started, and this configuration needs a part of"
    " them that is not loaded yet; restart kzproxy",
)

_Result = TypeVar("_Result")


class OwnFiles:
    """Remembers them as they are when it is made."""

    def __init__(self) -> None:
        self._state = _state()

    def loading(self, read: Callable[[], _Result]) -> _Result:
        """Return what ``read`` does, which may load further parts.

        Raises:
            ConfigurationError: It needs some, and the files are others by now.
        """
        before = _loaded()
        try:
            result = read()
        except ImportError as error:
            self._forget_others(before)
            if _state() != self._state:
                raise ConfigurationError([_REPLACED]) from error
            raise
        except ConfigurationError:
            self._forget_others(before)
            raise
        if self._forget_others(before):
            raise ConfigurationError([_REPLACED])
        return result

    def _forget_others(self, before: frozenset[str]) -> bool:
        """Unload what came since of files that are others by now; whether there was any."""
        late = _loaded() - before
        if not late or _state() == self._state:
            return False
        for name in late:
            sys.modules.pop(name, None)
        return True


def _loaded() -> frozenset[str]:
    return frozenset(name for name in tuple(sys.modules) if name.startswith("kzproxy."))


def _state() -> bytes:
    """Return what differs once any of the files has been replaced."""
    state = hashlib.sha256()
    for directory, below, names in os.walk(_PACKAGE):
        below.sort()
        for name in sorted(names):
            if name.endswith(".py"):
                state.update(_seen(f"{directory}/{name}"))
    return state.digest()


def _seen(file: str) -> bytes:
    try:
        found = os.stat(file)  # noqa: PTH116 - 700 paths cost the start more than the rest of this
    except OSError:  # while it is replaced
        found = None
    # By its last change: another file may get the number, and a copy keeps the time of the first.
    said = None if found is None else (found.st_ino, found.st_size, found.st_ctime_ns)
    return f"{file} {said}\n".encode("utf-8", "surrogateescape")
