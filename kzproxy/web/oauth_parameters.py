"""What browsers and clients send to the sign-in listener, read strictly.

RFC 6749 section 3.1: a parameter without a value is as if it were not there, and none comes twice.
"""

from collections.abc import Iterable, Mapping

from aiohttp import web

from kzproxy.errors.kinds import BadRequest, PayloadTooLarge
from kzproxy.web.bounded_form import MAX_FIELDS, bounded_form
from kzproxy.web.oauth_errors import OAuthError, PageRefusal, as_oauth

MAX_BODY_BYTES = 64 * 1024
"""A posture report and a certificate request are the longest, and under 16 KiB together."""

_MAX_CHARACTERS = 4096
_LONGER = {"posture": 48 * 1024, "csr": 8 * 1024}


class Parameters:
    """The parameters of one request."""

    def __init__(self, pairs: Iterable[tuple[str, str]]) -> None:
        self._values: dict[str, str] = {}
        self.fault = ""
        for number, (name, value) in enumerate(pairs):
            if number >= MAX_FIELDS:
                self.fault = "there are too many parameters"
                break
            if name in self._values:
                self.fault = f"the parameter {name[:64]!r} comes more than once"
            elif len(value) > _LONGER.get(name, _MAX_CHARACTERS):
                self.fault = f"the parameter {name[:64]!r} is too long"
            self._values[name] = value

    def __getitem__(self, name: str) -> str:
        """Return the value of ``name``; empty where there is none."""
        return self._values.get(name, "")

    def all(self) -> Mapping[str, str]:
        """Return all that have a value."""
        return {name: value for name, value in self._values.items() if value}


async def token_form(request: web.Request) -> Parameters:
    """Read a form that a client sends.

    Raises:
        OAuthError: ``invalid_request``.
    """
    if request.query_string:
        # RFC 6749 section 2.3.1: no credential in an address, which is logged on the way.
        raise OAuthError("invalid_request", "parameters belong in the body, not in the address")
    try:
        parameters = Parameters(await bounded_form(request, MAX_BODY_BYTES))
    except (BadRequest, PayloadTooLarge) as error:
        raise as_oauth(error) from error
    if parameters.fault:
        raise OAuthError("invalid_request", parameters.fault)
    return parameters


async def page_form(request: web.Request) -> Parameters:
    """Read a form that a page of ours sends.

    Raises:
        PageRefusal: It cannot be read.
    """
    try:
        return await token_form(request)
    except OAuthError as error:
        raise PageRefusal("The form cannot be read.", status=error.status) from error


def page_query(request: web.Request) -> Parameters:
    """Read the query of a page.

    Raises:
        PageRefusal: It cannot be read.
    """
    parameters = Parameters(request.query.items())
    if parameters.fault:
        # Not which one: no word of an address is shown on our pages.
        raise PageRefusal(
            "The address cannot be read: a parameter comes more than once or is too long, or there"
            " are too many."
        )
    return parameters
