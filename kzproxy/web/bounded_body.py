"""The body of a request to the sign-in listener, never more of it than is wanted."""

import asyncio
import re

from aiohttp import web

from kzproxy.errors.kinds import BadRequest, PayloadTooLarge, UnsupportedMediaType

READ_SECONDS = 10

# Compared as a text: to take the header apart, as aiohttp does, takes most of a second of the loop
# where a stranger makes it so, and decodes by whatever codec it names (RFC 2231).
_MEDIA_TYPE = re.compile(r'([^\s;]+)(?:[ \t]*;[ \t]*charset=(?:utf-8|"utf-8"))?', re.IGNORECASE)


def media_type(request: web.Request) -> str:
    """Return what the body is, in lower case; empty where that is not said plainly.

    No parameter may stand there but ``charset=utf-8``.
    """
    said = request.headers.getall("Content-Type", [])
    match = _MEDIA_TYPE.fullmatch(said[0].strip()) if len(said) == 1 else None
    return "" if match is None else match[1].lower()


async def bounded_body(request: web.Request, limit_bytes: int) -> bytes:
    """Return the whole body, which must come as it is.

    Raises:
        BadRequest: It is encoded, breaks off, or takes more than ten seconds.
        PayloadTooLarge: It is over ``limit_bytes``.
    """
    if "Content-Encoding" in request.headers:
        raise UnsupportedMediaType("the body must come without a Content-Encoding")
    too_large = f"the body is over {limit_bytes} bytes"
    if request.content_length is not None and request.content_length > limit_bytes:
        raise PayloadTooLarge(too_large)
    body = bytearray()
    try:
        async with asyncio.timeout(READ_SECONDS):
            async for part in request.content.iter_any():
                body += part
                if len(body) > limit_bytes:
                    raise PayloadTooLarge(too_large)
    except TimeoutError as error:
        raise BadRequest("the body does not come") from error
    except (web.RequestPayloadError, ConnectionError) as error:
        raise BadRequest("the body breaks off") from error
    return bytes(body)
