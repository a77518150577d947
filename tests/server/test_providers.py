"""Providers go over from one configuration to the next where they have not changed."""

import asyncio
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from kzproxy.authentication.keys import IssuerKeys
from kzproxy.authentication.provider_settings import ProviderSettings
from kzproxy.authentication.settings import JwtIssuerSettings, PrefixedClaim
from kzproxy.server.providers import Providers
from kzproxy.transport.alongside import alongside
from tests.authentication.manual_clock import ManualClock
from tests.servers.authority import Authority
from tests.servers.scripted_provider import serving_provider


def provider(name: str, **changes: str) -> ProviderSettings:
    issuer = JwtIssuerSettings(
        url=f"https://{name}.example.com",
        audiences=("kubernetes",),
        username=PrefixedClaim(claim="sub", prefix=""),
    )
    settings = ProviderSettings(issuer=issuer, client_id="kz", client_secret="s")
    return replace(settings, **changes)


@pytest.fixture
def keys() -> dict[str, IssuerKeys]:
    clock = ManualClock()
    return {one.issuer.url: IssuerKeys(one.issuer, clock) for one in map(provider, ("a", "b"))}


async def test_only_what_changed_is_made_anew(keys):
    providers = Providers(ManualClock())
    assert providers.all() == ()
    providers.install([provider("a"), provider("b")], keys.get)
    first, second = providers.all()
    assert providers.find("https://a.example.com") is first
    assert providers.find("https://c.example.com") is None
    providers.install([provider("b"), provider("a", client_secret="t")], keys.get)
    assert providers.find("https://b.example.com") is second
    assert providers.find("https://a.example.com") is not first
    keys["https://b.example.com"] = IssuerKeys(provider("b").issuer, ManualClock())
    providers.install([provider("b")], keys.get)
    assert providers.find("https://b.example.com") not in (None, second)
    assert providers.find("https://a.example.com") is None
    await providers.close()


async def test_a_provider_whose_issuer_has_no_keys_is_not_asked(keys):
    providers = Providers(ManualClock())
    providers.install([provider("a")], {}.get)
    assert providers.all() == ()


async def test_a_question_to_one_out_of_use_is_heard_to_its_end_when_kzproxy_stops(
    tmp_path: Path,
) -> None:
    authority = Authority.root()
    async with serving_provider(tmp_path, authority) as served, asyncio.timeout(10):
        served.hang("revoke")
        settings = provider("a")
        issuer = msgspec.structs.replace(
            settings.issuer, url=served.url, certificate_authority_pem=authority.pem.decode()
        )
        providers = Providers(ManualClock())
        providers.install(
            [replace(settings, issuer=issuer)], {served.url: IssuerKeys(issuer, ManualClock())}.get
        )
        client = providers.find(served.url)
        assert client is not None
        async with asyncio.TaskGroup() as asking:
            async with alongside(providers.run()):
                asking.create_task(client.revoke("a token"))
                while not served.asked:
                    await asyncio.sleep(0.01)
                providers.install([], {}.get)
                await asyncio.sleep(0.01)
            served.let_go.set()
        await providers.close()
