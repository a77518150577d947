"""The pages of the sign-in listener, and the headers that go with every answer."""

from collections.abc import Mapping
from pathlib import Path

from aiohttp import web
from jinja2 import DictLoader, Environment, StrictUndefined

_DIRECTORY = Path(__file__).with_name("pages")
_FILES = {"style.css": "text/css", "icon.svg": "image/svg+xml"}

EVERY_ANSWER = {
    "Cache-Control": "no-store",
    "Pragma": "no-cache",  # RFC 6749 section 5.1 asks for it by name
    "Server": "kzproxy",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none';"
        " frame-ancestors 'none'; form-action 'self'"
    ),
}


def add_security_headers(response: web.StreamResponse, host: str) -> None:
    """Add what belongs on every answer of ``host``, page or not."""
    response.headers.update(EVERY_ANSWER)
    name = host.partition(":")[0]
    # It holds for all ports of a name, and on localhost others serve without TLS.
    if name != "localhost" and not name.endswith(".localhost"):
        response.headers["Strict-Transport-Security"] = "max-age=31536000"


class Pages:
    """Renders pages; values are escaped, and one that is missing is an error."""

    def __init__(self, *, host: str) -> None:
        """Take the name of this kzproxy, which every page shows."""
        self._host = host
        # Read now: files that an upgrade puts in their place fit another version.
        templates = {file.name: file.read_text("utf-8") for file in _DIRECTORY.glob("*.html")}
        self._environment = Environment(
            loader=DictLoader(templates),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._files = {name: (_DIRECTORY / name).read_text("utf-8") for name in _FILES}

    def page(
        self, template: str, values: Mapping[str, object] | None = None, *, status: int = 200
    ) -> web.Response:
        """Return a page; ``template`` is its name without ``.html``."""
        text = self._environment.get_template(f"{template}.html").render(
            host=self._host, **(values or {})
        )
        return web.Response(text=text, status=status, content_type="text/html", charset="utf-8")

    def message(self, title: str, text: str, *, status: int = 200, mood: str = "") -> web.Response:
        """Return a page that only says something; ``mood`` is ``good``, ``bad`` or empty."""
        return self.page("message", {"title": title, "text": text, "mood": mood}, status=status)

    def onward(self, title: str, text: str, url: str, *, mood: str = "") -> web.Response:
        """Return a page that leads to ``url`` by itself.

        A redirect would not do: Chromium holds every redirect that follows a form to the
        ``form-action`` of the page with that form, and that page is the identity provider's, which
        knows this listener and not where a client waits (github.com/w3c/webappsec-csp issue 8).
        """
        return self.page("onward", {"title": title, "text": text, "url": url, "mood": mood})

    def file(self, name: str) -> web.Response:
        """Return one of the files that pages name: ``style.css`` or ``icon.svg``."""
        return web.Response(text=self._files[name], content_type=_FILES[name], charset="utf-8")
