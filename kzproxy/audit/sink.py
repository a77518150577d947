"""Where the lines of the decision log go: a file, or standard output."""

import fcntl
import os
import queue
import select
from pathlib import Path
from typing import Protocol

from kzproxy.audit.chain import GENESIS, Head, head_of
from kzproxy.audit.last_line import last_line
from kzproxy.errors.configuration import ConfigurationError, Mistake


class Sink(Protocol):
    """Takes lines in order; used by one writer."""

    written_on_append: bool
    """Whether ``append`` has written what it was given, so that only some records need ``sync``."""

    def append(self, data: bytes) -> None:
        """Take whole lines; does not wait for a reader. On an error none of them is kept.

        Raises:
            OSError: They could not be taken.
        """

    def sync(self) -> None:
        """Return when all that was taken is out of our hands; may wait; called on a thread."""

    def close(self) -> None:
        """Give up the descriptor; lines not synced may be lost."""


class FileSink:
    """A file that only this process appends to.

    Attributes:
        path: Where it was opened; a rotation may have moved it since.
        head: The end of the chain that it held when it was opened.
        size_bytes: How much is in it.
        torn_bytes: How much of it was put aside when it was opened.
    """

    written_on_append = True

    def __init__(self, descriptor: int, path: Path, *, head: Head, torn_bytes: int) -> None:
        self._descriptor = descriptor
        self._torn_at: int | None = None
        self.path = path
        self.head = head
        self.size_bytes = os.fstat(descriptor).st_size
        self.torn_bytes = torn_bytes

    @classmethod
    def open(cls, path: Path) -> "FileSink":
        """Open or create ``path`` (mode 0600), lock it, and find the end of its chain.

        A last line that is not whole, left by a crash in the middle of a write, is moved to
        ``path`` with ``.torn`` added: its request was never forwarded.

        Raises:
            ConfigurationError: It cannot be had, is no regular file, is another's or no decision
                log.
        """
        descriptor = _open_locked(path)
        try:
            head, torn_bytes = _recover(descriptor, path)
            _sync_directory(path.parent)
        except (OSError, ValueError) as error:
            os.close(descriptor)
            raise _mistake(path, _recovery_advice(error)) from error
        return cls(descriptor, path, head=head, torn_bytes=torn_bytes)

    @classmethod
    def open_empty(cls, path: Path) -> "FileSink":
        """Open ``path`` as ``open`` does, but only if nothing is in it.

        Raises:
            ConfigurationError: As ``open`` says, or it is not empty.
        """
        sink = cls.open(path)
        if sink.head != GENESIS:
            sink.close()
            raise _mistake(path, "is rotated onto a file that is not empty; move that away")
        return sink

    def append(self, data: bytes) -> None:
        """Write ``data`` whole or, as far as the file can tell, not at all."""
        if self._torn_at is not None:
            self._cut_torn()
        written = 0
        try:
            while written < len(data):  # a short write is followed by one that says why
                written += os.write(self._descriptor, data[written:] if written else data)
        except OSError:
            if written:
                # By the file's size, not by a count of ours: copytruncate may have emptied it.
                self._torn_at = os.fstat(self._descriptor).st_size - written
                self._cut_torn()
            raise
        self.size_bytes += written

    def sync(self) -> None:
        """Wait until the disk has what was written."""
        os.fdatasync(self._descriptor)

    def close(self) -> None:
        """Close the file, which gives up the lock."""
        os.close(self._descriptor)

    def moved_away(self) -> bool:
        """Return whether ``path`` no longer names the file that is written to."""
        try:
            named = self.path.stat()
        except OSError:
            return True
        return not os.path.samestat(named, os.fstat(self._descriptor))

    def _cut_torn(self) -> None:
        """Take back the part of a batch that did go in, or stay torn and raise."""
        if self._torn_at is not None:
            os.ftruncate(self._descriptor, self._torn_at)
            self._torn_at = None


class StreamSink:
    """A pipe, such as standard output: written by ``sync``, since its reader may be slow.

    Where other processes write to the same pipe, all of them name one ``turns`` file, whose lock is
    held while whole lines are written.
    """

    written_on_append = False

    def __init__(self, descriptor: int, *, turns: Path | None = None) -> None:
        self._descriptor = descriptor
        self._turns = turns
        self._taken: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self._rest = b""
        # Each is counted by one thread only: that of ``append``, and that of ``sync``.
        self._taken_bytes = 0
        self._written_bytes = 0

    @property
    def held_bytes(self) -> int:
        """Return how much was taken and is not written yet; may be called on any thread."""
        return self._taken_bytes - self._written_bytes

    def append(self, data: bytes) -> None:
        """Keep ``data`` for the next ``sync``."""
        self._taken_bytes += len(data)
        self._taken.put(data)

    def sync(self) -> None:
        """Write what was taken; waits for the reader.

        After an error the rest stays: a torn line must be completed before the next one.
        """
        if self._turns is None:
            self._write()
            return
        with self._turns.open("ab") as turn:
            fcntl.flock(turn, fcntl.LOCK_EX)
            self._write()

    def _write(self) -> None:
        while self._rest or not self._taken.empty():
            self._rest = self._rest or self._taken.get()
            try:
                written = os.write(self._descriptor, self._rest)
            except BlockingIOError:  # whoever shares the pipe has made it non-blocking
                select.select([], [self._descriptor], [])
            else:
                self._rest = self._rest[written:]
                self._written_bytes += written

    def close(self) -> None:
        """Leave the descriptor open: it is not ours."""


def _open_locked(path: Path) -> int:
    # Non-blocking, so that a FIFO without a reader does not hold up the start.
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK
    try:
        descriptor = os.open(path, flags, 0o600)
    except OSError as error:
        raise _mistake(path, _open_advice(error)) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise _mistake(path, _open_advice(error)) from error
    return descriptor


def _open_advice(error: OSError) -> str:
    match error:
        case BlockingIOError():
            return "is in use by another kzproxy; every worker needs a file of its own"
        case FileNotFoundError():
            return "cannot be made: its directory does not exist"
        case _:
            return f"cannot be written: {error.strerror}"


def _recovery_advice(error: OSError | ValueError) -> str:
    match error:
        case OSError():
            return f"cannot be read or repaired: {error.strerror}"
        case ValueError():
            return f"does not end as a decision log does ({error}); move it away"


def _recover(descriptor: int, path: Path) -> tuple[Head, int]:
    line, torn = last_line(descriptor)
    head = head_of(line) if line else GENESIS
    if torn:
        _keep_torn(path, torn)
        os.ftruncate(descriptor, os.fstat(descriptor).st_size - len(torn))
        os.fdatasync(descriptor)
    return head, len(torn)


def _keep_torn(path: Path, torn: bytes) -> None:
    descriptor = os.open(
        path.with_name(path.name + ".torn"),
        os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC,
        0o600,
    )
    with open(descriptor, "wb", buffering=0) as side_file:  # noqa: PTH123 - a descriptor
        side_file.write(torn + b"\n")
        os.fdatasync(descriptor)


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _mistake(path: Path, message: str) -> ConfigurationError:
    return ConfigurationError([Mistake(source=str(path), message=f"the decision log {message}")])
