"""Which client asks by itself: a public one by its name, a confidential one by its secret too.

RFC 6749 section 2.3.1: the secret comes in the header or in the form, never in both.
"""

import base64
import binascii
import hmac
from collections.abc import Mapping
from urllib.parse import unquote_plus

from aiohttp import web

from kzproxy.demo.idp_clients import Client
from kzproxy.demo.idp_errors import OAuthError
from kzproxy.demo.idp_forms import Parameters
from kzproxy.demo.idp_requests import form_parameters

_BASIC = "basic "


async def authenticated_client(
    request: web.Request, clients: Mapping[str, Client]
) -> tuple[Parameters, Client]:
    """Read the form that a client sends, and say which it is.

    Raises:
        OAuthError: It cannot be read; or ``invalid_client``.
    """
    parameters = await form_parameters(request)
    if parameters.fault:
        raise OAuthError("invalid_request", parameters.fault)
    name, secret = _presented(request, parameters)
    client = clients.get(name)
    if client is None:
        raise _refused("no client of this name is registered")
    if not client.secret and (secret or "Authorization" in request.headers):
        # A secret that is not checked must not look as if it were.
        raise _refused("this client has no secret")
    if not hmac.compare_digest(secret.encode(), client.secret.encode()):
        raise _refused("the client's secret is missing or wrong")
    return parameters, client


def _presented(request: web.Request, parameters: Parameters) -> tuple[str, str]:
    header = request.headers.get("Authorization", "")
    if not header:
        return parameters["client_id"], parameters["client_secret"]
    if parameters["client_secret"]:
        raise OAuthError("invalid_request", "the client authenticates in two ways")
    name, secret = _basic(header)
    if parameters["client_id"] not in {"", name}:
        raise OAuthError("invalid_request", "the client calls itself by two names")
    return name, secret


def _basic(header: str) -> tuple[str, str]:
    if not header.lower().startswith(_BASIC):
        raise _refused("the client authenticates in an unknown way")
    try:
        pair = base64.b64decode(header[len(_BASIC) :].strip(), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError) as error:
        raise _refused("the Authorization header cannot be read") from error
    name, _, secret = pair.partition(":")
    return unquote_plus(name), unquote_plus(secret)


def _refused(description: str) -> OAuthError:
    return OAuthError("invalid_client", description, status=401)
