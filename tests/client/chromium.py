"""A real browser for the sign-in tests, and the way a plugin's URL gets to it."""

import os
import shlex
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

# The foreign provider's pages ask for fonts from the Internet; nothing but loopback is talked to.
ARGUMENTS = [
    "--no-sandbox",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1",
]


@contextmanager
def chromium_page() -> Iterator[Page]:
    """Start headless Chromium with an empty profile for the block; give a page of it."""
    executable = shutil.which("chromium") or shutil.which("google-chrome")
    assert executable, "these tests need Chromium: run tests/install_chromium.sh"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=ARGUMENTS)
        try:
            # The provider's authority is this test's own; a person's would be known to the browser.
            yield browser.new_context(ignore_https_errors=True).new_page()
        finally:
            browser.close()


class UrlPipe:
    """What a plugin is given as its browser: it hands the URL to this test."""

    def __init__(self, directory: Path) -> None:
        self._fifo = directory / "browser"
        os.mkfifo(self._fifo, 0o600)

    @property
    def command(self) -> str:
        """Return the value of ``--browser-command``."""
        script = f'printf "%s\\n" "$1" > {shlex.quote(str(self._fifo))}'
        return shlex.join(["sh", "-c", script, "sh"])

    def url(self) -> str:
        """Wait until a browser is opened, and return with what URL."""
        with self._fifo.open() as pipe:
            return pipe.readline().strip()


def sign_in(page: Page, user: str) -> None:
    """Press through the foreign provider's pages, which are open on ``page``."""
    page.locator("input[name=login]").fill(user)
    page.locator("input[name=password]").fill("any")
    page.get_by_role("button", name="Sign-in").click()
    page.get_by_role("button", name="Continue").click()


def enter_device_code(page: Page, user: str, code: str) -> None:
    """Enter a device code at the foreign provider's page for it, and sign in."""
    page.locator("input[name=user_code]").fill(code)
    page.get_by_role("button", name="Continue").click()
    page.get_by_role("button", name="Continue").click()
    sign_in(page, user)
