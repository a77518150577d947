"""Request bodies that are held whole while they are judged, and bounded all together."""

import asyncio
from dataclasses import dataclass, field

from kzproxy.errors.kinds import DownstreamClosed, PayloadTooLarge, ServiceUnavailable
from kzproxy.http.messages import Length, RequestHead
from kzproxy.transport.exchange import Exchange

# Of one worker. A manifest has a few KiB; twenty users may still send the largest at a time.
MAX_HELD_BYTES = 64 * 1024 * 1024
# In all; the pause between two reads is bounded anyhow.
READ_SECONDS = 60.0


@dataclass(slots=True)
class HeldBodies:
    """Counts what is being read, over all requests of a worker."""

    max_bytes: int = MAX_HELD_BYTES
    seconds: float = READ_SECONDS
    _bytes: int = field(default=0, init=False)

    async def read(self, exchange: Exchange, request: RequestHead, limit_bytes: int) -> bytes:
        """Return the whole body, which ``exchange`` then gives once more to be sent on.

        ``Expect: 100-continue`` is answered, unless the body is over its bound already.

        Raises:
            PayloadTooLarge: It is over ``limit_bytes``.
            ServiceUnavailable: Too much is being read at this moment.
            DownstreamClosed: It did not come, or too slowly.
        """
        body = await self._read(exchange, request, limit_bytes)
        exchange.put_back(body)
        return body

    async def _read(self, exchange: Exchange, request: RequestHead, limit_bytes: int) -> bytes:
        too_large = PayloadTooLarge(
            f"the body is over {limit_bytes} bytes, and a kzproxy rule asks for what is in it"
        )
        if isinstance(request.body, Length) and request.body.size_bytes > limit_bytes:
            raise too_large
        body = bytearray()
        try:
            async with asyncio.timeout(self.seconds):
                while data := await exchange.receive_body():
                    if len(body) + len(data) > limit_bytes:
                        raise too_large
                    self._count(len(data))
                    body += data
        except TimeoutError:
            raise DownstreamClosed("the client sent its body too slowly") from None
        finally:
            self._bytes -= len(body)
        return bytes(body)

    def _count(self, size: int) -> None:
        if self._bytes + size > self.max_bytes:
            raise ServiceUnavailable(
                "kzproxy is reading too many request bodies; try again", retry_after_seconds=1
            )
        self._bytes += size
