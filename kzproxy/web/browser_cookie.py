"""Tell one browser from another while somebody signs in in it.

Against login CSRF: what is begun in one browser is ended in the same one, or not at all.
"""

import hashlib
import hmac
import re

from aiohttp import web

from kzproxy.web.oauth_errors import OtherBrowser
from kzproxy.web.sign_in_flows import digest, new_secret

# The prefix makes browsers refuse the cookie from any other host or path, or without TLS.
COOKIE = "__Host-kzproxy-sign-in"
_VALUE = re.compile(r"[A-Za-z0-9_-]{43}")
_MAX_AGE_SECONDS = 3600


def browser_value(request: web.Request) -> str:
    """Return the browser's own value; empty where it has none."""
    value = request.cookies.get(COOKIE, "")
    return value if _VALUE.fullmatch(value) else ""


def remembered_in(response: web.Response, value: str) -> web.Response:
    """Give the browser its value, with ``response``.

    Lax and not Strict: the browser comes back by a link from the identity provider.
    """
    response.set_cookie(
        COOKIE,
        value,
        max_age=_MAX_AGE_SECONDS,
        secure=True,
        httponly=True,
        samesite="Lax",
        path="/",
    )
    return response


def value_or_new(request: web.Request) -> str:
    """Return the browser's value, or one for it to have."""
    return browser_value(request) or new_secret()


def check_browser(request: web.Request, known: str) -> None:
    """Refuse another browser than the one whose value has the digest ``known``.

    Raises:
        OtherBrowser: It is.
    """
    value = browser_value(request)
    if not value or not hmac.compare_digest(digest(value), known):
        raise OtherBrowser


def form_token(value: str, purpose: str) -> str:
    """Return what a form must hold that this browser was shown for ``purpose``.

    Nobody else can make it: pages of other sites cannot read the cookie, nor set it.
    """
    return hashlib.sha256(f"form\0{value}\0{purpose}".encode()).hexdigest()


def check_form(request: web.Request, token: str, purpose: str) -> None:
    """Refuse a form that this browser was not shown.

    Raises:
        OtherBrowser: It was not.
    """
    value = browser_value(request)
    if not value or not hmac.compare_digest(form_token(value, purpose).encode(), token.encode()):
        raise OtherBrowser
