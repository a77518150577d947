"""Sign in at the demo identity provider without a browser: fetch its pages and press its buttons.

``kzproxy demo --as USER`` has the ordinary client call this where it would open a browser:
``python -m kzproxy.demo.page_agent --user USER --ca FILE URL``. Everything else of the sign-in is
what it is with a browser. It works for no other provider, and does not try to.
"""

import argparse
import asyncio
import ssl
import sys
from collections.abc import Sequence
from urllib.parse import urljoin, urlsplit

import httpx

from kzproxy.demo.page_forms import Form, forms

MAX_PAGES = 10
MAX_PAGE_BYTES = 1024 * 1024
TIMEOUT_SECONDS = 20.0


class PageAgentFailure(Exception):
    """The pages did not lead to a sign-in; the text says where it ended."""


async def press_through(client: httpx.AsyncClient, url: str, user: str) -> str:
    """Follow the pages from ``url``, signing in as ``user``.

    Returns:
        The address outside the provider that they lead to, not yet fetched; empty where they end
        at a page without a form, as a device sign-in does.

    Raises:
        PageAgentFailure: A page is in the way.
        httpx.HTTPError: The provider cannot be reached.
    """
    response = await client.get(url)
    for _ in range(MAX_PAGES):
        if response.is_redirect:
            target = urljoin(str(response.url), response.headers["location"])
            if _origin(target) != _origin(url):
                return target
            response = await client.get(target)
            continue
        page = _page(response)
        found = _next_form(forms(page), user)
        if found is None:
            return _ended(response, page, user)
        form, fields = found
        response = await client.post(urljoin(str(response.url), form.action), data=fields)
    raise PageAgentFailure(f"still no end after {MAX_PAGES} pages")


def _next_form(found: Sequence[Form], user: str) -> tuple[Form, dict[str, str]] | None:
    """Return the form to send: one with a button for ``user``, else one with a code filled in."""
    for form in found:
        if ("user", user) in form.buttons:
            return form, {**form.fields, "user": user}
    for form in found:
        if form.fields.get("user_code"):
            return form, form.fields
    return None


def _page(response: httpx.Response) -> str:
    if response.status_code != httpx.codes.OK:
        raise PageAgentFailure(
            f"{_bare(str(response.url))} answered {response.status_code} {response.reason_phrase}"
        )
    if len(response.content) > MAX_PAGE_BYTES:
        raise PageAgentFailure(f"{_bare(str(response.url))} is no page of the demo: too long")
    return response.text


def _ended(response: httpx.Response, page: str, user: str) -> str:
    if forms(page):
        raise PageAgentFailure(f"{_bare(str(response.url))} has no button for {user!r}")
    return ""


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc


def _bare(url: str) -> str:
    """Return the address without its query, which may hold a code or a state."""
    return url.partition("?")[0]


async def _deliver(client: httpx.AsyncClient, url: str) -> None:
    """Bring the answer to the client that waits on loopback, as the browser would."""
    parts = urlsplit(url)
    if parts.scheme != "http" or parts.hostname not in {"127.0.0.1", "::1"}:
        raise PageAgentFailure(f"led to {_bare(url)}, which is not a client on this machine")
    await client.get(url)


async def _run(url: str, *, user: str, ca_file: str) -> None:
    tls = ssl.create_default_context(cafile=ca_file)
    # trust_env off: a proxy named in the environment has no business between two loopback ends.
    async with httpx.AsyncClient(verify=tls, timeout=TIMEOUT_SECONDS, trust_env=False) as client:
        answer = await press_through(client, url, user)
        if answer:
            await _deliver(client, answer)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run as a command; return its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m kzproxy.demo.page_agent", description="Sign in at the demo by script."
    )
    parser.add_argument("--user", required=True, help="whom to sign in as")
    parser.add_argument("--ca", required=True, help="the demo's certificate authority, PEM")
    parser.add_argument("url", help="the page to begin at")
    options = parser.parse_args(arguments)
    try:
        asyncio.run(_run(options.url, user=options.user, ca_file=options.ca))
    except (PageAgentFailure, httpx.HTTPError, OSError) as error:
        print(f"demo sign-in as {options.user}: {error}", file=sys.stderr)  # noqa: T201 a command
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
