"""Nonces that are taken once, over the real store."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
import pytest_asyncio
from hypothesis import given, settings
from hypothesis import strategies as st

from kzproxy.store.nonces import LIFETIME, Nonces
from kzproxy.store.sealing import Sealer
from kzproxy.store.sqlite import SqliteStore
from kzproxy.store.store import Delete, Put
from tests.authentication.manual_clock import ManualClock
from tests.devices.machine import base64url

SEALER = Sealer([bytes(32)])
SECOND = timedelta(seconds=1)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest_asyncio.fixture
async def store(tmp_path: Path, clock: ManualClock) -> AsyncIterator[SqliteStore]:
    store = SqliteStore.open(tmp_path / "kept.db", clock)
    yield store
    await store.close()


async def test_a_nonce_is_taken_once(store: SqliteStore, clock: ManualClock) -> None:
    nonces = Nonces(store, SEALER, clock)
    nonce = nonces.new()
    assert await nonces.take(nonce)
    assert not await nonces.take(nonce)
    assert await nonces.take(nonces.new())


async def test_of_many_that_use_a_nonce_at_once_one_does(
    store: SqliteStore, clock: ManualClock
) -> None:
    nonces = Nonces(store, SEALER, clock)
    nonce = nonces.new()
    taken = await asyncio.gather(*(nonces.take(nonce) for _ in range(10)))
    assert sum(taken) == 1


async def test_asking_for_nonces_keeps_nothing(store: SqliteStore, clock: ManualClock) -> None:
    nonces = Nonces(store, SEALER, clock)
    assert len({nonces.new() for _ in range(100)}) == 100
    assert await store.entries("nonce") == ()


class SlowStore(SqliteStore):
    """Takes a second for each write, as one does that waits for another worker's."""

    async def write(self, *writes: Put | Delete) -> int:
        assert isinstance(self._clock, ManualClock)
        self._clock.advance(SECOND)
        return await super().write(*writes)


async def test_a_nonce_that_ends_while_it_is_used_again_is_not_taken(
    store: SqliteStore, clock: ManualClock, tmp_path: Path
) -> None:
    """What says that it was used is forgotten in the same moment."""
    nonce = Nonces(store, SEALER, clock).new()
    assert await Nonces(store, SEALER, clock).take(nonce)
    clock.advance(LIFETIME - SECOND)
    slow = SlowStore.open(tmp_path / "kept.db", clock)
    assert not await Nonces(slow, SEALER, clock).take(nonce)
    await slow.close()


async def test_a_nonce_ends(store: SqliteStore, clock: ManualClock) -> None:
    nonces = Nonces(store, SEALER, clock)
    nonce = nonces.new()
    clock.advance(LIFETIME)
    assert not await nonces.take(nonce)


async def test_a_nonce_of_another_kzproxy_is_none(store: SqliteStore, clock: ManualClock) -> None:
    other = Nonces(store, Sealer([bytes(31) + b"x"]), clock)
    assert not await Nonces(store, SEALER, clock).take(other.new())


async def test_what_is_sealed_for_another_place_is_no_nonce(
    store: SqliteStore, clock: ManualClock
) -> None:
    elsewhere = base64url(SEALER.seal((2**40).to_bytes(8, "big"), "session:x:refresh"))
    assert not await Nonces(store, SEALER, clock).take(elsewhere)


async def test_a_nonce_has_one_spelling(store: SqliteStore, clock: ManualClock) -> None:
    nonces = Nonces(store, SEALER, clock)
    nonce = nonces.new()
    for other in (nonce + "=", nonce + "==", nonce + "A", nonce[:-1], nonce + "\n", ""):
        assert not await nonces.take(other)
    assert await nonces.take(nonce)


@settings(max_examples=50)
@given(text=st.text())
def test_no_text_is_a_nonce(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    async def take() -> bool:
        store = SqliteStore.open(tmp_path_factory.mktemp("nonces") / "kept.db", ManualClock())
        try:
            return await Nonces(store, SEALER, ManualClock()).take(text)
        finally:
            await store.close()

    assert not asyncio.run(take())
