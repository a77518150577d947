"""The demo's kzproxy: the real ``kzproxy serve``, as a process of its own."""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx

from kzproxy.clock.system import Clock
from kzproxy.demo.component import Component, Launcher
from kzproxy.demo.directory import DemoDirectory
from kzproxy.demo.threads import in_thread

_REQUEST_SECONDS = 2.0


@asynccontextmanager
async def running_proxy(
    directory: DemoDirectory, ops: str, clock: Clock
) -> AsyncIterator[Component]:
    """Run kzproxy by the directory's configuration until the block ends; begin once it is ready.

    Args:
        directory: Its log is ``kzproxy.log`` there.
        ops: ``HOST:PORT`` of its health.
        clock: For the time-out.

    Raises:
        ControlPlaneError: It ended, or does not get ready; the message has the end of its log.
    """
    directory.proxy_log.unlink(missing_ok=True)
    command = [
        *(sys.executable, "-P", "-m", "kzproxy", "serve"),
        *("--config", str(directory.configuration)),
    ]
    launcher = Launcher()
    proxy = Component("kzproxy", command, directory=directory.root, clock=clock)
    try:
        proxy.start(launcher)
        with httpx.Client(timeout=_REQUEST_SECONDS, trust_env=False) as client:
            await in_thread(lambda: proxy.wait_until(lambda: _is_ready(client, ops)))
        yield proxy
    finally:
        await in_thread(proxy.stop)
        launcher.close()


def _is_ready(client: httpx.Client, ops: str) -> bool:
    try:
        return client.get(f"http://{ops}/readyz").is_success
    except httpx.TransportError:
        return False
