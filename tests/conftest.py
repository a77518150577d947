"""What every test may use."""

import asyncio
import importlib
import os
import pkgutil
import signal
from collections.abc import Callable

from hypothesis import HealthCheck, settings

import kzproxy
from kzproxy.demo.loopback_ports import choose_of
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

# Of what it draws some are words of the modules that are loaded, which are other ones in each of
# several processes: for the same examples each time it takes all of them.
if os.environ.get("CI"):
    for _module in pkgutil.walk_packages(kzproxy.__path__, "kzproxy."):
        if not _module.name.endswith("__main__"):
            importlib.import_module(_module.name)

# Of several processes that run tests each has ports of its own: see pytest-xdist's documentation.
if (_name := os.environ.get("PYTEST_XDIST_WORKER", "")).startswith("gw"):
    choose_of(int(_name.removeprefix("gw")), int(os.environ["PYTEST_XDIST_WORKER_COUNT"]))

# A shell ignores it for what runs in the background, and whatever that starts does so too: what
# tests interrupt would go on.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Run every test on the loop that serves requests."""
    return {"serving": new_event_loop}
