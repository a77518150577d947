"""A running kzproxy of two workers goes back to a real provider for the sessions that it keeps."""

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest
import yaml

from kzproxy.administrator.provider_check import refresh_context
from kzproxy.administrator.session import SessionRecord
from kzproxy.administrator.session_entry import decoded_session, session_put
from kzproxy.authentication.provider_client import SignedIn
from kzproxy.authentication.provider_errors import ProviderRefusal
from kzproxy.authentication.provider_settings import Reverify
from kzproxy.clock.system import SystemClock
from kzproxy.demo.loopback_ports import free_ports
from kzproxy.store.sealing import Sealer, read_keys
from kzproxy.store.sqlite import SqliteStore
from tests.authentication.provider_scene import (
    Kept,
    RunningProvider,
    Talk,
    running_demo_provider,
    talking,
)
from tests.proxy.process import ProxyProcess
from tests.proxy.world import configuration
from tests.servers.authority import Authority
from tests.servers.scripted_api_server import scripted_api_server

REVERIFY_SECONDS = 5


@dataclass(kw_only=True)
class Running:
    """kzproxy, the provider, and the store that kzproxy keeps sessions in."""

    proxy: ProxyProcess
    provider: RunningProvider
    talk: Talk
    store: SqliteStore
    sealer: Sealer

    async def begin(self, signed_in: SignedIn, number: int) -> SessionRecord:
        identity, now = signed_in.identity, datetime.now(UTC)
        session_id = f"{number:032x}"
        sealed = self.sealer.seal(signed_in.refresh_token.encode(), refresh_context(session_id))
        record = SessionRecord(
            id=session_id,
            username=identity.username,
            groups=identity.groups,
            issuer=identity.issuer,
            subject=identity.subject,
            vouched_by=identity.vouched_by,
            began_at=now,
            ends_at=now + timedelta(hours=1),
            seen_at=now,
            verified_at=now,
            key_thumbprint="ab" * 32,
            refresh=sealed,
        )
        await self.store.write(session_put(record, expected=None))
        return record

    async def until(
        self, record: SessionRecord, holds: Callable[[SessionRecord], bool]
    ) -> tuple[SessionRecord, float]:
        """Wait until the session is so; return it and how many seconds that took."""
        began = time.monotonic()
        async with asyncio.timeout(REVERIFY_SECONDS * 4):
            while True:
                entry = await self.store.get("session", record.id)
                assert entry
                found = decoded_session(entry.value)
                if holds(found):
                    return found, time.monotonic() - began
                await asyncio.sleep(0.02)

    async def confirmed(self, record: SessionRecord) -> SessionRecord:
        """Wait until the provider was asked about a session once more."""
        before = record.verified_at
        found, _ = await self.until(record, lambda one: one.verified_at > before)
        return found

    def metric(self, name: str) -> float:
        _, text = self.proxy.ops("/metrics")
        return next(float(line.split()[1]) for line in text.splitlines() if line.startswith(name))

    async def counted(self, name: str, count: int) -> None:
        """Wait until a metric is so: what is done is counted only once it is kept."""
        async with asyncio.timeout(REVERIFY_SECONDS):
            while await asyncio.to_thread(self.metric, name) != count:
                await asyncio.sleep(0.02)


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Running]:
    made = subprocess.run(
        [sys.executable, "-m", "kzproxy", "store", "new-key"], capture_output=True, check=True
    )
    (tmp_path / "store.keys").write_bytes(made.stdout)
    authority = Authority.root()
    (tmp_path / "idp").mkdir()
    async with (
        running_demo_provider(tmp_path / "idp") as provider,
        talking(provider) as talk,
    ):
        with ExitStack() as stack:
            api_server = stack.enter_context(scripted_api_server(tmp_path, authority))
            settings = settings_of(tmp_path, authority, provider, api_server.upstream())
            proxy = ProxyProcess(tmp_path, settings, "--workers", "2")
            store = SqliteStore.open(tmp_path / "kept.db", SystemClock())
            try:
                await asyncio.to_thread(proxy.start)
                yield Running(
                    proxy=proxy,
                    provider=provider,
                    talk=talk,
                    store=store,
                    sealer=Sealer(read_keys(made.stdout.decode())),
                )
            finally:
                await asyncio.to_thread(proxy.stop)
                await store.close()


