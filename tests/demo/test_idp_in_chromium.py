"""The demo's pages in a real browser: what a policy header forbids shows only there."""

import asyncio
import shutil
from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Page, async_playwright

from tests.conformance.oidc_provider import Conversation

pytestmark = pytest.mark.browser


@pytest.fixture
async def page() -> AsyncIterator[Page]:
    executable = shutil.which("chromium") or shutil.which("google-chrome")
    assert executable, "these tests need Chromium: install the package chromium"
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=executable, args=["--no-sandbox"]
        )
        try:
            # The demo's CA is not one that the browser knows; a person clicks through once.
            context = await browser.new_context(ignore_https_errors=True)
            yield await context.new_page()
        finally:
            await browser.close()


async def test_a_click_brings_the_browser_back_to_the_waiting_client(
    page: Page, talk: Conversation
):
    """Chromium holds redirects after a form to ``form-action``; curl and httpx do not."""
    asked: asyncio.Queue[bytes] = asyncio.Queue()

    async def client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.put_nowait(await reader.readline())
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(client, "127.0.0.1", 0) as waiting:
        redirect_uri = f"http://127.0.0.1:{waiting.sockets[0].getsockname()[1]}/callback"
        request = talk.http.build_request(
            "GET",
            talk.metadata["authorization_endpoint"],
            params=talk.authorization(redirect_uri=redirect_uri),
        )
        await page.goto(str(request.url))
        await page.get_by_role("button", name="Sign in as operator").click()
        answer = (await asyncio.wait_for(asked.get(), 20)).decode()
    code = answer.partition("code=")[2].partition("&")[0]
    tokens = (await talk.redeem(code, redirect_uri=redirect_uri)).json()
    assert (await talk.verified(tokens["id_token"]))["preferred_username"] == "operator"


async def test_a_terminal_is_let_in_with_the_keyboard_alone(page: Page, talk: Conversation):
    begun = await talk.begin_device()
    await page.goto(begun["verification_uri"])
    # Chromium gives the field its focus in a frame after the load: what is typed earlier is lost.
    await page.locator("input:focus").wait_for()
    await page.keyboard.type(begun["user_code"].lower().replace("-", " "))
    await page.keyboard.press("Enter")
    await page.get_by_text(begun["user_code"]).wait_for()
    await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    await page.get_by_role("heading", name="You are signed in").wait_for()
    tokens = (await talk.poll(begun["device_code"])).json()
    assert (await talk.verified(tokens["id_token"]))["preferred_username"] == "developer"


async def test_pages_need_nothing_that_their_policy_forbids(
    page: Page, talk: Conversation, under_test
):
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    request = talk.http.build_request(
        "GET", talk.metadata["authorization_endpoint"], params=talk.authorization()
    )
    for url in (f"{under_test.issuer}/", f"{under_test.issuer}/device", str(request.url)):
        await page.goto(url, wait_until="networkidle")
        radius = "getComputedStyle(document.querySelector('main')).borderTopLeftRadius"
        assert await page.evaluate(radius) == "14px"  # the style sheet was let in
        assert await page.evaluate("document.documentElement.lang") == "en"
    assert complaints == []
