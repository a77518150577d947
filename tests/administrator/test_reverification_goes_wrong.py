"""Providers that are away, slow or odd, and stores that are: nobody is let in by them, or put out.

The provider here is a script, which stands in for somebody else's that does what it must not.
"""

import asyncio
import contextlib
import itertools
import logging
import sqlite3
from collections.abc import AsyncIterator
from datetime import timedelta

import msgspec
import pytest
from aiohttp import web

from kzproxy.administrator.reverification import ReverificationLimits
from kzproxy.administrator.session import SessionEnd, SessionRecord, SessionSettings
from kzproxy.authentication.keys import IssuerKeys
from kzproxy.authentication.provider_client import ProviderClient, SignedIn
from kzproxy.authentication.provider_settings import ProviderLimits, ProviderSettings
from kzproxy.authentication.settings import JwtIssuerSettings, PrefixedClaim, RequiredClaim
from kzproxy.errors.kinds import Unauthenticated
from kzproxy.transport.alongside import alongside
from tests.administrator.reverification_scene import ConfirmingWorker, confirming_worker
from tests.authentication.manual_clock import ManualClock
from tests.servers.authority import Authority
from tests.servers.scripted_provider import ScriptedProvider, serving_provider

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
SETTINGS = SessionSettings(reverify=MINUTE, grace=5 * MINUTE, per_user=1000)


class Person:
    """Whom the script speaks of, and the refresh tokens that it has given out."""

    def __init__(self, provider: ScriptedProvider, clock: ManualClock) -> None:
        self.provider = provider
        self.clock = clock
        self.claims: dict[str, object] = {"sub": "s-1", "name": "alice", "employed": "yes"}
        self.numbers = itertools.count(1)
        self.wait: asyncio.Event | None = None
        self.under_way = self.most_under_way = 0

    def tokens(self) -> dict[str, object]:
        now = int(self.clock.now().timestamp())
        times = {"iat": now, "exp": now + 300, "auth_time": now}
        claims = {"iss": self.provider.url, "aud": "kz", **times, **self.claims}
        return {
            "token_type": "Bearer",
            "access_token": "access",
            "refresh_token": f"refresh-{next(self.numbers)}",
            "id_token": self.provider.key.token(claims),
        }

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            if self.wait is not None:
                await self.wait.wait()
            return web.json_response(self.tokens())
        finally:
            self.under_way -= 1


@pytest.fixture
async def provider(tmp_path) -> AsyncIterator[ScriptedProvider]:
    async with serving_provider(tmp_path, Authority.root()) as served:
        yield served


@pytest.fixture
def person(provider, clock) -> Person:
    person = Person(provider, clock)
    provider.answers["token"] = person.answer
    provider.answer_with("revoke", b"")
    return person


@pytest.fixture
async def client(provider, clock) -> AsyncIterator[ProviderClient]:
    issuer = JwtIssuerSettings(
        url=provider.url,
        audiences=("kubernetes",),
        certificate_authority_pem=provider.authority.pem.decode(),
        username=PrefixedClaim(claim="name", prefix=""),
        groups=PrefixedClaim(claim="groups", prefix=""),
        required_claims=(RequiredClaim(claim="employed", value="yes"),),
    )
    settings = ProviderSettings(issuer=issuer, client_id="kz", client_secret="s")
    keys = IssuerKeys(issuer, clock)
    await keys.fetch()
    limits = ProviderLimits(answer_timeout=timedelta(seconds=5))
    client = ProviderClient(settings, keys, clock, limits)
    yield client
    await client.close()


@pytest.fixture
async def worker(tmp_path, clock, client) -> AsyncIterator[ConfirmingWorker]:
    file = tmp_path / "kept.db"
    async with confirming_worker(file, clock, client, settings=SETTINGS) as worker:
        yield worker


async def signed_in(client: ProviderClient, person: Person) -> SignedIn:
    person.claims["nonce"] = "n"
    try:
        return await client.redeem_code("code", redirect_uri="u", verifier="v", nonce="n")
    finally:
        del person.claims["nonce"]


async def while_nothing_is_taken(
    worker: ConfirmingWorker, person: Person, other: sqlite3.Connection
) -> None:
    """Have the provider asked about all that is due while the store takes nothing of it."""
    due = len(worker.kept.directory.unended())
    person.wait = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(worker.turn())
        while person.under_way < due:
            await asyncio.sleep(0.01)
        other.execute("alter table entries rename to hidden")
        person.wait.set()
    assert worker.outcomes("failed") == due
    other.execute("alter table hidden rename to entries")


