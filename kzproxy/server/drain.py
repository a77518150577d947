"""Come to an end without surprising anybody more than needed."""

import asyncio
import random
from collections.abc import Mapping
from datetime import timedelta

from kzproxy.administrator.administrator import Administrator
from kzproxy.administrator.lease import EndCause, Ending, Lease
from kzproxy.attributes.request_info import StreamKind
from kzproxy.clock.system import Clock
from kzproxy.enforcement.stopped import stopped
from kzproxy.transport.listener import Listener

_SWEEP_SECONDS = 0.1
# What is left of the time after which nothing is waited for any more: farewells need it.
_LAST_SHARE = 0.1
# What is left of it after which whoever has no lease yet, and whoever has not heard, is told too.
_TELLING_SHARE = 0.05


async def drain(
    listener: Listener,
    administrator: Administrator,
    serving: "asyncio.Task[None]",
    limit: timedelta,
    clock: Clock,
) -> None:
    """Stop accepting, end watches one by one, let the rest finish; at ``limit`` cut what is left.

    Watches end cleanly and spread over half of the time, so that their clients do not all come back
    at once; exec, attach and port-forward may go on to the end and are told why then. So is, right
    after, what is still being judged.
    """
    listener.stop_accepting()
    begun, whole = clock.monotonic(), limit.total_seconds()
    moments = {
        lease: begun + whole / 2 * random.random()  # noqa: S311 - spreads load, guards nothing
        for lease in administrator.live
        if lease.permit.attributes.request.stream is StreamKind.WATCH
    }
    end, now = begun + whole, begun
    last, telling = end - whole * _LAST_SHARE, end - whole * _TELLING_SHARE
    # Until all that live then have been told: a stall may leave no other moment for that.
    while not serving.done() and now < telling:
        now = clock.monotonic()
        _end_due(administrator, moments, last, now)
        await asyncio.wait([serving], timeout=min(_SWEEP_SECONDS, (end - now) / 2))
    listener.cut_short()
    await asyncio.wait([serving], timeout=end - clock.monotonic())
    serving.cancel()


def _end_due(
    administrator: Administrator, moments: Mapping[Lease, float], last: float, now: float
) -> None:
    for lease in administrator.live:
        if now >= min(moments.get(lease, last), last):
            lease.end(_ending(lease))


def _ending(lease: Lease) -> Ending:
    error = stopped(lease.permit.attributes.request, is_begun=True)
    return Ending(cause=EndCause.DRAIN, error=error)
