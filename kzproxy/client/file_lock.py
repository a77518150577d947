"""One process at a time: a lock that the system gives back when its holder dies."""

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from kzproxy.client.failure import ClientFailure
from kzproxy.clock.system import Clock

POLL_SECONDS = 0.1
SAY_AFTER_SECONDS = 3.0

if sys.platform == "win32":
    import msvcrt

    def _try_lock(descriptor: int) -> bool:
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

else:
    import fcntl

    def _try_lock(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


class FileLock:
    """A lock between the processes of one user.

    The file stays when the lock is given back: deleting it would let two processes hold locks of
    the same name on two files.
    """

    def __init__(self, path: str, clock: Clock) -> None:
        self._path = path
        self._clock = clock

    @contextmanager
    def held(self, wait_seconds: float, on_long_wait: Callable[[], None]) -> Iterator[None]:
        """Hold the lock for the block; calls ``on_long_wait`` once if another holds it for long.

        Raises:
            ClientFailure: It could not be had within ``wait_seconds``, or not at all.
        """
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
        try:
            descriptor = os.open(self._path, flags, 0o600)
        except OSError as error:
            raise ClientFailure(f"{self._path} cannot be opened: {error.strerror}") from None
        try:
            self._acquire(descriptor, wait_seconds, on_long_wait)
            yield
        finally:
            os.close(descriptor)

    def _acquire(
        self, descriptor: int, wait_seconds: float, on_long_wait: Callable[[], None]
    ) -> None:
        began = self._clock.monotonic()
        said = False
        while not self._has(descriptor):
            waited = self._clock.monotonic() - began
            if waited > wait_seconds:
                raise ClientFailure(
                    f"another process has been signing in for {wait_seconds:.0f} s and has not"
                    " finished; end it, or try again"
                )
            if waited > SAY_AFTER_SECONDS and not said:
                on_long_wait()
                said = True
            time.sleep(POLL_SECONDS)

    def _has(self, descriptor: int) -> bool:
        try:
            return _try_lock(descriptor)
        except OSError as error:  # as on a network file system that knows no locks
            raise ClientFailure(
                f"{self._path} cannot be locked: {error.strerror}; name a directory of this"
                " machine's own with KZPROXY_CACHE_DIR"
            ) from None
