"""The form in a request to the sign-in listener: in one encoding, with one reading.

Never by aiohttp's ``post``, which decodes with whatever codec the sender names: 60 KiB of idna or
punycode take the loop, that all requests share, half a second.
"""

from collections.abc import Sequence
from urllib.parse import parse_qsl

from aiohttp import web

from kzproxy.errors.kinds import BadRequest, UnsupportedMediaType
from kzproxy.web.bounded_body import bounded_body, media_type

MAX_FIELDS = 32

_FORM = "application/x-www-form-urlencoded"


async def bounded_form(request: web.Request, limit_bytes: int) -> Sequence[tuple[str, str]]:
    """Return names and values in the order that they came in; a name may come twice.

    Raises:
        BadRequest: It is no form, or has no reading.
        PayloadTooLarge: It is over ``limit_bytes``.
    """
    if media_type(request) != _FORM:
        raise UnsupportedMediaType(f"the body must be {_FORM}, in UTF-8")
    return form_fields(await bounded_body(request, limit_bytes))


def form_fields(body: bytes) -> Sequence[tuple[str, str]]:
    """Return names and values of a form.

    Raises:
        BadRequest: It has no reading.
    """
    if body.count(b"&") >= MAX_FIELDS:
        raise BadRequest(f"there are too many parameters, over {MAX_FIELDS}")
    if not body:
        return ()
    try:
        # All else than ASCII is percent-encoded in a form.
        return parse_qsl(
            body.decode("ascii"), keep_blank_values=True, strict_parsing=True, errors="strict"
        )
    except ValueError as error:
        raise BadRequest("the form cannot be read") from error
