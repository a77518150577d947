from datetime import timedelta
from functools import partial
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from kzproxy.administrator.session import SessionEnd, SessionRecord
from kzproxy.attributes.attributes import Attributes
from kzproxy.errors.kinds import ServiceUnavailable, Unauthenticated
from kzproxy.store.store import Conflict, Put
from tests.administrator.kept_sessions import KeptSessions
from tests.authentication.manual_clock import ManualClock
from tests.policy.samples import asked


@pytest.fixture
async def workers(tmp_path: Path, clock: ManualClock):
    made = [KeptSessions(tmp_path / "kept.db", clock) for _ in range(2)]
    for worker in made:
        await worker.following.start()
        worker.told.clear()
    yield made
    for worker in made:
        await worker.store.close()


@pytest.fixture
def kept(workers: list[KeptSessions]) -> KeptSessions:
    return workers[0]


def with_groups(record: SessionRecord, *groups: str) -> SessionRecord:
    return msgspec.structs.replace(record, groups=groups)


def verified(record: SessionRecord, clock: ManualClock) -> SessionRecord:
    return msgspec.structs.replace(record, verified_at=clock.now())


async def keep_verified(kept: KeptSessions, session_id: str, clock: ManualClock) -> None:
    await kept.directory.update(session_id, partial(verified, clock=clock))


def of_session(record: SessionRecord) -> Attributes:
    return asked("GET", "/api/v1/pods", who=record.identity())


async def test_a_session_says_who_calls(kept: KeptSessions, clock: ManualClock):
    await kept.directory.begin(record := kept.record())
    identity = kept.directory.identity(record.id, clock.now())
    assert (identity.username, identity.groups, identity.method) == (
        "alice",
        ("dev", "ops"),
        "session",
    )
    assert identity.sign_in == record.id
    assert identity.expires_at == record.ends_at


async def test_it_is_the_same_object_while_it_is_the_same(kept: KeptSessions, clock: ManualClock):
    await kept.directory.begin(record := kept.record())
    before = kept.directory.identity(record.id, clock.now())
    clock.advance(timedelta(minutes=1))
    await keep_verified(kept, record.id, clock)
    assert kept.directory.identity(record.id, clock.now()) is before
    await kept.directory.update(record.id, partial(with_groups))
    assert kept.directory.identity(record.id, clock.now()) is not before


async def test_nobody_is_told_of_what_nobody_is_judged_by(kept: KeptSessions, clock: ManualClock):
    await kept.directory.begin(record := kept.record())
    kept.told.clear()
    clock.advance(timedelta(minutes=1))
    await keep_verified(kept, record.id, clock)
    assert kept.told == []
    await kept.directory.update(record.id, lambda one: with_groups(one, "dev"))
    assert kept.told == [frozenset({record.id})]


async def test_a_session_that_nobody_began_is_not_known(kept: KeptSessions, clock: ManualClock):
    with pytest.raises(Unauthenticated, match="not known"):
        kept.directory.identity("f" * 32, clock.now())


async def test_two_sessions_never_have_one_id(kept: KeptSessions):
    await kept.directory.begin(kept.record())
    with pytest.raises(Conflict):
        await kept.directory.begin(kept.record())


@pytest.mark.parametrize(
    ("cause", "message", "said"),
    [
        (SessionEnd.REVOKED, "", "an administrator revoked it"),
        (SessionEnd.REVOKED, "laptop lost", "laptop lost"),
        (SessionEnd.SIGNED_OUT, "", "you signed out"),
        (SessionEnd.DISABLED, "", "no longer confirms"),
        (SessionEnd.DEVICE, "", "its device may no longer be used"),
    ],
)
async def test_whoever_comes_after_its_end_is_told_why(
    kept: KeptSessions, clock: ManualClock, cause: SessionEnd, message: str, said: str
):
    await kept.directory.begin(record := kept.record())
    before = await kept.directory.end(record.id, cause, message, by="carol")
    assert before == record
    with pytest.raises(Unauthenticated, match=said):
        kept.directory.identity(record.id, clock.now())


