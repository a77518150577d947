"""Come to an end without surprising anybody more than needed."""

import asyncio
import random
from datetime import timedelta

from kzproxy.administrator.administrator import Administrator
from kzproxy.administrator.lease import EndCause, Ending, Lease
from kzproxy.attributes.request_info import StreamKind
from kzproxy.clock.system import Clock
from kzproxy.errors.kinds import ServiceUnavailable
from kzproxy.transport.listener import Listener

_SWEEP_SECONDS = 0.1
# What is left of the time after which nothing is waited for any more: farewells need it.
_LAST_SHARE = 0.1


async def drain(
    listener: Listener,
    administrator: Administrator,
    serving: "asyncio.Task[None]",
    limit: timedelta,
    clock: Clock,
) -> None:
    """Stop accepting, end watches one by one, let the rest finish; at ``limit`` cut what is left.

    Watches end cleanly and spread over half of the time, so that their clients do not all come back
    at once; exec, attach and port-forward may go on to the end and are told why then.
    """
    listener.stop_accepting()
    begun = clock.monotonic()
    whole = limit.total_seconds()
    moments = {
        lease: begun + whole / 2 * random.random()  # noqa: S311 - spreads load, guards nothing
        for lease in administrator.live
        if lease.permit.attributes.request.stream is StreamKind.WATCH
    }
    last = begun + whole * (1 - _LAST_SHARE)
    while not serving.done() and clock.monotonic() < begun + whole:
        now = clock.monotonic()
        for lease in administrator.live:
            if now >= min(moments.get(lease, last), last):
                lease.end(_ending(lease))
        await asyncio.wait([serving], timeout=_SWEEP_SECONDS)
    serving.cancel()


def _ending(lease: Lease) -> Ending:
    name = lease.permit.attributes.request.stream.value
    error = ServiceUnavailable(
        f"kzproxy is being restarted and ended this {name}; run the command again",
        retry_after_seconds=1,
    )
    return Ending(cause=EndCause.DRAIN, error=error)
