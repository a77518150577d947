"""What ends badly is a page for people, and JSON for clients."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from msgspec.structs import replace

from kzproxy.store.sealing import Sealer
from kzproxy.web.browser_cookie import COOKIE, form_token
from kzproxy.web.sign_in import SignInApplication
from kzproxy.web.sign_in_desk import SignInDesk
from kzproxy.web.sign_in_flows import SignInFlows
from tests.devices.machine import Machine

Client = TestClient[web.Request, web.Application]
HOST = {"Host": "kzproxy.example"}
BROWSER = "b" * 43
TYPED = {"user_code": "BBBB-BBBB", "form_token": form_token(BROWSER, "type the code")}
ASKED = {"client_id": "kzproxy-cli"}
CODE = ASKED | {"grant_type": "urn:ietf:params:oauth:grant-type:device_code", "device_code": "c"}


class SilentStore:
    """Stands in for a store whose disk does not answer, or whose file is none."""

    def __init__(self, fault: Exception | None) -> None:
        self._fault = fault

    async def get(self, *_: Any) -> None:
        await self.write()

    async def write(self, *_: Any) -> None:
        if self._fault is not None:
            raise self._fault
        await asyncio.Event().wait()


def application(
    desk: SignInDesk, fault: Exception | None, answer_seconds: float
) -> web.Application:
    flows = SignInFlows(SilentStore(fault), Sealer([b"k" * 32]), desk.clock)  # type: ignore[arg-type]
    silent = replace(desk, flows=flows)
    application = SignInApplication(silent, None, None, answer_seconds=answer_seconds)  # type: ignore[arg-type]
    return application.build()


@pytest.fixture
async def late(desk: SignInDesk) -> AsyncIterator[Client]:
    async with TestClient(TestServer(application(desk, None, 0.2))) as client:
        yield client


@pytest.fixture
async def broken(desk: SignInDesk) -> AsyncIterator[Client]:
    # Long enough: what takes too long is told so, and not as a bug.
    served = application(desk, RuntimeError("a bug"), 60)
    async with TestClient(TestServer(served)) as client:
        yield client


@pytest.fixture
def csr() -> str:
    return Machine().csr()


async def test_a_client_is_told_in_json_that_it_took_too_long(late: Client, csr: str) -> None:
    for path, form in (("/token", CODE | {"csr": csr}), ("/device_authorization", ASKED)):
        answer = await late.post(path, data=form, headers=HOST)
        assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
        assert (await answer.json())["error"] == "temporarily_unavailable"
        assert answer.headers["Cache-Control"] == "no-store"


async def test_a_person_is_shown_a_page_that_says_so(late: Client) -> None:
    headers = HOST | {"Cookie": f"{COOKIE}={BROWSER}"}
    answer = await late.post("/device", data=TYPED, headers=headers)
    assert (answer.status, answer.content_type) == (503, "text/html")
    assert "took too long" in await answer.text()


async def test_of_a_bug_each_is_told_in_their_way_and_neither_what_it_is(
    broken: Client, csr: str
) -> None:
    answer = await broken.post("/token", data=CODE | {"csr": csr}, headers=HOST)
    assert (answer.status, (await answer.json())["error"]) == (500, "server_error")
    headers = HOST | {"Cookie": f"{COOKIE}={BROWSER}"}
    page = await broken.post("/device", data=TYPED, headers=headers)
    assert (page.status, page.content_type) == (500, "text/html")
    assert "a bug" not in await page.text() + await answer.text()
