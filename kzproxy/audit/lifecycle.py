"""Records of the log about itself, encoded."""

from datetime import datetime

import msgspec

from kzproxy import __version__
from kzproxy.audit.chain import GENESIS, Head
from kzproxy.audit.schema import ContinuedAfter, ResumedRecord, StartedRecord, StoppedRecord


def first_record(head: Head, *, torn_bytes: int, now: datetime) -> bytes:
    """Return the first record of a process: of a new chain, or of one that goes on."""
    if head != GENESIS:
        return resumed(ContinuedAfter.RESTART, torn_bytes=torn_bytes, now=now)
    started = StartedRecord(ts=now, kzproxy_version=__version__, torn_bytes=torn_bytes)
    return msgspec.json.encode(started)


def resumed(after: ContinuedAfter, *, now: datetime, torn_bytes: int = 0) -> bytes:
    """Return the first record after a restart or a rotation."""
    record = ResumedRecord(ts=now, kzproxy_version=__version__, after=after, torn_bytes=torn_bytes)
    return msgspec.json.encode(record)


def stopped(*, now: datetime) -> bytes:
    """Return the last record of a process that ends in order."""
    return msgspec.json.encode(StoppedRecord(ts=now))
