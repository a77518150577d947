"""Find one decision in the files of a decision log, the newest lines first, within bounds.

Files are read backwards in blocks in which the audit id is looked for as bytes: only a line that
holds it is decoded. Workers take turns, so that a long file of one does not hide another's.
"""

import contextlib
import os
import stat
from collections.abc import Callable, Generator, Iterator
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

import msgspec

from kzproxy.audit.chain import MAX_LINE_BYTES
from kzproxy.audit.lines import told_in
from kzproxy.audit.log_files import present_files
from kzproxy.audit.rotation import moved_files
from kzproxy.audit.schema import CompletedRecord, DecisionRecord
from kzproxy.clock.system import Clock

# Looking through a block holds the interpreter for a twentieth of a millisecond.
_BLOCK_BYTES = 256 * 1024

MAX_SEARCHED_BYTES = 256 << 20
"""How far back one search goes, over all files: hours of a thousand requests a minute."""


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """A decision, and how its request ended if that is known."""

    decision: DecisionRecord
    outcome: CompletedRecord | None = None


class SearchBounds(msgspec.Struct, frozen=True, kw_only=True):
    """How far back one search goes.

    Attributes:
        total_bytes: Over all files.
        duration: Of reading.
    """

    total_bytes: int = MAX_SEARCHED_BYTES
    duration: timedelta = timedelta(seconds=5)


class LogSearch:
    """Reads; every call waits for the disk, so none belongs on the loop."""

    def __init__(self, file: Path, clock: Clock, bounds: SearchBounds | None = None) -> None:
        """Take the name of the log, as the configuration has it."""
        self._file = file
        self._clock = clock
        self._bounds = bounds or SearchBounds()

    def find(self, audit_id: str, is_meant: Callable[[DecisionRecord], bool]) -> Found | None:
        """Return the decision with this id, of those that are meant.

        One that is not is passed over and the search goes on as if it were not there, so that
        neither the answer nor the time it takes says that there is one.

        Raises:
            OSError: A file cannot be read.
        """
        outcome: CompletedRecord | None = None
        # Quoted and followed by a colon it can be no value, whatever a client wrote there.
        for line in self._lines_with(f'"audit_id":"{audit_id}"'.encode()):
            match told_in(line):
                case CompletedRecord() as record if record.audit_id == audit_id:
                    outcome = record
                case DecisionRecord() as record if record.audit_id == audit_id:
                    if is_meant(record):
                        return Found(decision=record, outcome=outcome)
        return None

    def _lines_with(self, needle: bytes) -> Iterator[bytes]:
        left_bytes = self._bounds.total_bytes
        end = self._clock.monotonic() + self._bounds.duration.total_seconds()
        with contextlib.ExitStack() as stack:
            logs = [
                stack.enter_context(contextlib.closing(_blocks_of_log(path, needle)))
                for path in present_files(self._file)
            ]
            while logs:
                for log in tuple(logs):
                    block = next(log, None)
                    if block is None:
                        logs.remove(log)
                        continue
                    yield from block.lines
                    left_bytes -= block.size_bytes
                    if left_bytes <= 0 or self._clock.monotonic() >= end:
                        return


class _Block(NamedTuple):
    size_bytes: int
    lines: list[bytes]


def _blocks_of_log(path: Path, needle: bytes) -> Generator[_Block]:
    with contextlib.ExitStack() as stack:
        # The present file is held before the moved ones are listed: one that is moved meanwhile is
        # then read under either name, and not under neither.
        present = _opened(path, stack)
        if present is not None:
            yield from _blocks(present, needle)
        seen = None if present is None else os.fstat(present)
        for moved in reversed(moved_files(path)):
            with contextlib.ExitStack() as one:
                descriptor = _opened(moved, one)
                if descriptor is None:
                    continue
                if seen is None or not os.path.samestat(seen, os.fstat(descriptor)):
                    yield from _blocks(descriptor, needle)


def _opened(path: Path, stack: contextlib.ExitStack) -> int | None:
    """Return a descriptor that ``stack`` closes; None where the file has gone, or is none."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    stack.callback(os.close, descriptor)
    return descriptor if stat.S_ISREG(os.fstat(descriptor).st_mode) else None


def _blocks(descriptor: int, needle: bytes) -> Iterator[_Block]:
    end = os.fstat(descriptor).st_size
    while end > 0:
        start = max(0, end - _BLOCK_BYTES)
        # What begins in a block is found in it, although it may end in the one read before.
        block = os.pread(descriptor, end - start + len(needle) - 1, start)
        places = _places(block, needle)
        yield _Block(len(block), [_line_at(descriptor, start + place) for place in places])
        end = start


def _places(block: bytes, needle: bytes) -> list[int]:
    """Return where it stands, the last place first."""
    places = []
    place = block.rfind(needle)
    while place >= 0:
        places.append(place)
        place = block.rfind(needle, 0, place)
    return places


def _line_at(descriptor: int, place: int) -> bytes:
    start = max(0, place - MAX_LINE_BYTES)
    around = os.pread(descriptor, place - start + MAX_LINE_BYTES, start)
    first = around.rfind(b"\n", 0, place - start) + 1
    return around[first : around.find(b"\n", place - start) + 1]
