"""The browser's way; all of it over a real provider is in tests/server/test_sign_in.py."""

import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
from aiohttp.test_utils import make_mocked_request
from msgspec.structs import replace

from kzproxy.authentication.keys import IssuerKeys
from kzproxy.authentication.provider_client import ProviderClient
from kzproxy.authentication.provider_settings import ProviderSettings
from kzproxy.authentication.settings import JwtIssuerSettings, PrefixedClaim
from kzproxy.web.browser_cookie import COOKIE
from kzproxy.web.oauth_errors import PageRefusal
from kzproxy.web.sign_in_browser import BrowserSignIn
from kzproxy.web.sign_in_desk import SignInDesk
from tests.authentication.manual_clock import ManualClock
from tests.servers.authority import Authority
from tests.servers.scripted_provider import ScriptedProvider, serving_provider

WISH = {
    "client_id": "kzproxy-cli",
    "response_type": "code",
    "redirect_uri": "http://127.0.0.1:39111/callback",
    "code_challenge": "c" * 43,
    "code_challenge_method": "S256",
}


async def test_where_no_provider_is_left_nobody_can_sign_in(desk: SignInDesk) -> None:
    """As after a reload of a configuration without `signIn`, until the restart that it takes."""
    request = make_mocked_request("GET", f"/authorize?{urlencode(WISH)}")
    with pytest.raises(PageRefusal, match="no identity provider") as refused:
        await BrowserSignIn(desk).authorize(request)
    assert refused.value.status == 503


@dataclass(frozen=True)
class Beside:
    """Two providers that do not name themselves in their answers, beside each other."""

    desk: SignInDesk
    evil: ScriptedProvider

    async def begun_at_the_evil_one(self) -> tuple[str, str]:
        """Return the state that a browser is sent to it with, and the browser's cookie."""
        asked = urlencode({**WISH, "provider": self.evil.url})
        request = make_mocked_request("GET", f"/authorize?{asked}")
        response = await BrowserSignIn(self.desk).authorize(request)
        [place] = re.findall(r'content="0; url=([^"]*)"', response.text or "")
        query = dict(parse_qsl(urlsplit(unescape(place)).query))
        cookie = response.cookies[COOKIE].value
        return query["state"], f"{COOKIE}={cookie}"


@pytest.fixture
async def beside(
    desk: SignInDesk, clock: ManualClock, tmp_path: Path
) -> AsyncIterator[Callable[..., Beside]]:
    """Return them with these settings."""
    authority = Authority.root()
    made: list[ProviderClient] = []

    def settings_of(provider: ScriptedProvider, **settings: Any) -> ProviderClient:
        issuer = JwtIssuerSettings(
            url=provider.url,
            audiences=("kz",),
            certificate_authority_pem=authority.pem.decode(),
            username=PrefixedClaim(claim="sub", prefix=provider.url),
        )
        client = ProviderSettings(issuer=issuer, client_id="kz", client_secret="s", **settings)
        made.append(ProviderClient(client, IssuerKeys(issuer, clock), clock))
        return made[-1]

    async with (
        serving_provider(tmp_path, authority) as evil,
        serving_provider(tmp_path, authority) as honest,
    ):
        evil.answer("token", {"error": "invalid_grant"}, 400)

        def with_settings(of_evil: dict[str, Any], of_honest: dict[str, Any]) -> Beside:
            both = settings_of(evil, **of_evil), settings_of(honest, **of_honest)
            return Beside(replace(desk, providers=lambda: both), evil)

        yield with_settings
        for client in made:
            await client.close()


async def test_a_code_is_not_brought_to_another_provider_than_it_came_from(
    beside: Callable[..., Beside],
) -> None:
    """RFC 9700 section 4.4: the evil one has sent the browser on to the honest one."""
    both = beside({"callback": "evil"}, {"callback": "honest"})
    for place in ("/callback/honest", "/callback"):
        state, cookie = await both.begun_at_the_evil_one()
        back = f"{place}?{urlencode({'state': state, 'code': 'of the honest one'})}"
        request = make_mocked_request("GET", back, headers={"Cookie": cookie})
        response = await BrowserSignIn(both.desk).callback(request)

        assert "not from" in (response.text or "")
    assert both.evil.asked == []


async def test_at_a_provider_that_does_not_name_itself_nobody_signs_in_where_others_answer(
    beside: Callable[..., Beside],
) -> None:
    both = beside({"shares_callback": True}, {"shares_callback": True})
    with pytest.raises(PageRefusal) as refused:
        await both.begun_at_the_evil_one()
    assert refused.value.status == 503


@pytest.mark.parametrize(
    ("status", "error", "said"),
    [
        # So Keycloak answers about a person who may have no `offline_access`.
        (400, "server_error", "Ask whoever runs kzproxy"),
        (503, "temporarily_unavailable", "cannot be reached now"),
    ],
)
async def test_whoever_cannot_sign_in_is_told_to_try_again_only_where_that_helps(
    beside: Callable[..., Beside], status: int, error: str, said: str
) -> None:
    both = beside({"callback": "evil"}, {"callback": "honest"})
    both.evil.answer("token", {"error": "not_allowed"}, status)
    state, cookie = await both.begun_at_the_evil_one()
    back = f"/callback/evil?{urlencode({'state': state, 'code': 'c'})}"
    request = make_mocked_request("GET", back, headers={"Cookie": cookie})
    response = await BrowserSignIn(both.desk).callback(request)

    assert said in (response.text or "")
    assert f"error={error}" in (response.text or "")


@pytest.mark.parametrize(
    "change",
    [
        {"response_type": "token"},
        {"response_mode": "fragment"},
        {"request": "a.b.c"},
        {"request_uri": "https://elsewhere.example.com/"},
        {"code_challenge": ""},
        {"code_challenge": "short"},
        {"code_challenge_method": ""},
        {"code_challenge_method": "plain"},
        {"prompt": "none"},
        {"max_age": "-1"},
        {"max_age": "soon"},
        {"max_age": "²"},
        {"max_age": "31536001"},
        {"max_age": "9" * 9},
        {"acr_values": "a\nb"},
        {"login_hint": "a\0b"},
    ],
)
async def test_what_a_client_may_not_wish_for_is_told_to_it_before_a_provider_is(
    desk: SignInDesk, change: dict[str, str]
) -> None:
    wish = WISH | {"state": "s"} | change
    answer = await BrowserSignIn(desk).authorize(
        make_mocked_request("GET", f"/authorize?{urlencode(wish)}")
    )

    assert f"{WISH['redirect_uri']}?error=" in str(answer.text)


@pytest.mark.parametrize(
    "change",
    [
        {"client_id": "another"},
        {"client_id": ""},
        {"redirect_uri": "http://127.0.0.1:39111/other"},
        {"redirect_uri": "https://elsewhere.example.com/callback"},
        {"redirect_uri": ""},
    ],
)
async def test_what_may_be_somebody_elses_is_sent_nowhere(
    desk: SignInDesk, change: dict[str, str]
) -> None:
    request = make_mocked_request("GET", f"/authorize?{urlencode(WISH | change)}")
    with pytest.raises(PageRefusal, match="client"):
        await BrowserSignIn(desk).authorize(request)
