"""The pages of the demo identity provider, and the headers that go with every answer."""

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from aiohttp import web
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from kzproxy.demo.idp_users import DEMO_USERS

_DIRECTORY = Path(__file__).with_name("pages")
_FILES = {"style.css": "text/css", "icon.svg": "image/svg+xml"}

_EVERY_ANSWER = {
    "Cache-Control": "no-store",
    "Pragma": "no-cache",  # RFC 6749 section 5.1 asks for it by name
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def add_security_headers(response: web.StreamResponse) -> None:
    """Add what belongs on every answer, page or not."""
    response.headers.update(_EVERY_ANSWER)
    response.headers.setdefault("Content-Security-Policy", content_security_policy())


def content_security_policy(*, redirect_uri: str = "") -> str:
    """Return the policy of a page; one with a form that ends at ``redirect_uri`` says so.

    Chromium holds the redirect that answers a form to ``form-action`` too, so the client's own
    origin must stand there (github.com/w3c/webappsec-csp issue 8).
    """
    targets = "'self'"
    if redirect_uri:
        parts = urlsplit(redirect_uri)
        targets += f" {parts.scheme}://{parts.netloc}"
    return (
        "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none';"
        f" frame-ancestors 'none'; form-action {targets}"
    )


class Pages:
    """Renders pages; values are escaped, and one that is missing is an error."""

    def __init__(self, *, issuer: str) -> None:
        self._issuer = issuer
        self._environment = Environment(
            loader=FileSystemLoader(_DIRECTORY),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._files = {name: (_DIRECTORY / name).read_text("utf-8") for name in _FILES}

    def page(
        self,
        template: str,
        values: Mapping[str, object] | None = None,
        *,
        status: int = 200,
        redirect_uri: str = "",
    ) -> web.Response:
        """Return a page.

        Args:
            template: Its name, without ``.html``.
            values: What it shows.
            status: The HTTP status.
            redirect_uri: Where its form may lead besides this provider; empty for nowhere.
        """
        text = self._environment.get_template(f"{template}.html").render(
            issuer=self._issuer, users=DEMO_USERS, **(values or {})
        )
        return web.Response(
            text=text,
            status=status,
            content_type="text/html",
            charset="utf-8",
            headers={"Content-Security-Policy": content_security_policy(redirect_uri=redirect_uri)},
        )

    def message(self, title: str, text: str, *, status: int = 200, mood: str = "") -> web.Response:
        """Return a page that only says something; ``mood`` is ``good``, ``bad`` or empty."""
        return self.page("message", {"title": title, "text": text, "mood": mood}, status=status)

    def file(self, name: str) -> web.Response:
        """Return one of the files that pages name: ``style.css`` or ``icon.svg``."""
        return web.Response(text=self._files[name], content_type=_FILES[name], charset="utf-8")
