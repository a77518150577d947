"""Bind forms to the browser that they were shown to, so that no other site can send them."""

import hmac
import secrets

from aiohttp import web

from kzproxy.demo.idp_store import new_secret

# The prefix makes browsers refuse the cookie from any other host or path, or without TLS.
COOKIE = "__Host-kzproxy-demo-browser"
_MAX_COOKIE_CHARACTERS = 128


class FormGuard:
    """Makes and checks the token in a form: a MAC over browser cookie and purpose."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)

    def browser(self, request: web.Request) -> str:
        """Return the browser's own value: from its cookie, or a new one."""
        value = request.cookies.get(COOKIE, "")
        return value if 0 < len(value) <= _MAX_COOKIE_CHARACTERS else new_secret()

    def remember(self, response: web.Response, browser: str) -> None:
        """Give the browser its value.

        Lax, not Strict: pages open from the terminal or another site, and must find the value that
        the forms in other tabs were made with.
        """
        response.set_cookie(COOKIE, browser, secure=True, httponly=True, samesite="Lax", path="/")

    def token(self, browser: str, purpose: str) -> str:
        """Return the token for a form with this ``purpose``."""
        return hmac.new(self._key, f"{browser}\0{purpose}".encode(), "sha256").hexdigest()

    def holds(self, request: web.Request, token: str, purpose: str) -> bool:
        """Return whether ``token`` was made for this browser and ``purpose``."""
        browser = request.cookies.get(COOKIE, "")
        expected = self.token(browser, purpose)
        return bool(browser) and hmac.compare_digest(expected.encode(), token.encode())
