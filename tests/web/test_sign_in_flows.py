"""What is remembered between two steps of a sign-in: sealed, once, for minutes."""

import contextlib
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from kzproxy.errors.kinds import TooManyRequests
from kzproxy.store.sealing import Sealer
from kzproxy.store.sqlite import SqliteStore
from kzproxy.store.store import Put
from kzproxy.web.sign_in_desk import SignInLimits
from kzproxy.web.sign_in_flows import (
    KIND,
    BrowserFlow,
    CodeGrant,
    Person,
    SignInFlows,
    Wish,
    code_key,
    digest,
    flow_key,
)
from tests.authentication.manual_clock import ManualClock

MINUTE = timedelta(minutes=1)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def store(tmp_path: Path, clock: ManualClock) -> AsyncIterator[SqliteStore]:
    store = SqliteStore.open(tmp_path / "kept.db", clock)
    yield store
    await store.close()


@pytest.fixture
def flows(store: SqliteStore, clock: ManualClock) -> SignInFlows:
    return SignInFlows(store, Sealer([b"k" * 32]), clock)


def grant(clock: ManualClock) -> CodeGrant:
    person = Person(
        username="alice",
        issuer="https://idp.example.com",
        subject="00u1",
        refresh_token="the-refresh-token",
        begun_at=clock.now(),
        signed_in_at=clock.now(),
    )
    return CodeGrant(person=person, wish=Wish(challenge="c" * 43))


async def test_it_is_found_until_it_ends(flows: SignInFlows, clock: ManualClock):
    await flows.keep(code_key("secret"), grant(clock), MINUTE)
    found = await flows.find(code_key("secret"), CodeGrant)
    assert found is not None
    assert found.value == grant(clock)
    assert await flows.find(code_key("other"), CodeGrant) is None
    clock.advance(MINUTE)
    assert await flows.find(code_key("secret"), CodeGrant) is None


async def test_it_is_spent_once(flows: SignInFlows, clock: ManualClock):
    await flows.keep(code_key("secret"), grant(clock), MINUTE)
    found = await flows.find(code_key("secret"), CodeGrant)
    assert found is not None
    assert await flows.spend(found) is True
    assert await flows.spend(found) is False
    assert await flows.change(found, grant(clock), MINUTE) is False


async def test_of_two_who_change_it_one_does(flows: SignInFlows, clock: ManualClock):
    await flows.keep(code_key("secret"), grant(clock), MINUTE)
    one, other = [await flows.find(code_key("secret"), CodeGrant) for _ in range(2)]
    assert one is not None
    assert other is not None
    assert await flows.change(one, grant(clock), MINUTE) is True
    assert await flows.change(other, grant(clock), MINUTE) is False


def test_some_twenty_addresses_keep_nobody_from_beginning(clock: ManualClock):
    begun = SignInLimits.usual(clock).begun
    for number in range(30):
        with contextlib.suppress(TooManyRequests):
            for _ in range(60):
                begun.take(f"192.0.2.{number}")
    begun.take("198.51.100.1")


async def test_what_is_begun_is_bounded_and_the_greediest_lose_theirs(
    store: SqliteStore, clock: ManualClock
):
    flows = SignInFlows(store, Sealer([b"k" * 32]), clock, most_begun=3)
    for address, name in (("192.0.2.7", "mine"), *(("192.0.2.1", f"{n}") for n in range(5))):
        put = flows.put(code_key(name), grant(clock), MINUTE, expected=None)
        await flows.begin(address, MINUTE, put)
    left = {name for name in ("mine", *"01234") if await flows.find(code_key(name), CodeGrant)}
    assert left == {"mine", "3", "4"}


async def test_nothing_of_it_can_be_read_in_the_store(
    flows: SignInFlows, store: SqliteStore, clock: ManualClock
):
    await flows.keep(code_key("secret"), grant(clock), MINUTE)
    [entry] = await store.entries(KIND)
    assert "secret" not in entry.key
    for word in (b"alice", b"the-refresh-token", b"00u1"):
        assert word not in entry.value
    assert "the-refresh-token" not in repr(grant(clock))


async def test_what_was_moved_to_another_place_is_not_taken(
    flows: SignInFlows, store: SqliteStore, clock: ManualClock
):
    """Whoever can write the file cannot have one code stand for what another was given for."""
    await flows.keep(code_key("secret"), grant(clock), MINUTE)
    [entry] = await store.entries(KIND)
    await store.write(Put(kind=KIND, key=code_key("mine"), value=entry.value))
    assert await flows.find(code_key("mine"), CodeGrant) is None


async def test_keys_of_another_kind_are_others():
    assert flow_key("x") != code_key("x")
    assert digest("x") in code_key("x")


async def test_another_thing_than_was_asked_for_is_none(flows: SignInFlows, clock: ManualClock):
    await flows.keep("flow/x", grant(clock), MINUTE)
    assert await flows.find("flow/x", BrowserFlow) is None


def test_what_waits_for_a_browser_names_none_of_its_secrets(clock: ManualClock) -> None:
    flow = BrowserFlow(
        browser="ab",
        provider="https://idp",
        nonce="secret-1",
        verifier="secret-2",
        wish=Wish(),
        begun_at=clock.now(),
    )
    assert "secret" not in repr(flow)