def settings_of(
    directory: Path,
    authority: Authority,
    provider: RunningProvider,
    upstream: dict[str, object],
) -> dict[str, object]:
    issuer = SimpleNamespace(url=provider.issuer, certificate_authority_pem=provider.ca_pem)
    settings = configuration(directory, authority, issuer, upstream)
    (directory / "authentication.yaml").write_text(
        yaml.safe_dump(
            {
                "apiVersion": "apiserver.config.k8s.io/v1",
                "kind": "AuthenticationConfiguration",
                "jwt": [
                    {
                        "issuer": {
                            "url": provider.issuer,
                            "audiences": ["kzproxy"],
                            "certificateAuthority": provider.ca_pem,
                        },
                        "claimMappings": {
                            "username": {"claim": "preferred_username", "prefix": "idp:"},
                            "groups": {"claim": "groups", "prefix": "idp:"},
                        },
                    }
                ],
            }
        )
    )
    (directory / "idp.secret").write_text(provider.client_secret)
    [port] = free_ports(1)
    return settings | {
        "store": {"file": "kept.db", "keysFile": "store.keys"},
        "sessions": {"reverifySeconds": REVERIFY_SECONDS},
        "signIn": {
            "address": f"127.0.0.1:{port}",
            "url": f"https://localhost:{port}",
            "providers": [
                {
                    "issuer": provider.issuer,
                    "clientID": provider.client_id,
                    "clientSecretFile": "idp.secret",
                }
            ],
        },
    }


async def test_sessions_are_confirmed_moved_and_ended_as_the_provider_says(running):
    record = await running.begin(await running.talk.signed_in(), 1)
    found, seconds = await running.until(record, lambda one: one.verified_at > record.verified_at)
    assert seconds < REVERIFY_SECONDS * 2
    assert found.refresh != record.refresh
    running.provider.move(("guests",))
    found, seconds = await running.until(record, lambda one: one.groups == ("idp:guests",))
    assert seconds < REVERIFY_SECONDS * 2
    running.provider.disable()
    found, seconds = await running.until(record, lambda one: one.ended_at is not None)
    assert seconds < REVERIFY_SECONDS * 2
    assert found.end_cause == "refused-by-provider"
    await running.counted('kzproxy_reverifications_total{outcome="refused"}', 1)
    assert await asyncio.to_thread(running.metric, "kzproxy_reverification_lag_seconds") == 0
    secrets = (running.provider.client_secret, running.talk.flow.verifier)
    assert not [secret for secret in secrets if secret in running.proxy.diagnostics]


async def test_a_restart_loses_no_refresh_token(running):
    record = await running.begin(await running.talk.signed_in(), 1)
    for _ in range(3):
        record = await running.confirmed(record)
        await asyncio.to_thread(running.proxy.stop)
        await asyncio.to_thread(running.proxy.start)
    assert (await running.confirmed(record)).ended_at is None


async def test_a_secret_that_is_exchanged_is_used_without_a_restart(running, tmp_path):
    record = await running.begin(await running.talk.signed_in(), 1)
    (tmp_path / "idp.secret").write_text("wrong")
    async with asyncio.timeout(REVERIFY_SECONDS * 2):
        while "invalid_client" not in running.proxy.diagnostics:
            await asyncio.sleep(0.05)
    said = f"no usable answer from {running.provider.issuer}"
    async with asyncio.timeout(REVERIFY_SECONDS * 2):
        while said not in (await asyncio.to_thread(running.proxy.ops, "/readyz?verbose"))[1]:
            await asyncio.sleep(0.05)
    (tmp_path / "idp.secret").write_text(running.provider.client_secret)
    assert (await running.confirmed(record)).ended_at is None


async def test_what_ends_is_revoked_at_the_provider(running):
    signed_in = await running.talk.signed_in()
    record = await running.begin(signed_in, 1)
    entry = await running.store.get("session", record.id)
    assert entry
    past = datetime.now(UTC) - timedelta(minutes=1)
    over = msgspec.structs.replace(decoded_session(entry.value), ends_at=past, verified_at=past)
    await running.store.write(session_put(over, expected=entry.revision))
    found, _ = await running.until(record, lambda one: one.ended_at is not None)
    assert (found.end_cause, found.refresh) == ("over", b"")
    by_introspection = running.provider.settings(Reverify.INTROSPECTION)
    async with talking(running.provider, by_introspection) as asking, asyncio.timeout(10):
        while await is_active(asking, signed_in):
            await asyncio.sleep(0.02)


async def is_active(asking: Talk, signed_in: SignedIn) -> bool:
    try:
        await asking.client.confirm(signed_in.refresh_token, signed_in.identity.subject, Kept())
    except ProviderRefusal:
        return False
    return True
