"""The test issuer, served beside a test that does not run on an event loop."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.servers.authority import Authority
from tests.servers.issuer import TestIssuer, serving_issuer


@contextmanager
def issuer_in_thread(directory: Path, authority: Authority) -> Iterator[TestIssuer]:
    """Serve an issuer until the block ends."""
    loop = asyncio.new_event_loop()
    ended = asyncio.Event()
    ready = threading.Event()
    issuers: list[TestIssuer] = []

    async def serve() -> None:
        async with serving_issuer(directory, authority) as issuer:
            issuers.append(issuer)
            ready.set()
            await ended.wait()

    def run() -> None:
        asyncio.set_event_loop(loop)
        try:
            loop.run_until_complete(serve())
        finally:
            ready.set()
            loop.close()

    thread = threading.Thread(target=run, name="issuer")
    thread.start()
    ready.wait(30)
    try:
        yield issuers[0]
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join(30)
