"""A decision log that nothing can be written to."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from kzproxy.audit.chain import GENESIS
from kzproxy.audit.decision_log import DecisionLog, DecisionLogSettings
from kzproxy.audit.sink import StreamSink
from kzproxy.clock.system import Clock


@asynccontextmanager
async def full_log(clock: Clock) -> AsyncIterator[DecisionLog]:
    """Give a decision log whose disk is full."""
    with Path("/dev/full").open("wb", buffering=0) as full:
        settings = DecisionLogSettings(file=None, stdout=True)
        yield DecisionLog(StreamSink(full.fileno()), GENESIS, settings=settings, clock=clock)
