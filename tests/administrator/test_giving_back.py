"""What a session's provider still has of it is revoked there, and never in the user's way."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from kzproxy.administrator.giving_back import GivingBack
from kzproxy.administrator.provider_check import refresh_context
from kzproxy.administrator.session import SessionEnd, SessionRecord
from kzproxy.authentication.keys import IssuerKeys
from kzproxy.authentication.provider_client import ProviderClient
from kzproxy.authentication.provider_settings import ProviderSettings
from kzproxy.authentication.settings import JwtIssuerSettings, PrefixedClaim
from tests.administrator.kept_sessions import KeptSessions
from tests.administrator.reverification_scene import SEALER
from tests.authentication.manual_clock import ManualClock
from tests.servers.authority import Authority
from tests.servers.scripted_provider import ScriptedProvider, serving_provider


@pytest.fixture
async def provider(tmp_path) -> AsyncIterator[ScriptedProvider]:
    async with serving_provider(tmp_path, Authority.root()) as served:
        served.answer_with("revoke", b"")
        yield served


@pytest.fixture
async def client(provider) -> AsyncIterator[ProviderClient]:
    issuer = JwtIssuerSettings(
        url=provider.url,
        audiences=("kubernetes",),
        certificate_authority_pem=provider.authority.pem.decode(),
        username=PrefixedClaim(claim="name", prefix=""),
    )
    settings = ProviderSettings(issuer=issuer, client_id="kz", client_secret="s")
    clock = ManualClock()
    client = ProviderClient(settings, IssuerKeys(issuer, clock), clock)
    yield client
    await client.close()


@pytest.fixture
async def kept(tmp_path) -> AsyncIterator[KeptSessions]:
    kept = KeptSessions(tmp_path / "kept.db", ManualClock())
    await kept.following.start()
    yield kept
    await kept.store.close()


@asynccontextmanager
async def giving_back(kept: KeptSessions, client: ProviderClient) -> AsyncIterator[GivingBack]:
    def providers(issuer: str) -> ProviderClient | None:
        return client if issuer == client.settings.issuer.url else None

    subject = GivingBack(kept.directory, SEALER, providers, pause=timedelta(milliseconds=1))
    async with asyncio.TaskGroup() as group:
        task = group.create_task(subject.run())
        yield subject
        await subject.settled()
        task.cancel()


async def begin(kept: KeptSessions, number: int, **changes: object) -> SessionRecord:
    sealed = SEALER.seal(f"token-{number}".encode(), refresh_context(f"{number:032x}"))
    record = kept.record(number, **({"refresh": sealed} | changes))
    await kept.directory.begin(record)
    return record


async def begin_and_end(kept: KeptSessions, number: int, **changes: object) -> None:
    record = await begin(kept, number, **({"subject": f"s-{number}"} | changes))
    await kept.directory.end(record.id, SessionEnd.REVOKED, "", by="root")


def revoked(provider: ScriptedProvider) -> list[str]:
    return sorted(form["token"] for place, form, _ in provider.asked if place == "revoke")


async def test_each_session_that_ends_is_revoked_once(kept, client, provider):
    async with giving_back(kept, client):
        for number in range(1, 8):
            await begin_and_end(kept, number, issuer=provider.url)
        await kept.directory.end(f"{1:032x}", SessionEnd.REVOKED, "", by="root")
    assert revoked(provider) == [f"token-{number}" for number in range(1, 8)]


async def test_nothing_is_revoked_while_its_person_is_signed_in_otherwise(kept, client, provider):
    """Some providers take all back that a client has of somebody, not the one token."""
    laptop, desktop, _ = [
        await begin(kept, number, issuer=provider.url, subject=subject)
        for number, subject in enumerate(("ann", "ann", "bob"), 1)
    ]
    async with giving_back(kept, client) as subject:
        await kept.directory.end(laptop.id, SessionEnd.SIGNED_OUT, "", by="ann")
        await subject.settled()
        assert revoked(provider) == []
        await kept.directory.end(desktop.id, SessionEnd.SIGNED_OUT, "", by="ann")
    assert revoked(provider) == ["token-2"]


async def test_a_silent_provider_is_asked_three_times(kept, client, provider, caplog):
    caplog.set_level(logging.WARNING)
    provider.answer("revoke", {}, 503)
    async with giving_back(kept, client):
        await begin_and_end(kept, 1, issuer=provider.url)
    assert revoked(provider) == ["token-1"] * 3
    assert [r.message for r in caplog.records if "is not revoked" in r.message]
    assert "token-1" not in caplog.text


async def test_what_cannot_be_revoked_is_left(kept, client, provider):
    async with giving_back(kept, client):
        await begin_and_end(kept, 1, issuer="https://another.example")
        await begin_and_end(kept, 2, issuer=provider.url, refresh=b"")
        await begin_and_end(kept, 3, issuer=provider.url, refresh=b"of another key")
    assert revoked(provider) == []
