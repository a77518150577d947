"""Where a chain goes on if its last file was moved away and nothing is in the next one yet.

That is so where a process ended, or the disk was full, in the middle of a rotation, and where a log
was moved while no process wrote to it.
"""

import fcntl
import logging
import os
from pathlib import Path

import msgspec

from kzproxy.audit.chain import GENESIS, Head, head_of, worker_of
from kzproxy.audit.last_line import last_line
from kzproxy.audit.rotation import moved_by_anybody
from kzproxy.audit.sink import FileSink
from kzproxy.errors.configuration import ConfigurationError, Mistake

_log = logging.getLogger(__name__)


class ChainEnd(msgspec.Struct, frozen=True):
    """What the first record of a process goes on from.

    Attributes:
        head: The end of the chain so far; ``GENESIS`` where there is none.
        torn_bytes: How much of incomplete lines was put aside to get there.
    """

    head: Head
    torn_bytes: int


def chain_end(sink: FileSink, worker: str) -> ChainEnd:
    """Return the end of ``sink`` or, where it holds no line, of what was moved away last.

    Empty files and those of other workers are passed over. What cannot be read as a decision log
    is neither gone on from nor passed over: that would hide that lines are missing. A new chain
    begins then, and the diagnostic log says so.

    Raises:
        ConfigurationError: The moved file is written to by another process, or cannot be had.
    """
    if sink.head != GENESIS:
        return ChainEnd(sink.head, sink.torn_bytes)
    try:
        moved = _end_of_moved(sink.path, worker)
    except OSError as error:
        raise _mistake(sink.path, f"cannot tell what was moved away: {error.strerror}") from error
    return ChainEnd(moved.head, moved.torn_bytes + sink.torn_bytes)


def _end_of_moved(path: Path, worker: str) -> ChainEnd:
    for moved in moved_by_anybody(path):
        try:
            end = _end_of(moved, worker)
        except (OSError, ValueError) as error:
            _log.warning(
                "%s cannot be read as the decision log that came before %s: %s; a new chain begins",
                moved,
                path,
                error,
            )
            break
        if end is not None:
            return end
    return ChainEnd(GENESIS, 0)


def _end_of(moved: Path, worker: str) -> ChainEnd | None:
    """Return the end of the chain in ``moved``; None where it is empty or another worker's.

    Raises:
        ConfigurationError: It is in use, or its torn last line cannot be put aside.
        OSError: It cannot be read.
        ValueError: It does not end as a decision log does.
    """
    # Reading is enough, for moved files may be read-only; non-blocking, as a FIFO may be there.
    descriptor = os.open(moved, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        _check_not_in_use(descriptor, moved)
        line, torn = last_line(descriptor)
        if not line and not torn:
            return None
        head = head_of(line)
        if worker_of(line) != worker:
            return None
        os.fdatasync(descriptor)  # what follows must not outlive it
    finally:
        os.close(descriptor)
    if torn:
        FileSink.open(moved).close()
    return ChainEnd(head, len(torn))


def _check_not_in_use(descriptor: int, moved: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError as error:
        advice = "was moved away and is still in use by another kzproxy; end that first"
        raise _mistake(moved, advice) from error


def _mistake(path: Path, message: str) -> ConfigurationError:
    return ConfigurationError([Mistake(source=str(path), message=f"the decision log {message}")])