async def test_an_ended_session_keeps_no_secret_and_is_not_ended_twice(kept: KeptSessions):
    await kept.directory.begin(record := kept.record())
    await kept.directory.end(record.id, SessionEnd.REVOKED, "", by="carol")
    ended = kept.directory.find(record.id)
    assert ended is not None
    assert (ended.refresh, ended.renewal_digest, ended.ended_by) == (b"", "", "carol")
    assert await kept.directory.end(record.id, SessionEnd.IDLE, "", by="kzproxy") is None
    with pytest.raises(Unauthenticated):
        await kept.directory.update(record.id, lambda one: with_groups(one, "more"))


async def test_whoever_ends_sessions_elsewhere_too_is_told_once(kept: KeptSessions):
    ended: list[SessionRecord] = []
    kept.directory.on_end(ended.append)
    await kept.directory.begin(record := kept.record())
    await kept.directory.end(record.id, SessionEnd.REVOKED, "", by="carol")
    await kept.directory.end(record.id, SessionEnd.REVOKED, "", by="carol")
    assert ended == [record]


async def test_an_end_at_one_worker_is_one_at_the_other(
    workers: list[KeptSessions], clock: ManualClock
):
    one, two = workers
    await one.directory.begin(record := one.record())
    await two.following.catch_up()
    assert two.directory.identity(record.id, clock.now()).username == "alice"
    two.told.clear()
    await one.directory.end(record.id, SessionEnd.REVOKED, "", by="carol")
    await two.following.catch_up()
    assert two.told == [frozenset({record.id})]
    with pytest.raises(Unauthenticated):
        two.directory.identity(record.id, clock.now())


async def test_a_session_ends_at_its_end_whatever_happens_in_it(
    kept: KeptSessions, clock: ManualClock
):
    await kept.directory.begin(record := kept.record())
    kept.told.clear()
    for _ in range(12 * 60 - 1):
        clock.advance(timedelta(minutes=1))
        kept.directory.used(record.id, clock.now())
        if clock.now().minute % 5 == 0:
            await keep_verified(kept, record.id, clock)
    await kept.following.catch_up()
    kept.directory.sweep(clock.now())
    assert kept.told == []
    clock.advance(timedelta(minutes=1))
    await kept.following.catch_up()
    kept.directory.sweep(clock.now())
    assert kept.told == [frozenset({record.id})]
    with pytest.raises(Unauthenticated, match="as long as one may"):
        kept.directory.identity(record.id, clock.now())


async def test_a_session_that_is_not_used_ends(kept: KeptSessions, clock: ManualClock):
    await kept.directory.begin(record := kept.record())
    kept.told.clear()
    for _ in range(24):
        clock.advance(timedelta(minutes=5))
        await keep_verified(kept, record.id, clock)
    kept.directory.sweep(clock.now())
    assert kept.told == [frozenset({record.id})]
    with pytest.raises(Unauthenticated, match=r"not used for 2:00:00"):
        kept.directory.identity(record.id, clock.now())


async def test_a_session_that_is_used_does_not(kept: KeptSessions, clock: ManualClock):
    await kept.directory.begin(record := kept.record())
    clock.advance(timedelta(minutes=119))
    kept.directory.used(record.id, clock.now())
    await kept.directory.note_used()
    clock.advance(timedelta(minutes=2))
    await keep_verified(kept, record.id, clock)
    kept.directory.sweep(clock.now())
    assert kept.directory.identity(record.id, clock.now())


async def test_use_that_is_not_written_down_yet_counts(kept: KeptSessions, clock: ManualClock):
    await kept.directory.begin(record := kept.record())
    clock.advance(timedelta(minutes=119))
    kept.directory.used(record.id, clock.now())
    clock.advance(timedelta(minutes=2))
    await keep_verified(kept, record.id, clock)
    assert kept.directory.identity(record.id, clock.now())