@pytest.mark.parametrize("how", ["gone", "503", "429", "invalid_client"])
async def test_a_silent_provider_is_borne_for_the_grace_and_no_longer(
    worker, person, client, provider, clock, how, caplog
):
    record = await worker.begin(await signed_in(client, person))
    caplog.set_level(logging.WARNING)
    if how == "gone":
        await provider.go_away()
    elif how == "invalid_client":
        provider.answer("token", {"error": "invalid_client"}, 401)
    else:
        provider.answer("token", {"error": "invalid_grant"}, int(how))
    for _ in range(5):
        clock.advance(MINUTE)
        await worker.turn()
        assert worker.identity(record).username == "alice"
    assert worker.outcomes("silent") == 5
    assert worker.found(record) == record
    assert worker.reverification.lag_seconds() == 240
    assert worker.reverification.problem() == f"no usable answer from {provider.url}"
    assert len([r for r in caplog.records if "gives no usable answer" in r.message]) == 1
    clock.advance(MINUTE)
    await worker.kept.following.catch_up()
    with pytest.raises(Unauthenticated, match=r"could not be asked since .* try again later"):
        worker.identity(record)
    if how == "gone":
        await provider.come_back()
    provider.answers["token"] = person.answer
    await worker.turn()
    assert worker.identity(record).username == "alice"
    assert worker.reverification.lag_seconds() == 0
    assert worker.reverification.problem() is None


async def test_what_failed_is_tried_again_soon_but_not_at_once(
    worker, person, client, provider, clock
):
    await worker.begin(await signed_in(client, person))
    provider.answer("token", {}, 503)
    clock.advance(MINUTE)
    await worker.turn()
    await worker.turn()
    clock.advance(timedelta(seconds=5))
    await worker.turn()
    assert worker.outcomes("silent") == 1
    clock.advance(timedelta(seconds=10))
    await worker.turn()
    assert worker.outcomes("silent") == 2


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"employed": "no"}, "`employed` is not the string `yes`"),
        ({"name": "bob"}, "calls you bob now"),
        ({"name": "system:admin"}, "`system:` name"),
        ({"sub": "s-2"}, "another person's"),
    ],
)
async def test_a_person_who_may_not_come_in_any_more_is_put_out(
    worker, person, client, clock, changes, words
):
    record = await worker.begin(await signed_in(client, person))
    person.claims |= changes
    clock.advance(MINUTE)
    await worker.turn()
    assert worker.found(record).end_cause == "refused-by-provider"
    with pytest.raises(Unauthenticated, match=words):
        worker.identity(record)


async def test_when_and_how_somebody_signed_in_is_not_changed_by_a_refresh(
    worker, person, client, clock
):
    record = await worker.begin(await signed_in(client, person), authentication_class="1")
    person.claims |= {"acr": "9", "amr": ["mfa"], "groups": ["g"]}
    clock.advance(MINUTE)
    await worker.turn()
    found = worker.found(record)
    assert found.groups == ("g",)
    assert (found.authentication_class, found.authentication_methods) == ("1", ())
    assert found.authenticated_at == record.authenticated_at


async def test_an_answer_under_way_is_heard_when_kzproxy_stops(worker, person, client, clock):
    record = await worker.begin(await signed_in(client, person))
    clock.advance(MINUTE)
    person.wait = asyncio.Event()
    running = asyncio.get_running_loop().create_task(worker.reverification.run())
    while not person.under_way:
        await asyncio.sleep(0.01)
    running.cancel()
    await asyncio.sleep(0.05)
    assert not running.done()
    person.wait.set()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert worker.refresh_token(record) == "refresh-2"
    assert worker.outcomes("confirmed") == 1
    assert await worker.kept.store.hold("reverification", "another", 1)


async def test_a_session_that_ends_while_its_provider_is_asked_leaves_no_token_there(
    worker, person, client, clock, provider
):
    record = await worker.begin(await signed_in(client, person))
    clock.advance(MINUTE)
    person.wait = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(worker.turn())
        while not person.under_way:
            await asyncio.sleep(0.01)
        await worker.kept.directory.end(record.id, SessionEnd.REVOKED, "", by="root")
        person.wait.set()
    revoked = [form["token"] for place, form, _ in provider.asked if place == "revoke"]
    assert revoked == ["refresh-2"]
    assert worker.found(record).end_cause == "revoked"
    assert worker.outcomes("over") == 1


