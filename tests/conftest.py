"""What every test may use."""

import asyncio
import signal
from collections.abc import Callable

from hypothesis import HealthCheck, settings

from kzproxy.transport.readiness import new_event_loop

pytest_plugins = [
    "tests.cluster.census",
    "tests.cluster.fixtures",
    "tests.proxy.fixtures",
    "tests.servers.strict_python",
]

# How long it takes to draw and try an example says how busy the machine is; what things cost is for
# `make bench`.
settings.register_profile(
    "untimed", settings.default, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("untimed")

# A shell ignores it for what runs in the background, and whatever that starts does so too: what
# tests interrupt would go on.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Run every test on the loop that serves requests."""
    return {"serving": new_event_loop}
