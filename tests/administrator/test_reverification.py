"""Going back to real providers for kept sessions: ours, and npm's oidc-provider."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from kzproxy.administrator.session import SessionEnd
from kzproxy.authentication.provider_errors import ProviderRefusal
from kzproxy.authentication.provider_settings import Reverify
from kzproxy.errors.kinds import Unauthenticated
from tests.administrator.reverification_scene import ConfirmingWorker, confirming_worker
from tests.audit.full_log import full_log
from tests.authentication.provider_scene import (
    Kept,
    RunningProvider,
    Talk,
    running_demo_provider,
    running_foreign_provider,
    talking,
)
from tests.demo.conftest import MovableClock

MINUTE = timedelta(minutes=1)


@pytest.fixture
def clock() -> MovableClock:
    return MovableClock()


@pytest.fixture(scope="module")
def foreign(tmp_path_factory):
    with running_foreign_provider(tmp_path_factory.mktemp("foreign")) as provider:
        yield provider


@pytest.fixture(params=["demo", "foreign"])
async def provider(request, tmp_path, clock) -> AsyncIterator[RunningProvider]:
    if request.param == "demo":
        async with running_demo_provider(tmp_path, clock) as demo:
            yield demo
    else:
        foreign = request.getfixturevalue("foreign")
        yield foreign
        foreign.move(foreign.groups)


@pytest.fixture
async def talk(provider, clock) -> AsyncIterator[Talk]:
    async with talking(provider, clock=clock) as talk:
        yield talk


@asynccontextmanager
async def two_workers(
    directory: Path, clock: MovableClock, talk: Talk
) -> AsyncIterator[tuple[ConfirmingWorker, ConfirmingWorker]]:
    file = directory / "kept.db"
    async with (
        confirming_worker(file, clock, talk.client, "one") as one,
        confirming_worker(file, clock, talk.client, "two") as two,
    ):
        yield one, two


@pytest.fixture
async def worker(tmp_path, clock, talk) -> AsyncIterator[ConfirmingWorker]:
    async with confirming_worker(tmp_path / "kept.db", clock, talk.client) as worker:
        yield worker


async def test_a_session_is_confirmed_before_a_minute_is_over_and_not_sooner(worker, talk, clock):
    record = await worker.begin(await talk.signed_in())
    identity = worker.identity(record)
    clock.move(seconds=40)
    await worker.turn()
    assert worker.found(record) == record
    clock.move(seconds=15)
    await worker.turn()
    assert worker.found(record).verified_at > record.verified_at + timedelta(seconds=50)
    assert worker.refresh_token(record) not in repr(worker.found(record))
    assert worker.identity(record) is identity  # nobody is judged again for it
    assert worker.outcomes("confirmed") == 1
    for _ in range(3):
        clock.move(seconds=55)
        await worker.turn()
    assert worker.outcomes("confirmed") == 4
    assert worker.reverification.lag_seconds() == 0


async def test_what_is_to_be_alerted_on_is_shown_before_it_happens(worker):
    shown = worker.metrics.exposition().decode()
    for outcome in ("refused", "silent", "failed"):
        assert f'kzproxy_reverifications_total{{outcome="{outcome}"}} 0.0' in shown


async def test_moved_between_groups_is_noticed(worker, talk, clock):
    record = await worker.begin(await talk.signed_in())
    talk.provider.move(("guests",))
    worker.kept.told.clear()
    clock.move(seconds=55)
    await worker.turn()
    assert worker.identity(record).groups == ("idp:guests",)
    assert worker.kept.told == [frozenset({record.id})]


async def test_a_disabled_account_ends_the_session_and_says_so(worker, talk, clock):
    record = await worker.begin(await talk.signed_in())
    talk.provider.disable()
    clock.move(seconds=55)
    await worker.turn()
    assert worker.found(record).end_cause == "refused-by-provider"
    assert worker.found(record).refresh == b""
    with pytest.raises(Unauthenticated, match="identity provider no longer confirms it"):
        worker.identity(record)
    assert worker.outcomes("refused") == 1
    clock.move(seconds=55)
    await worker.turn()
    assert worker.outcomes("refused") == 1
    [event] = worker.events("auth.session-ended")
    assert (event["session"], event["by"]) == (record.id, "identity provider")
    assert event["user"]["name"] == record.username
    assert event["message"].startswith("the identity provider no longer confirms it")


async def test_no_session_is_ended_that_cannot_be_written_down(talk, tmp_path, clock):
    async with (
        full_log(clock) as full,
        confirming_worker(tmp_path / "kept.db", clock, talk.client, events=full) as worker,
    ):
        record = await worker.begin(await talk.signed_in())
        talk.provider.disable()
        clock.move(seconds=55)
        await worker.turn()
        assert worker.found(record).ended_at is None
        assert worker.outcomes("failed") == 1


async def test_a_stolen_refresh_token_ends_the_session_of_thief_and_owner(worker, talk, clock):
    record = await worker.begin(await talk.signed_in())
    stolen = Kept()
    await talk.client.confirm(worker.refresh_token(record), record.subject, stolen)
    clock.move(seconds=55)
    await worker.turn()
    assert worker.found(record).end_cause == "refused-by-provider"
    with pytest.raises(ProviderRefusal):
        await talk.client.confirm(stolen.tokens[0], record.subject, stolen)


async def test_a_session_that_ends_is_revoked_at_the_provider(worker, talk):
    record = await worker.begin(signed_in := await talk.signed_in())
    async with asyncio.TaskGroup() as group:
        giving_back = group.create_task(worker.giving_back.run())
        await worker.kept.directory.end(record.id, SessionEnd.SIGNED_OUT, "", by="alice")
        await worker.giving_back.settled()
        giving_back.cancel()
    with pytest.raises(ProviderRefusal):
        await talk.client.confirm(signed_in.refresh_token, record.subject, Kept())


async def test_userinfo_and_introspection_notice_too(provider, clock, tmp_path):
    for way in (Reverify.USERINFO, Reverify.INTROSPECTION):
        file = tmp_path / f"{way}.db"
        async with (
            talking(provider, provider.settings(way), clock) as talk,
            confirming_worker(file, clock, talk.client) as worker,
        ):
            record = await worker.begin(signed_in := await talk.signed_in())
            await worker.reverification.verify_now([record.id])
            await worker.turn()
            assert worker.outcomes("confirmed") == 1
            token = worker.refresh_token(record)
            assert (token == signed_in.refresh_token) is (way is Reverify.INTROSPECTION)
            await talk.client.revoke(token)
            await worker.reverification.verify_now([record.id])
            clock.move(seconds=1)
            await worker.turn()
            assert worker.outcomes("refused") == 1


async def test_one_worker_asks_and_another_goes_on_where_it_left(talk, tmp_path, clock):
    async with two_workers(tmp_path, clock, talk) as (one, two):
        record = await one.begin(await talk.signed_in())
        for _ in range(2):
            clock.move(seconds=30)
            await asyncio.gather(one.turn(), two.turn())
            await asyncio.gather(one.turn(), two.turn())
        assert one.outcomes("confirmed") + two.outcomes("confirmed") == 1
        asking, waiting = (one, two) if one.outcomes("confirmed") else (two, one)
        assert waiting.outcomes("failed") == 0
        await asking.reverification._lease.let_go()
        clock.move(seconds=55)
        await waiting.turn()
        assert waiting.outcomes("confirmed") == 1
        assert waiting.found(record).verified_at > record.verified_at + MINUTE
        # What the first has heard of since is known to it too.
        await asking.turn()
        assert asking.found(record) == waiting.found(record)
        assert asking.reverification.lag_seconds() == 0


async def test_a_worker_that_drains_leaves_what_is_due_to_another(talk, tmp_path, clock):
    async with two_workers(tmp_path, clock, talk) as (one, two):
        record = await one.begin(await talk.signed_in())
        await one.turn()  # It has the lease now.
        one.reverification.end_within(MINUTE)
        clock.move(seconds=55)
        await one.turn()
        assert one.outcomes("confirmed") == 0
        await two.turn()
        assert two.outcomes("confirmed") == 1
        assert two.found(record).verified_at > record.verified_at


async def test_a_worker_that_drains_asks_for_as_long_as_it_can_hear_the_answer(worker, talk, clock):
    record = await worker.begin(await talk.signed_in())
    await worker.turn()
    worker.reverification.end_within(2 * MINUTE)
    for _ in range(9):  # in steps, in which it keeps its lease
        clock.move(seconds=10)
        await worker.turn()
    assert worker.outcomes("confirmed") == 1
    confirmed = worker.found(record).verified_at
    clock.move(seconds=25)  # 115 s: it is due, and the drain ends in 5
    await worker.turn()
    assert worker.found(record).verified_at == confirmed


async def test_whoever_hears_of_a_change_has_the_asking_worker_ask(talk, tmp_path, clock):
    async with two_workers(tmp_path, clock, talk) as (one, two):
        record = await one.begin(await talk.signed_in())
        await one.turn()
        talk.provider.move(())
        await two.kept.following.catch_up()
        await two.reverification.verify_now([record.id, "unknown"])
        assert two.identity(record).groups == record.groups  # it still holds meanwhile
        await one.turn()
        await two.turn()
        assert two.identity(record).groups == ()
        assert (one.outcomes("confirmed"), two.outcomes("confirmed")) == (1, 0)


async def test_a_session_that_nobody_used_or_that_is_over_ends_without_a_question(
    worker, talk, clock
):
    signed_in = await talk.signed_in()
    now = clock.now()
    idle = await worker.begin(signed_in, 1, seen_at=now - timedelta(hours=3))
    over = await worker.begin(signed_in, 2, ends_at=now - MINUTE)
    just = await worker.begin(signed_in, 3, seen_at=now - timedelta(hours=2, seconds=5))
    await worker.reverification.verify_now([idle.id, over.id])
    for _ in range(2):
        clock.move(seconds=1)
        await worker.turn()
    assert worker.found(idle).end_cause == "idle"
    assert worker.found(over).end_cause == "over"
    assert worker.found(just).ended_at is None  # another worker may know better
    assert worker.outcomes("over") == 2


async def test_an_identity_mapped_by_settings_no_longer_in_force_is_mapped_anew(
    worker, talk, clock
):
    record = await worker.begin(await talk.signed_in(), vouched_by="another revision")
    clock.move(seconds=1)
    await worker.turn()
    assert worker.found(record).vouched_by == "another revision"
    worker.reverification.providers_changed()
    clock.move(seconds=1)
    await worker.turn()
    assert worker.found(record).vouched_by == talk.provider.issuer_settings.revision


async def test_a_session_that_introspection_confirms_ends_where_its_issuers_settings_have_changed(
    provider, clock, tmp_path
):
    """Nobody says who the person is by the new ones, so nothing but a new sign-in mends it."""
    settings = provider.settings(Reverify.INTROSPECTION)
    async with (
        talking(provider, settings, clock) as talk,
        confirming_worker(tmp_path / "kept.db", clock, talk.client) as worker,
    ):
        signed_in = await talk.signed_in()
        same = await worker.begin(signed_in, 1)
        before = await worker.begin(signed_in, 2, vouched_by="another revision")
        worker.reverification.providers_changed()
        clock.move(seconds=1)
        await worker.turn()
        assert worker.found(same).ended_at is None
        assert worker.found(before).end_cause == "refused-by-provider"
        with pytest.raises(
            Unauthenticated, match=r"has changed since you signed in.*kzproxy login"
        ):
            worker.identity(before)
        assert worker.outcomes("refused") == 1
