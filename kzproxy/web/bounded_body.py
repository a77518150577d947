"""The body of a request to the sign-in listener, never more of it than is wanted."""

import asyncio

from aiohttp import web

_READ_SECONDS = 10


class BodyRefused(Exception):
    """The body is too long, or does not come."""


async def bounded_body(request: web.Request, limit_bytes: int) -> bytes:
    """Return the whole body.

    Raises:
        BodyRefused: It is over ``limit_bytes``, or takes more than ten seconds.
    """
    if request.content_length is not None and request.content_length > limit_bytes:
        raise BodyRefused(f"the body is over {limit_bytes} bytes")
    body = bytearray()
    try:
        async with asyncio.timeout(_READ_SECONDS):
            async for part in request.content.iter_any():
                body += part
                if len(body) > limit_bytes:
                    raise BodyRefused(f"the body is over {limit_bytes} bytes")
    except TimeoutError as error:
        raise BodyRefused("the body does not come") from error
    return bytes(body)
