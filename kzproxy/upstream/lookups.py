"""The addresses of several endpoints, each looked up beside the others.

One resolver that does not answer, or one name that it does not answer for, must not keep anybody
from an endpoint whose address is known.
"""

import asyncio
import contextlib
from collections.abc import Coroutine, Sequence

from aiohappyeyeballs import AddrInfoType

from kzproxy.errors.anew import anew
from kzproxy.transport.resolving import SharedLookups
from kzproxy.transport.tls_client import NEXT_ATTEMPT_SECONDS
from kzproxy.upstream.account import Endpoint

Address = tuple[Endpoint, AddrInfoType]


class Lookups:
    """Looks endpoints up, for one who tries their addresses.

    Attributes:
        failure: Of the last that failed.
    """

    def __init__(self, endpoints: Sequence[Endpoint], shared: SharedLookups) -> None:
        """Look nothing up yet; ``endpoints`` is in the order in which they are to be tried."""
        self._shared = shared
        self.failure = OSError("there is no address")
        self._endpoints = endpoints
        self._left = len(endpoints)
        self._found: dict[Endpoint, list[Address]] = {}
        self._news = asyncio.Event()

    @property
    def are_done(self) -> bool:
        """Whether no more will be found than has been."""
        return not self._left

    def works(self) -> list[Coroutine[None, None, None]]:
        """Return what looks them up, to be run beside ``further``."""
        return [self._look_up(endpoint) for endpoint in self._endpoints]

    async def further(self) -> list[Address]:
        """Return addresses that were not returned before; none where there are no more.

        They are all that is found within a moment, or else what is found first.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(NEXT_ATTEMPT_SECONDS):
                while self._left:
                    await self._one_more()
        while self._left and not self._found:
            await self._one_more()
        found, self._found = self._found, {}
        return [each for endpoint in self._endpoints for each in found.get(endpoint, ())]

    async def _one_more(self) -> None:
        self._news.clear()
        await self._news.wait()

    async def _look_up(self, endpoint: Endpoint) -> None:
        try:
            infos = await self._shared.addresses_of(*endpoint)
        except OSError as error:
            self.failure = anew(error)
        else:
            self._found[endpoint] = [(endpoint, info) for info in infos]
        self._left -= 1
        self._news.set()