async def test_a_session_that_ends_while_it_is_asked_about_ends_no_other_of_its_person(
    worker, person, client, clock, provider
):
    record = await worker.begin(await signed_in(client, person))
    clock.advance(MINUTE)
    await worker.begin(await signed_in(client, person), 2)
    person.wait = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(worker.turn())
        while not person.under_way:
            await asyncio.sleep(0.01)
        await worker.kept.directory.end(record.id, SessionEnd.REVOKED, "", by="root")
        person.wait.set()
    assert [place for place, _, _ in provider.asked if place == "revoke"] == []


async def test_a_wish_that_comes_while_the_provider_is_asked_is_asked_for_again(
    worker, person, client, clock
):
    record = await worker.begin(await signed_in(client, person))
    clock.advance(MINUTE)
    person.wait = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(worker.turn())
        while not person.under_way:
            await asyncio.sleep(0.01)
        clock.advance(timedelta(seconds=2))
        await worker.reverification.verify_now([record.id])
        await worker.turn()
        assert person.under_way == 1  # never two about one session
        person.wait.set()
    clock.advance(timedelta(seconds=1))
    await worker.turn()
    assert worker.outcomes("confirmed") == 2
    assert worker.found(record).verified_at == clock.now()


async def test_once_a_clock_that_was_ahead_is_put_right_sessions_are_confirmed_anew(
    worker, person, client, clock
):
    ahead = timedelta(hours=1)
    record = await worker.begin(await signed_in(client, person))
    clock.jump(ahead)
    await worker.turn()
    assert worker.found(record).verified_at == clock.now()
    clock.jump(-ahead)
    clock.advance(timedelta(seconds=1))
    with pytest.raises(Unauthenticated, match="could not be asked since"):
        worker.identity(record)
    await worker.turn()
    assert worker.found(record).verified_at == clock.now()
    assert worker.identity(record).username == "alice"


async def test_a_clock_that_is_put_right_while_the_provider_is_asked_is_noticed(
    worker, person, client, clock
):
    ahead = timedelta(hours=1)
    record = await worker.begin(await signed_in(client, person))
    clock.jump(ahead)
    person.wait = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(worker.turn())
        while not person.under_way:
            await asyncio.sleep(0.01)
        clock.jump(-ahead)
        clock.advance(timedelta(seconds=1))
        person.wait.set()
    await worker.turn()
    assert worker.outcomes("confirmed") == 2
    assert worker.found(record).verified_at == clock.now()