async def test_a_session_that_nobody_confirms_holds_for_the_grace_alone(
    kept: KeptSessions, clock: ManualClock
):
    await kept.directory.begin(record := kept.record())
    kept.told.clear()
    clock.advance(timedelta(seconds=60 + 300 - 1))
    await kept.following.catch_up()
    assert kept.directory.identity(record.id, clock.now())
    clock.advance(timedelta(seconds=1))
    await kept.following.catch_up()
    kept.directory.sweep(clock.now())
    assert kept.told == [frozenset({record.id})]
    with pytest.raises(Unauthenticated, match="could not be asked since"):
        kept.directory.identity(record.id, clock.now())


async def test_a_confirmation_from_far_ahead_is_worth_no_more_than_one_from_long_ago(
    kept: KeptSessions, clock: ManualClock
):
    record, other = kept.record(1), kept.record(2)
    await kept.directory.begin(
        msgspec.structs.replace(record, verified_at=clock.now() + timedelta(seconds=359))
    )
    await kept.directory.begin(
        msgspec.structs.replace(other, verified_at=clock.now() + timedelta(seconds=360))
    )
    assert kept.directory.identity(record.id, clock.now())
    with pytest.raises(Unauthenticated, match="could not be asked since"):
        kept.directory.identity(other.id, clock.now())


async def test_what_nobody_can_tell_is_refused(kept: KeptSessions, clock: ManualClock):
    await kept.directory.begin(record := kept.record())
    clock.advance(timedelta(seconds=16))
    with pytest.raises(ServiceUnavailable, match="cannot tell"):
        kept.directory.identity(record.id, clock.now())


async def test_of_one_session_too_many_it_is_the_one_used_least_recently(
    kept: KeptSessions, clock: ManualClock
):
    for number in range(1, 4):
        await kept.directory.begin(kept.record(number))
        clock.advance(timedelta(minutes=1))
    kept.directory.used(kept.record(1).id, clock.now())
    assert kept.directory.too_many(kept.record(3)) == ()
    await kept.directory.begin(kept.record(4))
    assert [one.id for one in kept.directory.too_many(kept.record(4))] == [kept.record(2).id]


async def test_sessions_whose_provider_is_silent_are_among_too_many(
    kept: KeptSessions, clock: ManualClock
):
    for number in range(1, 4):
        await kept.directory.begin(kept.record(number))
        clock.advance(timedelta(minutes=5))
    await kept.directory.begin(kept.record(4))
    assert [one.id for one in kept.directory.too_many(kept.record(4))] == [kept.record(1).id]


async def test_a_session_that_may_hold_again_is_there_for_those_who_end_them(
    kept: KeptSessions, clock: ManualClock
):
    await kept.directory.begin(record := kept.record(1, device_id="laptop"))
    clock.advance(timedelta(minutes=7))
    assert kept.directory.holding() == kept.directory.holding_on("laptop") == ()
    found = [kept.directory.unended(), kept.directory.of_device("laptop")]
    found += [kept.directory.of_user(*record.user), kept.directory.of_key(record.key_thumbprint)]
    assert found == [(record,)] * 4
    clock.advance(timedelta(hours=12))
    assert kept.directory.unended() == ()


async def test_sessions_are_found_by_user_and_by_device(kept: KeptSessions):
    await kept.directory.begin(kept.record(1, device_id="laptop"))
    await kept.directory.begin(kept.record(2, subject="00u2", username="bob"))
    assert [one.id for one in kept.directory.of_device("laptop")] == [kept.record(1).id]
    assert [one.username for one in kept.directory.of_user("https://idp.example.com", "00u2")] == [
        "bob"
    ]
    assert len(kept.directory.holding()) == 2
    await kept.directory.end(kept.record(1).id, SessionEnd.REVOKED, "", by="carol")
    assert kept.directory.of_device("laptop") == ()
    assert len(kept.directory.all()) == 2


async def test_facts_are_restated_from_the_session_as_it_is(kept: KeptSessions, clock: ManualClock):
    await kept.directory.begin(record := kept.record())
    facts = of_session(record)
    current = kept.directory.restate(facts, clock.now())
    assert current.subject is kept.directory.identity(record.id, clock.now())
    assert kept.directory.restate(current, clock.now()) is current
    await kept.directory.update(record.id, lambda one: with_groups(one, "dev"))
    assert kept.directory.restate(current, clock.now()).subject.groups == ("dev",)
    await kept.directory.end(record.id, SessionEnd.REVOKED, "", by="carol")
    with pytest.raises(Unauthenticated):
        kept.directory.restate(current, clock.now())


