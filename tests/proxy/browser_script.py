"""Stands in for a browser: goes where pages send it, and presses the button of one demo user.

Run as the client's ``--browser-command``: ``python browser_script.py --user USER --ca FILE URL``.
"""

import argparse
import html
import re
import sys
from urllib.parse import urljoin

import httpx

from kzproxy.demo.page_forms import forms

_ONWARD = re.compile(r'http-equiv="refresh" content="0; url=([^"]+)"')
_PAGES = 20


def go(client: httpx.Client, url: str, user: str) -> None:
    """Follow the pages from ``url`` to a page that leads nowhere."""
    answer = client.get(url)
    for _ in range(_PAGES):
        found = _ONWARD.search(answer.text)
        if answer.is_redirect:
            answer = client.get(urljoin(str(answer.url), answer.headers["location"]))
        elif found is not None:
            answer = client.get(urljoin(str(answer.url), html.unescape(found[1])))
        elif button := next((f for f in forms(answer.text) if ("user", user) in f.buttons), None):
            fields = {**button.fields, "user": user}
            answer = client.post(urljoin(str(answer.url), button.action), data=fields)
        else:
            return
    raise SystemExit(f"no end after {_PAGES} pages")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--user", required=True)
    parser.add_argument("--ca", required=True)
    parser.add_argument("url")
    options = parser.parse_args(sys.argv[1:])
    with httpx.Client(verify=options.ca, timeout=20, trust_env=False) as client:
        go(client, options.url, options.user)


if __name__ == "__main__":
    main()