async def pass_time(worker: ConfirmingWorker, clock: ManualClock, by: timedelta) -> None:
    pause = timedelta(seconds=20)
    for _ in range(by // pause):
        clock.advance(pause)
        await worker.turn()


async def test_a_session_that_is_over_by_a_clock_that_has_just_been_set_ahead_is_not_ended(
    worker, person, client, clock
):
    record = await worker.begin(await signed_in(client, person))
    await pass_time(worker, clock, timedelta(minutes=1))
    clock.jump(timedelta(hours=13))
    await pass_time(worker, clock, timedelta(minutes=5))
    assert worker.found(record).ended_at is None
    clock.jump(-timedelta(hours=13))
    await pass_time(worker, clock, timedelta(minutes=1))
    assert worker.identity(record).username == "alice"


async def test_a_clock_that_is_ahead_of_what_the_provider_gives_ends_no_session(
    worker, person, client, clock
):
    record = await worker.begin(await signed_in(client, person))
    now = int(clock.now().timestamp())
    person.claims |= {"iat": now, "auth_time": now, "exp": now + 300}
    clock.jump(timedelta(minutes=10))
    await pass_time(worker, clock, MINUTE)
    assert worker.outcomes("silent")
    assert worker.found(record).ended_at is None
    clock.jump(-timedelta(minutes=10))
    await pass_time(worker, clock, MINUTE)
    assert worker.identity(record).username == "alice"


async def test_a_session_that_is_over_is_ended_once_the_clock_has_gone_on_for_a_while(
    worker, person, client, clock
):
    record = await worker.begin(await signed_in(client, person))
    await pass_time(worker, clock, timedelta(minutes=1))
    clock.jump(timedelta(hours=13))
    await pass_time(worker, clock, timedelta(minutes=12))
    assert worker.found(record).end_cause == "over"


async def test_a_refresh_token_that_the_store_does_not_take_is_not_lost(
    worker, person, client, clock, provider, tmp_path
):
    record = await worker.begin(await signed_in(client, person))
    clock.advance(MINUTE)
    person.wait = asyncio.Event()
    other = sqlite3.connect(tmp_path / "kept.db", isolation_level=None)
    async with asyncio.TaskGroup() as group:
        group.create_task(worker.turn())
        while not person.under_way:
            await asyncio.sleep(0.01)
        other.execute("alter table entries rename to hidden")
        person.wait.set()
    assert worker.outcomes("failed") == 1
    assert worker.refresh_token(record) == "refresh-1"
    other.execute("alter table hidden rename to entries")
    other.close()
    clock.advance(timedelta(seconds=20))
    await worker.turn()
    assert worker.outcomes("confirmed") == 1
    assert worker.refresh_token(record) == "refresh-3"
    sent = [form["refresh_token"] for _, form, _ in provider.asked if "refresh_token" in form]
    assert sent == ["refresh-1", "refresh-2"]


@pytest.mark.parametrize("asked_how", ["refused", "idle", "over"])
async def test_what_is_over_of_one_sign_in_ends_nothing_of_the_next(
    worker, person, client, clock, provider, tmp_path, asked_how
):
    """The person signs in anew at another worker, of which this one hears a moment later."""
    async with confirming_worker(
        tmp_path / "kept.db", clock, client, "two", settings=SETTINGS
    ) as two:
        record = await worker.begin(await signed_in(client, person))
        await two.kept.following.catch_up()
        clock.advance({"refused": MINUTE, "idle": 5 * HOUR, "over": 13 * HOUR}[asked_how])
        await worker.reverification._lease.keep()  # as it has all the while
        provider.answer_with("token", b'{"error": "invalid_grant"}', status=400)
        now = clock.now()

        def anew(present: SessionRecord) -> SessionRecord:
            times = {"began_at": now, "seen_at": now, "verified_at": now}
            return msgspec.structs.replace(present, ends_at=now + 12 * HOUR, **times)

        await two.kept.directory.update(record.id, anew)
        await worker.reverification.turn()
        await worker.kept.following.catch_up()
    assert worker.found(record).ended_at is None
    assert worker.identity(record).username == "alice"
    assert not worker.events("auth.session-ended")


async def test_a_token_that_was_traded_on_is_not_written_over_the_one_it_was_traded_for(
    worker, person, client, clock, tmp_path
):
    """The store takes nothing for a while; then what is left of all sessions is written in turn."""
    records = [await worker.begin(await signed_in(client, person), one) for one in (1, 2)]
    clock.advance(MINUTE)
    check = worker.reverification._check
    with contextlib.closing(sqlite3.connect(tmp_path / "kept.db", isolation_level=None)) as other:
        await while_nothing_is_taken(worker, person, other)
        second = next(one for one in records if one.id == list(check._unwritten)[1])
        other.execute("begin immediate")  # whoever writes waits for it
        async with asyncio.TaskGroup() as group:
            group.create_task(check.write_unwritten())
            group.create_task(check.check(second))
            while check._unwritten[second.id].token != "refresh-5":
                await asyncio.sleep(0.01)
            other.execute("rollback")
    assert worker.refresh_token(second) == "refresh-5"
    assert not check._unwritten


async def test_what_was_traded_for_a_session_that_has_ended_is_given_back(
    worker, person, client, clock, provider, tmp_path
):
    record = await worker.begin(await signed_in(client, person))
    clock.advance(MINUTE)
    with contextlib.closing(sqlite3.connect(tmp_path / "kept.db", isolation_level=None)) as other:
        await while_nothing_is_taken(worker, person, other)
    await worker.kept.directory.end(record.id, SessionEnd.REVOKED, "", by="root")
    async with alongside(worker.giving_back.run()):
        await worker.turn()
        await worker.giving_back.settled()
    revoked = [form["token"] for place, form, _ in provider.asked if place == "revoke"]
    assert sorted(revoked) == ["refresh-1", "refresh-2"]
    assert not worker.reverification._check._unwritten


async def test_whoever_has_come_to_ask_begins_with_nothing_older_than_the_store(
    worker, person, client, clock, provider, tmp_path
):
    file = tmp_path / "kept.db"
    async with confirming_worker(file, clock, client, "two", settings=SETTINGS) as two:
        record = await worker.begin(await signed_in(client, person))
        await two.kept.following.catch_up()
        clock.advance(MINUTE)
        await worker.reverification.turn()
        await worker.reverification._lease.let_go()
        with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as other:
            other.execute("alter table changes rename to hidden")
            for _ in range(2):
                await two.reverification.turn()
            assert two.reverification._lease.is_held()
            other.execute("alter table hidden rename to changes")
        clock.advance(MINUTE)
        await two.reverification.turn()
        await two.reverification.turn()
        assert two.outcomes("confirmed") == 1
        assert two.refresh_token(record) == "refresh-3"
    sent = [form["refresh_token"] for _, form, _ in provider.asked if "refresh_token" in form]
    assert sent == ["refresh-1", "refresh-2"]


async def test_a_token_that_cannot_be_unsealed_is_no_confirmation(worker, person, client, clock):
    record = await worker.begin(await signed_in(client, person), refresh=b"k1 of another key")
    clock.advance(MINUTE)
    await worker.turn()
    assert worker.outcomes("failed") == 1
    assert worker.found(record).ended_at is None


async def test_many_that_are_due_at_once_are_asked_about_little_by_little(
    worker, person, client, clock
):
    one = await signed_in(client, person)
    now = clock.now()
    for number in range(120):
        subject = {"subject": "s-1", "seen_at": now - timedelta(seconds=number)}
        await worker.begin(one, number, issuer=one.identity.issuer, **subject)
    await worker.turn()
    clock.advance(10 * MINUTE)
    await worker.turn()
    first = worker.outcomes("confirmed")
    assert 1 <= first <= 5
    asked = 0.0
    for _ in range(40):
        clock.advance(timedelta(seconds=1))
        before = worker.outcomes("confirmed")
        await worker.turn()
        assert worker.outcomes("confirmed") - before <= 5
        asked = worker.outcomes("confirmed")
    assert asked == 120
    assert person.most_under_way <= ReverificationLimits().at_once


async def test_a_silent_provider_is_asked_one_thing_at_a_time_and_less_and_less(
    worker, person, client, clock, provider
):
    one = await signed_in(client, person)
    for number in range(60):
        await worker.begin(one, number)
    provider.answer("token", {}, 503)
    clock.advance(MINUTE)
    asked = []
    for _ in range(60):
        before = worker.outcomes("silent")
        await worker.turn()
        asked.append(worker.outcomes("silent") - before)
        clock.advance(timedelta(seconds=1))
    assert asked[0] > 1  # nobody knew yet
    assert max(asked[1:]) == 1
    assert sum(asked[1:]) < 10
    provider.answers["token"] = person.answer
    for _ in range(40):
        await worker.turn()
        clock.advance(timedelta(seconds=1))
    assert worker.outcomes("confirmed") == 60


async def test_a_provider_that_asks_for_a_pause_has_one(worker, person, client, clock, provider):
    await worker.begin(await signed_in(client, person))
    provider.answer("token", {}, 429, **{"retry-after": "40"})
    clock.advance(MINUTE)
    await worker.turn()
    provider.answers["token"] = person.answer
    for _ in range(2):
        clock.advance(timedelta(seconds=19))
        await worker.turn()
    assert worker.outcomes("confirmed") == 0
    clock.advance(timedelta(seconds=2))
    await worker.turn()
    assert worker.outcomes("confirmed") == 1


async def test_people_about_whom_a_provider_fails_keep_nobody_else_from_being_confirmed(
    worker, person, client, clock, provider
):
    # Dex answers 500 about each whose account is gone, as if it were itself out of order.
    gone, there = [], []
    for number in range(60):
        one = await signed_in(client, person)
        is_gone = number % 10 == 0
        record = await worker.begin(one, number, seen_at=clock.now() + is_gone * MINUTE)
        (gone if is_gone else there).append((record, one.refresh_token))
    dead = {token for _, token in gone}

    async def answer(request: web.Request) -> web.StreamResponse:
        form = await request.post()
        if form.get("refresh_token") in dead:
            return web.json_response({"error": "invalid_request"}, status=500)
        return await person.answer(request)

    provider.answers["token"] = answer
    for _ in range(600):
        clock.advance(timedelta(seconds=1))
        await worker.turn()
    for record, _ in there:
        assert clock.now() - worker.found(record).verified_at < 2 * MINUTE
    for record, _ in gone:
        with pytest.raises(Unauthenticated, match="could not be asked"):
            worker.identity(record)
