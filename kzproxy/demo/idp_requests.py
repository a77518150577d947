"""Read what browsers and clients send to the demo identity provider."""

from aiohttp import web

from kzproxy.demo.idp_errors import OAuthError, PageRefusal
from kzproxy.demo.idp_forms import Parameters

# Tokens and ID token hints are a few KiB; nothing that is sent here is long.
MAX_BODY_BYTES = 64 * 1024
_FORM = "application/x-www-form-urlencoded"


async def form_parameters(request: web.Request) -> Parameters:
    """Read a form.

    Raises:
        OAuthError: ``invalid_request``: it is something else.
        HTTPRequestEntityTooLarge: It is over ``MAX_BODY_BYTES``.
    """
    if request.content_type != _FORM:
        raise OAuthError("invalid_request", f"the body must be {_FORM}")
    form = await request.post()
    return Parameters((name, value) for name, value in form.items() if isinstance(value, str))


async def page_parameters(request: web.Request) -> Parameters:
    """Read a form that a page of ours sends.

    Raises:
        PageRefusal: It cannot be read.
    """
    try:
        parameters = await form_parameters(request)
    except OAuthError as error:
        raise PageRefusal(error.description) from error
    if parameters.fault:
        raise PageRefusal(f"The form cannot be read: {parameters.fault}.")
    return parameters


def query_parameters(request: web.Request) -> Parameters:
    """Read the query."""
    return Parameters(request.query.items())
