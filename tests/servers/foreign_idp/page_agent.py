"""Stands in for a user with a browser at the foreign provider's pages, where no page is looked at.

    python -m tests.servers.foreign_idp.page_agent --user NAME --ca FILE [--log FILE] URL

follows URL, signs in and consents, and ends by calling the address that it is sent back to, as a
browser does. Each start is one line in the log: so many tabs were opened.
"""

import argparse
import ssl
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urljoin

import httpx

MAX_PAGES = 12


class PageForm(HTMLParser):
    """The first form of a page: where it goes, and its hidden fields."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.action: str | None = None
        self.fields: dict[str, str] = {}

        self.abort_link = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag == "form" and self.action is None:
            self.action = values.get("action") or ""
        if tag == "a" and (values.get("href") or "").endswith("/abort"):
            self.abort_link = values["href"] or ""
        name, value = values.get("name"), values.get("value")
        if tag == "input" and values.get("type") == "hidden" and name:
            self.fields[name] = value or ""


def press_through(
    client: httpx.Client, url: str, user: str, *, user_code: str = "", deny: bool = False
) -> httpx.Response:
    """Follow the pages from ``url`` to their end and return the last one.

    With ``deny`` the user presses Cancel at the first page that has one.
    """
    response = client.get(url)
    for _ in range(MAX_PAGES):
        if response.is_redirect:
            response = client.get(urljoin(str(response.url), response.headers["location"]))
            continue
        form = PageForm(response.text)
        if form.action is None:
            return response
        if deny and form.abort_link:
            response = client.get(urljoin(str(response.url), form.abort_link))
            continue
        fields = dict(form.fields)
        if fields.get("prompt") == "login":
            fields |= {"login": user, "password": "any"}
        elif "xsrf" in fields and "user_code" not in fields:
            fields["user_code"] = user_code
        elif "user_code" in fields:
            fields["confirm"] = "yes"
        response = client.post(urljoin(str(response.url), form.action), data=fields)
    raise RuntimeError(f"still no end after {MAX_PAGES} pages")


def browser(ca_file: Path) -> httpx.Client:
    """Return a client with cookies of its own, which leaves redirects to its user."""
    return httpx.Client(verify=ssl.create_default_context(cafile=ca_file), timeout=20)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--user", required=True)
    parser.add_argument("--ca", type=Path, required=True)
    parser.add_argument("--log", type=Path)
    parser.add_argument("--deny", action="store_true")
    parser.add_argument("url")
    options = parser.parse_args()
    if options.log:
        with options.log.open("a") as log:
            log.write(options.url + "\n")
    with browser(options.ca) as client:
        press_through(client, options.url, options.user, deny=options.deny)


if __name__ == "__main__":
    main()
