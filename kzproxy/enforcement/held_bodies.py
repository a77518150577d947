"""Request bodies that are held whole while they are judged, and bounded all together."""

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from functools import partial

from kzproxy.attributes.identity import Identity
from kzproxy.errors.kinds import (
    DownstreamClosed,
    PayloadTooLarge,
    ServiceUnavailable,
    TooManyRequests,
)
from kzproxy.http.messages import Length, RequestHead
from kzproxy.transport.exchange import Exchange

# Of one worker. A manifest has a few KiB; twenty users may still send the largest at a time.
MAX_HELD_BYTES = 64 * 1024 * 1024
# Of one identity, so that nobody keeps all others from theirs.
MAX_HELD_BYTES_EACH = 16 * 1024 * 1024
# In all; the pause between two reads is bounded anyhow.
READ_SECONDS = 60.0

_Holder = tuple[str, str]


@dataclass(slots=True)
class HeldBodies:
    """Counts what is held, over all requests of a worker: until it is sent, or its request ends."""

    max_bytes: int = MAX_HELD_BYTES
    max_bytes_each: int = MAX_HELD_BYTES_EACH
    seconds: float = READ_SECONDS
    _bytes: int = field(default=0, init=False)
    _of_each: Counter[_Holder] = field(default_factory=Counter, init=False)

    async def read(
        self, exchange: Exchange, request: RequestHead, limit_bytes: int, whose: Identity
    ) -> bytes:
        """Return the whole body, which ``exchange`` then gives once more to be sent on.

        ``Expect: 100-continue`` is answered, unless the body is over its bound already.

        Raises:
            PayloadTooLarge: It is over ``limit_bytes``.
            TooManyRequests: Too much of its caller's is held at this moment.
            ServiceUnavailable: Too much of everybody's is.
            DownstreamClosed: It did not come, or too slowly.
        """
        holder = (whose.issuer, whose.username)
        body = await self._read(exchange, request, limit_bytes, holder)
        exchange.put_back(body, partial(self._release, holder, len(body)))
        return body

    async def _read(
        self, exchange: Exchange, request: RequestHead, limit_bytes: int, holder: _Holder
    ) -> bytes:
        if isinstance(request.body, Length):
            _require_room(request.body.size_bytes, limit_bytes)
        body = bytearray()
        try:
            async with asyncio.timeout(self.seconds):
                while data := await exchange.receive_body():
                    _require_room(len(body) + len(data), limit_bytes)
                    self._count(holder, len(data))
                    body += data
        except BaseException as error:
            self._release(holder, len(body))
            if isinstance(error, TimeoutError):
                raise DownstreamClosed("the client sent its body too slowly") from None
            raise
        return bytes(body)

    def _count(self, holder: _Holder, size: int) -> None:
        if self._of_each[holder] + size > self.max_bytes_each:
            raise TooManyRequests(
                f'of User "{holder[1]}" kzproxy holds {self._of_each[holder]} bytes of requests\''
                " bodies, and no more of one user; send fewer at a time",
                retry_after_seconds=1,
            )
        if self._bytes + size > self.max_bytes:
            raise ServiceUnavailable(
                "kzproxy is reading too many request bodies; try again", retry_after_seconds=1
            )
        self._bytes += size
        self._of_each[holder] += size

    def _release(self, holder: _Holder, size: int) -> None:
        self._bytes -= size
        self._of_each[holder] -= size
        if not self._of_each[holder]:
            del self._of_each[holder]


def _require_room(size: int, limit_bytes: int) -> None:
    if size > limit_bytes:
        raise PayloadTooLarge(
            f"the body is over {limit_bytes} bytes, and a kzproxy rule asks for what is in it"
        )
