"""Request bodies that are held whole while they are judged, and bounded all together."""

import asyncio
from dataclasses import dataclass, field

from kzproxy.attributes.identity import Identity
from kzproxy.enforcement.held_bytes import Held, HeldBytes
from kzproxy.errors.kinds import DownstreamClosed, PayloadTooLarge
from kzproxy.http.messages import Length, RequestHead
from kzproxy.transport.exchange import Exchange

# Of one worker. A manifest has a few KiB; twenty users may still send the largest at a time.
MAX_HELD_BYTES = 64 * 1024 * 1024
# Of one identity, so that nobody keeps all others from theirs.
MAX_HELD_BYTES_EACH = 16 * 1024 * 1024
# In all; the pause between two reads is bounded anyhow.
READ_SECONDS = 60.0


def _counted() -> HeldBytes:
    return HeldBytes("request bodies", MAX_HELD_BYTES, MAX_HELD_BYTES_EACH)


@dataclass(slots=True)
class HeldBodies:
    """Reads bodies, which are held until they are sent, or their request ends."""

    counted: HeldBytes = field(default_factory=_counted)
    seconds: float = READ_SECONDS

    async def read(
        self, exchange: Exchange, request: RequestHead, limit_bytes: int, whose: Identity, why: str
    ) -> bytes:
        """Return the whole body, which ``exchange`` then gives once more to be sent on.

        ``Expect: 100-continue`` is answered, unless the body is over its bound already. ``why`` it
        is read is told to whoever sends too much.

        Raises:
            PayloadTooLarge: It is over ``limit_bytes``.
            TooManyRequests: Too much of its caller's is held at this moment.
            ServiceUnavailable: Too much of everybody's is.
            DownstreamClosed: It did not come, or too slowly.
        """
        held = self.counted.of(whose)
        body = await self._read(exchange, request, limit_bytes, held, why)
        exchange.put_back(body, held.let_go)
        return body

    async def _read(
        self, exchange: Exchange, request: RequestHead, limit_bytes: int, held: Held, why: str
    ) -> bytes:
        if isinstance(request.body, Length):
            _require_room(request.body.size_bytes, limit_bytes, why)
        body = bytearray()
        try:
            async with asyncio.timeout(self.seconds):
                while data := await exchange.receive_body():
                    _require_room(len(body) + len(data), limit_bytes, why)
                    held.hold(len(body) + len(data))
                    body += data
        except BaseException as error:
            held.let_go()
            if isinstance(error, TimeoutError):
                raise DownstreamClosed("the client sent its body too slowly") from None
            raise
        return bytes(body)


def _require_room(size: int, limit_bytes: int, why: str) -> None:
    if size > limit_bytes:
        raise PayloadTooLarge(f"the body is over {limit_bytes} bytes, and {why}")
