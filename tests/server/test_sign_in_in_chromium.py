"""The sign-in pages in a real browser: what a policy header forbids shows only there."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from playwright.async_api import Page, async_playwright

from tests.proxy.sign_in_world import DEVICE_CODE_GRANT, SignInWorld, running_sign_in_world
from tests.servers.authority import Authority
from tests.servers.scripted_api_server import scripted_api_server

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SignInWorld]:
    directory, authority = tmp_path_factory.mktemp("sign-in-pages"), Authority.root()
    with (
        scripted_api_server(directory, authority) as server,
        running_sign_in_world(directory, authority, server.upstream()) as world,
    ):
        yield world


@pytest.fixture
async def page() -> AsyncIterator[Page]:
    executable = shutil.which("chromium") or shutil.which("google-chrome")
    assert executable, "these tests need Chromium: install the package chromium"
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=executable, args=["--no-sandbox"]
        )
        try:
            # The CA of the tests is not one that the browser knows.
            context = await browser.new_context(ignore_https_errors=True)
            yield await context.new_page()
        finally:
            await browser.close()


async def shot(page: Page, name: str) -> None:
    """Keep a picture where somebody wants to look at them."""
    directory = os.environ.get("KZPROXY_TEST_PICTURES")
    if directory:
        await page.screenshot(path=Path(directory) / f"{name}.png", full_page=True)


async def test_a_click_at_the_provider_brings_the_browser_to_the_waiting_client(
    page: Page, world: SignInWorld
):
    """Two redirects after a form lead to two other origins; Chromium would stop the second."""
    asked: asyncio.Queue[bytes] = asyncio.Queue()

    async def client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.put_nowait(await reader.readline())
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    machine = world.machine()
    async with await asyncio.start_server(client, "127.0.0.1", 0) as waiting:
        redirect_uri = f"http://127.0.0.1:{waiting.sockets[0].getsockname()[1]}/callback"
        await page.goto(machine.authorization(redirect_uri=redirect_uri))
        await page.get_by_role("button", name="Sign in as operator").click()
        answer = (await asyncio.wait_for(asked.get(), 20)).decode()
    code = answer.partition("code=")[2].partition("&")[0]
    response = await asyncio.to_thread(machine.redeem, code, redirect_uri=redirect_uri)
    assert response.json()["username"] == "idp:operator"


async def test_a_terminal_is_let_in_with_the_keyboard_alone(page: Page, world: SignInWorld):
    machine = world.machine()
    begun = (
        await asyncio.to_thread(machine.post, "/device_authorization", {"machine": "build-7"})
    ).json()
    await page.goto(begun["verification_uri"])
    await shot(page, "device")
    # Chromium gives the field its focus in a frame after the load: what is typed earlier is lost.
    await page.locator("input:focus").wait_for()
    await page.keyboard.type("bbbb bbbb")
    await page.keyboard.press("Enter")
    await page.get_by_role("alert").wait_for()
    await shot(page, "device-wrong")
    await page.locator("input:focus").wait_for()
    await page.keyboard.press("Control+A")
    await page.keyboard.type(begun["user_code"].lower().replace("-", " "))
    await page.keyboard.press("Enter")
    await page.get_by_text(begun["user_code"]).wait_for()
    await shot(page, "device-confirm")
    await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    await page.get_by_role("button", name="Sign in as developer").click()
    await page.get_by_role("heading", name="You are signed in").wait_for()
    await shot(page, "device-done")
    form = {
        "grant_type": DEVICE_CODE_GRANT,
        "device_code": begun["device_code"],
        "csr": machine.csr,
    }
    response = await asyncio.to_thread(machine.post, "/token", form)
    assert response.json()["username"] == "idp:developer"


async def test_a_code_to_paste_is_shown_and_can_be_read_by_everybody(
    page: Page, world: SignInWorld
):
    machine = world.machine()
    await page.goto(machine.authorization(redirect_uri=f"{world.url}/code"))
    await page.get_by_role("button", name="Sign in as operator").click()
    await page.get_by_role("heading", name="Take this to your terminal").wait_for()
    code = await page.locator(".shown").inner_text()
    await shot(page, "code")
    await page.set_viewport_size({"width": 320, "height": 640})
    wide = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
    assert await page.evaluate(wide) is False
    response = await asyncio.to_thread(machine.redeem, code, redirect_uri=f"{world.url}/code")
    assert response.json()["username"] == "idp:operator"


async def test_a_refusal_at_the_provider_is_a_page_that_says_so(page: Page, world: SignInWorld):
    machine = world.machine()
    await page.goto(machine.authorization(redirect_uri=f"{world.url}/code"))
    await page.get_by_role("button", name="Cancel").click()
    await page.get_by_role("heading", name="You are not signed in").wait_for()
    await page.get_by_text("turned the sign-in down").wait_for()
    await shot(page, "refused")


async def test_pages_need_nothing_that_their_policy_forbids(page: Page, world: SignInWorld):
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    for place in ("/", "/device", "/code"):
        await page.goto(f"{world.url}{place}", wait_until="networkidle")
        radius = "getComputedStyle(document.querySelector('main')).borderTopLeftRadius"
        assert await page.evaluate(radius) == "14px"  # the style sheet was let in
        assert await page.evaluate("document.documentElement.lang") == "en"
        assert len(await page.locator("h1").all()) == 1
    assert complaints == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_pages_look_well_on_a_small_screen_and_in_the_dark(
    page: Page, world: SignInWorld, scheme: str
):
    await page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    await page.set_viewport_size({"width": 360, "height": 640})
    for name, place in (("front", "/"), ("device", "/device"), ("code", "/code")):
        await page.goto(f"{world.url}{place}")
        wide = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
        assert await page.evaluate(wide) is False
        await shot(page, f"{name}-{scheme}-small")