async def test_facts_of_others_are_left_alone(kept: KeptSessions, clock: ManualClock):
    facts = asked("GET", "/api/v1/pods")
    assert kept.directory.restate(facts, clock.now()) is facts


async def test_a_token_that_is_bound_stays_so(kept: KeptSessions, clock: ManualClock):
    await kept.directory.begin(record := kept.record())
    bound = replace(record.identity(), confirmation="ab" * 32)
    facts = asked("GET", "/api/v1/pods", who=bound)
    assert kept.directory.restate(facts, clock.now()) is facts
    await kept.directory.update(record.id, lambda one: with_groups(one, "dev"))
    restated = kept.directory.restate(facts, clock.now()).subject
    assert (restated.groups, restated.confirmation) == (("dev",), "ab" * 32)


async def test_a_record_does_not_show_what_is_secret(kept: KeptSessions):
    assert "sealed" not in repr(kept.record())
    assert "digest" not in repr(kept.record())


async def test_a_session_that_cannot_be_read_is_none_and_others_are(
    kept: KeptSessions, clock: ManualClock
):
    await kept.directory.begin(record := kept.record(1))
    await kept.directory.begin(other := kept.record(2))
    kept.told.clear()
    await kept.following.write(Put(kind="session", key=record.id, value=b"{"))
    assert kept.told == [frozenset({record.id})]
    with pytest.raises(Unauthenticated, match="not known"):
        kept.directory.identity(record.id, clock.now())
    await kept.following.start()
    assert kept.directory.identity(other.id, clock.now())


async def test_one_that_cannot_be_read_is_not_there_for_whoever_changes_it(
    kept: KeptSessions, clock: ManualClock
):
    """As where a newer version writes it while this worker has something noted of it."""
    await kept.directory.begin(record := kept.record(1))
    await kept.directory.begin(other := kept.record(2))
    clock.advance(timedelta(minutes=1))
    for one in (record, other):
        kept.directory.used(one.id, clock.now())
    await kept.store.write(Put(kind="session", key=record.id, value=b'{"groups": {}}'))
    await kept.directory.note_used()
    found = await kept.directory.stored(other.id)
    assert found is not None
    assert found.record.seen_at == clock.now()
    with pytest.raises(Unauthenticated):
        await kept.directory.update(record.id, lambda one: with_groups(one, "dev"))
    assert await kept.directory.end(record.id, SessionEnd.REVOKED, "", by="carol") is None
    assert "session" in kept.following.unreadable.words()


async def test_whoever_missed_changes_is_told_of_all_there_was_and_all_there_is(
    kept: KeptSessions, clock: ManualClock
):
    records = [kept.record(number) for number in (1, 2, 3)]
    for record in records[:2]:
        await kept.directory.begin(record)
    entries = await kept.store.entries("session")
    kept.told.clear()

    kept.directory.replaced([entry for entry in entries if entry.key != records[0].id])

    assert kept.told == [frozenset({records[0].id, records[1].id})]
    assert kept.directory.find(records[0].id) is None
    with pytest.raises(Unauthenticated):
        kept.directory.identity(records[0].id, clock.now())
    assert kept.directory.identity(records[1].id, clock.now()).username == "alice"


async def test_a_later_sign_in_of_the_same_person_is_another_in_whichever_session(
    kept: KeptSessions,
):
    await kept.directory.begin(record := kept.record(1))
    was = msgspec.structs.replace(record, began_at=record.began_at - timedelta(minutes=1))
    assert kept.directory.is_signed_in_otherwise(was)
    assert not kept.directory.is_signed_in_otherwise(record)
    await kept.directory.begin(other := kept.record(2))
    assert kept.directory.is_signed_in_otherwise(record)
    await kept.directory.end(other.id, SessionEnd.SIGNED_OUT, "", by="alice")
    assert not kept.directory.is_signed_in_otherwise(record)
