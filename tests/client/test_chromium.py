"""Signing in at a foreign provider with a real browser."""

import json
import subprocess

import pytest

from kzproxy.client.id_token import read_claims
from tests.client.chromium import UrlPipe, chromium_page, enter_device_code, sign_in
from tests.client.plugin_runs import Plugin

pytestmark = pytest.mark.browser

PATIENCE_SECONDS = 60


def claims_given(process: "subprocess.Popen[str]") -> dict[str, object]:
    """Wait for the plugin's credential, and return its token's claims."""
    out, err = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 0, err
    return read_claims(json.loads(out)["status"]["token"])


def test_a_user_signs_in_with_chromium_and_kubectl_has_the_token(plugin: Plugin) -> None:
    pipe = UrlPipe(plugin.directory)
    with chromium_page() as page:
        complaints: list[str] = []
        page.on("pageerror", lambda error: complaints.append(str(error)))
        process = plugin.start(f"--browser-command={pipe.command}")
        page.goto(pipe.url())
        sign_in(page, "alice")
        page.get_by_role("heading", name="You are signed in").wait_for()
        claims = claims_given(process)
        assert page.url.startswith("http://127.0.0.1:")
        assert page.get_by_text("You can close this tab").is_visible()
        # The page's own policy lets its style in.
        assert page.evaluate("getComputedStyle(document.body).display") == "grid"
        assert complaints == []
    assert claims["sub"] == "alice"
    assert claims["groups"] == ["developers"]


def test_a_user_who_cancels_is_told_on_the_page_and_in_the_terminal(plugin: Plugin) -> None:
    pipe = UrlPipe(plugin.directory)
    with chromium_page() as page:
        process = plugin.start(f"--browser-command={pipe.command}")
        page.goto(pipe.url())
        page.get_by_role("link", name="Cancel").click()
        page.get_by_role("heading", name="Signing in did not work").wait_for()
        assert page.get_by_text("End-User aborted interaction").is_visible()
        _, said = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 1
    assert said.endswith("kzproxy: the issuer refused: End-User aborted interaction\n")


def test_a_user_enters_a_device_code_with_chromium(plugin: Plugin) -> None:
    process = plugin.start("--flow=device-code")
    assert process.stderr
    _, uri_line, code_line = (process.stderr.readline() for _ in range(3))
    with chromium_page() as page:
        page.goto(uri_line.split()[-1])
        enter_device_code(page, "bob", code_line.split()[-1])
        page.get_by_role("heading", name="Sign-in Success").wait_for()
        claims = claims_given(process)
    assert claims["sub"] == "bob"


def test_one_tab_serves_all_that_wait_for_it(plugin: Plugin) -> None:
    pipe = UrlPipe(plugin.directory)
    with chromium_page() as page:
        processes = [plugin.start(f"--browser-command={pipe.command}") for _ in range(5)]
        page.goto(pipe.url())
        sign_in(page, "alice")
        page.get_by_role("heading", name="You are signed in").wait_for()
        assert [claims_given(process)["sub"] for process in processes] == ["alice"] * 5
