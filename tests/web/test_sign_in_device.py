"""Codes that are typed are few, however many are typed at the same time."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass

import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from kzproxy.web.browser_cookie import COOKIE, form_token
from kzproxy.web.sign_in_browser import BrowserSignIn
from kzproxy.web.sign_in_desk import WRONG_CODES_PER_MINUTE, SignInDesk
from kzproxy.web.sign_in_device import DeviceSignIn, UserCode
from kzproxy.web.sign_in_flows import DEVICE_LIFE, DeviceFlow, Person, user_code_key
from tests.policy.samples import WEDNESDAY_MORNING

BROWSER = "b" * 43
TYPING = "type the code"


@dataclass
class Terminals:
    """The pages where codes are typed, and terminals that wait."""

    http: "TestClient[web.Request, web.Application]"

    async def begin(self) -> str:
        """Have a terminal wait; return its code."""
        begun = await self.http.post("/device_authorization", data={"client_id": "kzproxy-cli"})
        code: str = (await begun.json())["user_code"]
        return code

    async def type(self, code: str) -> int:
        """Type a code; return the status of the page that comes."""
        form = {"user_code": code, "form_token": form_token(BROWSER, TYPING)}
        cookie = {"Cookie": f"{COOKIE}={BROWSER}"}
        return (await self.http.post("/device", data=form, headers=cookie)).status


@pytest.fixture
async def terminals(desk: SignInDesk) -> AsyncIterator[Terminals]:
    device = DeviceSignIn(desk, BrowserSignIn(desk))
    application = web.Application()
    application.router.add_post("/device_authorization", device.begin)
    application.router.add_post("/device", device.check_code)
    async with TestClient(TestServer(application)) as http:
        yield Terminals(http)


async def test_codes_that_are_typed_at_once_are_no_more_than_those_typed_in_turn(
    terminals: Terminals,
) -> None:
    pages = await asyncio.gather(*(terminals.type("BBBB-BBBB") for _ in range(60)))
    assert Counter(pages) == {400: WRONG_CODES_PER_MINUTE, 429: 60 - WRONG_CODES_PER_MINUTE}


async def test_a_code_that_is_right_is_no_wrong_one(terminals: Terminals) -> None:
    code = await terminals.begin()
    for _ in range(2 * WRONG_CODES_PER_MINUTE):
        assert await terminals.type(code) == 200


ANN = Person(
    username="ann",
    issuer="https://idp.example.com",
    subject="00u1",
    refresh_token="",
    begun_at=WEDNESDAY_MORNING,
    signed_in_at=WEDNESDAY_MORNING,
)


@pytest.mark.parametrize(
    "decided",
    [{"denied": True}, {"session": "s-1"}, {"person": ANN}],
    ids=lambda one: next(iter(one)),
)
async def test_a_code_that_somebody_has_decided_on_waits_for_nobody_else(
    terminals: Terminals, desk: SignInDesk, decided: dict[str, object]
) -> None:
    code = await terminals.begin()
    typed = await desk.flows.find(user_code_key(code), UserCode)
    assert typed is not None
    waiting = await desk.flows.find(typed.value.device, DeviceFlow)
    assert waiting is not None
    now = msgspec.structs.replace(waiting.value, **decided)
    assert await desk.flows.change(waiting, now, DEVICE_LIFE)

    assert await terminals.type(code) == 400
