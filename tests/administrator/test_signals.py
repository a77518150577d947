"""What each signal does, over a real store: to sessions, to streams, to those who come later."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from functools import partial
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from kzproxy.administrator.lease import EndCause
from kzproxy.administrator.session import SessionEnd
from kzproxy.administrator.session_entry import KIND as SESSION_KIND
from kzproxy.administrator.signal import SignalKind, SignalSource, SignalSubject
from kzproxy.administrator.signal_effects import KEPT
from kzproxy.administrator.signals import Outcome
from kzproxy.attributes.device import CheckResult, Fact
from kzproxy.attributes.identity import Identity
from kzproxy.audit.decision_log import DecisionLog
from kzproxy.audit.schema import SignalRecord
from kzproxy.authentication.settings import ValidationRule
from kzproxy.devices.serial_numbers import new_serial_number
from kzproxy.errors.kinds import ServiceUnavailable, Unauthenticated
from kzproxy.policy.rules import Conditions, SignIn, Tier
from kzproxy.store.sqlite import SqliteStore
from kzproxy.store.store import Conflict, Entry, Put
from tests.administrator.signal_world import (
    ALICE,
    IDP,
    ISSUER,
    LAPTOP,
    PODS,
    SOURCE,
    Worker,
    direct,
    worker_of,
)
from tests.authentication.manual_clock import ManualClock
from tests.policy.samples import allow

MINUTE = timedelta(minutes=1)
SECOND = timedelta(seconds=1)


@pytest.fixture
async def other(tmp_path: Path, clock: ManualClock, worker: Worker) -> AsyncIterator[Worker]:
    made = await worker_of(tmp_path, clock, 2)
    yield made
    await made.close()


def test_everything_kept_outlives_what_it_refuses() -> None:
    assert timedelta(days=7) <= KEPT


async def test_a_revoked_session_ends_with_its_streams_and_says_why(
    worker: Worker, clock: ManualClock
) -> None:
    record = await worker.signed_in()
    stream = worker.stream(record)
    clock.advance(MINUTE)
    outcome = await worker.take(SignalKind.SESSION_REVOKED, message="Account locked")
    assert outcome is Outcome.APPLIED
    assert "the session was ended: Account locked" in stream.told
    assert "kzproxy login" in stream.told
    ended = worker.session(record)
    assert (ended.end_cause, ended.end_message) == (SessionEnd.SIGNAL, "Account locked")
    assert ended.ended_by == "signal of idp"
    assert ended.refresh == b""
    with pytest.raises(Unauthenticated, match="Account locked"):
        worker.facts(record)


async def test_a_session_whose_provider_is_silent_is_concerned_too(
    worker: Worker, clock: ManualClock
) -> None:
    record = await worker.signed_in(authentication_class="high")
    on_it = SignalSubject(issuer=IDP, device_id="laptop-1")
    clock.advance(7 * MINUTE)
    for subject in (ALICE, on_it, SignalSubject(issuer=IDP, email="alice@example.com")):
        clock.advance(SECOND)
        level = f"low-{clock.now():%S}"
        await worker.take(SignalKind.ASSURANCE_CHANGED, subject, current_level=level)
        assert worker.session(record).authentication_class == level
    await worker.take(SignalKind.SESSION_REVOKED)
    assert worker.session(record).end_cause == SessionEnd.SIGNAL


async def test_it_is_in_the_log_before(worker: Worker) -> None:
    record = await worker.signed_in()
    await worker.take(SignalKind.SESSION_REVOKED, signal_id="24c6")
    (line,) = worker.records()
    assert (line["stream"], line["id"], line["event"]) == ("idp", "24c6", "session-revoked")
    assert line["sessions"] == [record.id]
    assert line["subject"] == {"issuer": IDP, "subject": "00u1"}
    assert line["outcome"] == "applied"


async def test_neighbours_never_notice(worker: Worker) -> None:
    bob = await worker.signed_in(
        2, subject="00u2", username="idp:bob@example.com", email="bob@example.com"
    )
    foreign = await worker.signed_in(3, issuer="https://other.example.com")
    neighbours = [worker.stream(bob), worker.stream(foreign)]
    await worker.signed_in()
    await worker.take(SignalKind.SESSION_REVOKED)
    assert all(stream.lives for stream in neighbours)
    worker.facts(bob)
    worker.facts(foreign)


async def test_who_signed_in_after_it_happened_is_not_meant(
    worker: Worker, clock: ManualClock
) -> None:
    happened = clock.now() - MINUTE
    record = await worker.signed_in()
    stream = worker.stream(record)
    await worker.take(SignalKind.SESSION_REVOKED, at=happened)
    assert stream.lives
    worker.facts(record)


async def test_a_session_of_an_old_sign_in_is_meant_however_young_it_is(
    worker: Worker, clock: ManualClock
) -> None:
    record = await worker.signed_in(authenticated_at=clock.now() - MINUTE)
    await worker.take(SignalKind.SESSION_REVOKED, at=clock.now() - SECOND)
    assert worker.session(record).ended_at is not None


async def test_two_clocks_may_differ_where_the_issuer_does_not_say_when(
    worker: Worker, clock: ManualClock
) -> None:
    happened = clock.now() - SECOND
    record = await worker.signed_in(authenticated_at=None)
    later = await worker.signed_in(
        2, authenticated_at=None, began_at=clock.now() + MINUTE, idp_session=""
    )
    await worker.take(SignalKind.SESSION_REVOKED, at=happened)
    assert worker.session(record).ended_at is not None
    assert worker.session(later).ended_at is None


@pytest.mark.parametrize(
    "subject",
    [
        SignalSubject(issuer=IDP, subject="00u1"),
        SignalSubject(issuer=IDP + "/", subject="00u1"),
        SignalSubject(subject="00u1"),
        SignalSubject(email="Alice@Example.com"),
        SignalSubject(idp_session="sid-1"),
        SignalSubject(device_id="laptop-1"),
        SignalSubject(issuer=IDP, subject="00u1", device_id="laptop-1", idp_session="sid-1"),
    ],
)
async def test_a_session_is_found_by_each_of_its_names(
    worker: Worker, subject: SignalSubject
) -> None:
    record = await worker.signed_in()
    stream = worker.stream(record)
    assert await worker.take(SignalKind.SESSION_REVOKED, subject) is Outcome.APPLIED
    assert not stream.lives
    assert worker.session(record).ended_at is not None


@pytest.mark.parametrize(
    "subject",
    [
        SignalSubject(issuer=IDP, subject="00u2"),
        SignalSubject(issuer="https://other.example.com", subject="00u1"),
        SignalSubject(email="bob@example.com"),
        SignalSubject(idp_session="sid-2"),
        SignalSubject(device_id="laptop-2"),
        SignalSubject(issuer=IDP, subject="00u1", device_id="laptop-2"),
        SignalSubject(issuer=IDP, subject="00u1", idp_session="sid-2"),
        SignalSubject(),
    ],
)
async def test_a_session_of_which_one_thing_differs_is_another(
    worker: Worker, subject: SignalSubject
) -> None:
    record = await worker.signed_in()
    stream = worker.stream(record)
    await worker.take(SignalKind.SESSION_REVOKED, subject)
    assert stream.lives
    assert worker.session(record).ended_at is None
    worker.facts(record)


async def test_a_source_speaks_of_nobody_elses_users(worker: Worker) -> None:
    record = await worker.signed_in()
    source = SignalSource(name="mdm", issuer="https://mdm.example.com", users_of=())
    for subject in (ALICE, SignalSubject(email="alice@example.com"), SignalSubject(subject="00u1")):
        outcome = await worker.take(SignalKind.SESSION_REVOKED, subject, source=source)
        assert outcome is Outcome.NOBODY
    assert worker.session(record).ended_at is None


async def test_who_speaks_of_devices_alone_ends_nobodys_session(worker: Worker) -> None:
    record = await worker.signed_in()
    stream, tokens = worker.stream(record), worker.stream(direct(worker.clock))
    mdm = SignalSource(name="mdm", issuer="https://mdm.example.com", users_of=())
    subjects = [
        SignalSubject(device_id="laptop-1"),
        SignalSubject(issuer=IDP, subject="00u1", device_id="laptop-1"),
    ]
    for subject in subjects:
        outcome = await worker.take(SignalKind.SESSION_REVOKED, subject, source=mdm)
        assert outcome is Outcome.NOBODY
    outcome = await worker.take(
        SignalKind.DEVICE_COMPLIANCE, subjects[1], source=mdm, current_status="not-compliant"
    )
    assert outcome is Outcome.APPLIED
    assert stream.lives
    assert tokens.lives


async def test_refresh_tokens_of_ended_sessions_are_seen_to(worker: Worker) -> None:
    told: list[str] = []
    worker.sessions.on_end(lambda record: told.append(f"{record.id[-1]} {record.refresh!r}"))
    await worker.signed_in(1)
    await worker.signed_in(2)
    await worker.take(SignalKind.ASSURANCE_CHANGED, current_level="aal1")
    assert told == []
    await worker.take(SignalKind.SESSION_REVOKED, signal_id="x")
    await worker.take(SignalKind.SESSION_REVOKED, signal_id="x")
    assert sorted(told) == ["1 b'sealed'", "2 b'sealed'"]


async def test_a_sources_own_name_stands_for_the_users_it_speaks_of(worker: Worker) -> None:
    record = await worker.signed_in()
    source = SignalSource(name="org", issuer="https://org.example.com", users_of=(IDP,))
    subject = SignalSubject(issuer="https://org.example.com/", subject="00u1")
    await worker.take(SignalKind.SESSION_REVOKED, subject, source=source)
    assert worker.session(record).ended_at is not None


class BusyStore(SqliteStore):
    """In which other workers use one session of every sixty that are read."""

    read: list[Entry]

    async def get(self, kind: str, key: str) -> Entry | None:
        entry = await super().get(kind, key)
        if entry is not None and kind == SESSION_KIND:
            self.read.append(entry)
            if len(self.read) % 60 == 0:
                await self._use(self.read[-20])
        return entry

    async def _use(self, used: Entry) -> None:
        with contextlib.suppress(Conflict):
            await super().write(
                Put(
                    kind=used.kind,
                    key=used.key,
                    value=used.value,
                    expires_at=used.expires_at,
                    expected=used.revision,
                )
            )


@pytest.mark.parametrize("kind", [SignalKind.SESSION_REVOKED, SignalKind.CLAIMS_CHANGED])
async def test_of_very_many_each_is_changed_though_one_always_changes_meanwhile(
    worker: Worker, clock: ManualClock, kind: SignalKind
) -> None:
    records = [await worker.signed_in(number, subject=f"00u{number}") for number in range(1, 161)]
    clock.advance(MINUTE)
    store = worker.kept.store
    store.__class__ = BusyStore
    assert isinstance(store, BusyStore)
    store.read = []
    everybody, allowed = SignalSubject(tenant=True), replace(SOURCE, tenant_wide=True)
    outcome = await worker.take(kind, everybody, source=allowed, claims={"groups": ["new"]})
    assert outcome is Outcome.APPLIED
    for record in map(worker.session, records):
        if kind is SignalKind.SESSION_REVOKED:
            assert record.end_cause == SessionEnd.SIGNAL
        else:
            assert record.groups == ("idp:new",)
    named = {one for record in worker.records() for one in record.get("sessions", ())}
    assert named == {one.id for one in records}


async def test_everybody_is_meant_only_where_that_is_allowed(worker: Worker) -> None:
    record = await worker.signed_in()
    tenant = SignalSubject(tenant=True)
    outcome = await worker.take(SignalKind.SESSION_REVOKED, tenant)
    assert outcome is Outcome.NOT_ALLOWED
    assert worker.session(record).ended_at is None
    assert worker.records()[-1]["outcome"] == "not-allowed"
    foreign = await worker.signed_in(2, issuer="https://other.example.com")
    allowed = replace(SOURCE, tenant_wide=True)
    assert await worker.take(SignalKind.SESSION_REVOKED, tenant, source=allowed) is Outcome.APPLIED
    assert worker.session(record).ended_at is not None
    assert worker.session(foreign).ended_at is None
    with pytest.raises(Unauthenticated):
        worker.facts(direct(worker.clock))


async def test_the_same_signal_does_nothing_twice(
    worker: Worker, other: Worker, clock: ManualClock
) -> None:
    await worker.signed_in()
    clock.advance(SECOND)
    assert await worker.take(SignalKind.SESSION_REVOKED, signal_id="x") is Outcome.APPLIED
    clock.advance(SECOND)
    again = await worker.signed_in(2)
    for one in (worker, other):
        assert await one.take(SignalKind.SESSION_REVOKED, signal_id="x") is Outcome.REPEATED
    assert worker.session(again).ended_at is None
    clock.advance(KEPT - 2 * SECOND)
    assert await other.take(SignalKind.SESSION_REVOKED, signal_id="x") is Outcome.REPEATED


async def test_two_sources_may_use_one_id(worker: Worker) -> None:
    record = await worker.signed_in()
    elsewhere = SignalSource(name="b", issuer="https://b.example.com", users_of=(IDP,))
    nobody = SignalSubject(subject="nobody")
    await worker.take(SignalKind.SESSION_REVOKED, nobody, signal_id="x", source=elsewhere)
    assert await worker.take(SignalKind.SESSION_REVOKED, signal_id="x") is Outcome.APPLIED
    assert worker.session(record).ended_at is not None


async def test_what_is_older_than_the_last_of_its_kind_does_nothing(
    worker: Worker, clock: ManualClock
) -> None:
    record = await worker.signed_in()
    clock.advance(MINUTE)
    change = SignalKind.ASSURANCE_CHANGED
    await worker.take(change, current_level="aal2", change_direction="increase")
    late = clock.now() - SECOND
    outcome = await worker.take(change, at=late, current_level="aal1", change_direction="decrease")
    assert outcome is Outcome.OUTDATED
    assert worker.session(record).authentication_class == "aal2"
    assert await worker.take(change, current_level="aal3") is Outcome.APPLIED


async def test_another_worker_ends_its_streams_too(worker: Worker, other: Worker) -> None:
    record = await worker.signed_in()
    await other.kept.following.catch_up()
    stream = other.stream(record)
    identity = direct(worker.clock)
    tokens = other.stream(identity)
    await worker.take(SignalKind.SESSION_REVOKED, message="laptop lost")
    await other.kept.following.catch_up()
    assert "laptop lost" in stream.told
    assert "laptop lost" in tokens.told


async def test_a_session_that_began_at_another_worker_meanwhile_is_refused(
    worker: Worker, clock: ManualClock
) -> None:
    """It was being written while the others were found: it is known by when it began."""
    clock.advance(SECOND)
    await worker.take(SignalKind.SESSION_REVOKED, message="laptop lost")
    late = await worker.signed_in(
        began_at=clock.now() - SECOND, authenticated_at=clock.now() - SECOND
    )
    with pytest.raises(Unauthenticated, match="laptop lost"):
        worker.facts(late)
    clock.advance(SECOND)
    worker.facts(await worker.signed_in(2))


async def test_a_worker_that_hears_nothing_takes_no_token_that_may_be_revoked(
    worker: Worker, other: Worker, clock: ManualClock
) -> None:
    who = direct(clock)
    stream = other.stream(who)
    await worker.take(SignalKind.SESSION_REVOKED, at=clock.now() + SECOND)
    clock.advance(MINUTE)
    with pytest.raises(ServiceUnavailable, match="still holds"):
        other.facts(who)
    other.administrator.judge_all_again()
    assert not stream.lives


async def test_two_workers_take_one_signal_once(
    worker: Worker, other: Worker, clock: ManualClock
) -> None:
    record = await worker.signed_in()
    await other.kept.following.catch_up()
    outcomes = [
        await one.take(SignalKind.SESSION_REVOKED, signal_id="x") for one in (worker, other)
    ]
    assert outcomes == [Outcome.APPLIED, Outcome.REPEATED]
    assert worker.session(record).ended_at == clock.now()


# Tokens of an issuer's own


class SlowLog:
    """The decision log, with something that happens elsewhere while it writes the first signal."""

    def __init__(self, decisions: DecisionLog, meanwhile: Callable[[], Awaitable[object]]) -> None:
        self._decisions = decisions
        self._meanwhile = meanwhile

    async def record_signal(self, record: SignalRecord, *, durable: bool) -> None:
        await self._decisions.record_signal(record, durable=durable)
        meanwhile, self._meanwhile = self._meanwhile, partial(asyncio.sleep, 0)
        await meanwhile()


@pytest.mark.parametrize("elsewhere", ["ended", "repeated", "seen"])
async def test_what_came_between_is_in_the_log_too(
    worker: Worker, other: Worker, elsewhere: str
) -> None:
    """A signal is written down before it is done; where that turns out otherwise it says so."""
    one, two = await worker.signed_in(1), await worker.signed_in(2)
    await other.kept.following.catch_up()

    async def meanwhile() -> None:
        if elsewhere == "ended":
            await other.sessions.end(two.id, SessionEnd.REVOKED, "", by="carol")
        elif elsewhere == "repeated":
            await other.take(SignalKind.SESSION_REVOKED, signal_id="24c6")
        else:
            other.sessions.used(two.id, other.clock.now() + SECOND)
            await other.sessions.note_used()

    worker.signals._decisions = SlowLog(worker.decisions, meanwhile)  # type: ignore[assignment]
    await worker.take(SignalKind.SESSION_REVOKED, signal_id="24c6")
    told = [(line["outcome"], sorted(line.get("sessions", []))) for line in worker.records()]
    first = ("applied", [one.id, two.id])
    assert (
        told
        == {
            "ended": [first, ("applied", [one.id])],
            "repeated": [first, ("repeated", [])],
            "seen": [first],
        }[elsewhere]
    )


async def test_tokens_from_before_are_refused_and_their_streams_end(
    worker: Worker, clock: ManualClock
) -> None:
    before = direct(clock)
    stream = worker.stream(before)
    clock.advance(MINUTE)
    await worker.take(SignalKind.SESSION_REVOKED, message="Account locked")
    assert "Account locked" in stream.told
    with pytest.raises(Unauthenticated, match="Account locked"):
        worker.facts(before)
    refreshed = replace(before, issued_at=clock.now() + SECOND)
    with pytest.raises(Unauthenticated):
        worker.facts(refreshed)
    clock.advance(SECOND)
    worker.facts(direct(clock))


async def test_a_token_that_does_not_say_when_is_refused(
    worker: Worker, clock: ManualClock
) -> None:
    await worker.take(SignalKind.SESSION_REVOKED)
    clock.advance(SECOND)
    with pytest.raises(Unauthenticated):
        worker.facts(direct(clock, authenticated_at=None, issued_at=None))
    worker.facts(direct(clock, authenticated_at=None))


@pytest.mark.parametrize(
    ("subject", "change"),
    [
        (SignalSubject(email="alice@example.com"), {"username": "idp:bob@example.com"}),
        (SignalSubject(idp_session="sid-1"), {"sign_in": "sid-2"}),
        (SignalSubject(issuer=IDP, subject="00u1"), {"subject": "00u2"}),
        (SignalSubject(issuer=IDP, subject="00u1"), {"issuer": "https://other.example.com"}),
    ],
)
async def test_tokens_are_found_by_each_name(
    worker: Worker, clock: ManualClock, subject: SignalSubject, change: dict[str, object]
) -> None:
    meant = direct(clock)
    another: Identity = replace(meant, **change)  # type: ignore[arg-type]
    ends, lives = worker.stream(meant), worker.stream(another)
    await worker.take(SignalKind.SESSION_REVOKED, subject)
    assert not ends.lives
    assert lives.lives
    worker.facts(another)


async def test_tokens_from_a_device_are_refused_there_alone(
    worker: Worker, clock: ManualClock
) -> None:
    identity = direct(clock)
    here, elsewhere = (
        worker.stream(identity),
        worker.stream(identity, replace(LAPTOP, device_id="laptop-2")),
    )
    await worker.take(SignalKind.SESSION_REVOKED, SignalSubject(device_id="laptop-1"))
    assert not here.lives
    assert elsewhere.lives
    with pytest.raises(Unauthenticated):
        worker.facts(identity, LAPTOP)
    worker.facts(identity)


async def test_what_is_refused_outlives_a_restart(
    tmp_path: Path, worker: Worker, clock: ManualClock
) -> None:
    identity = direct(clock)
    await worker.take(SignalKind.SESSION_REVOKED)
    again = await worker_of(tmp_path, clock, 3)
    with pytest.raises(Unauthenticated):
        again.facts(identity)
    await again.close()


# Signing out at the issuer


async def test_a_sign_out_ends_the_session_that_it_names(
    worker: Worker, clock: ManualClock
) -> None:
    one, another = await worker.signed_in(1), await worker.signed_in(2)
    out = SignalSubject(issuer=IDP, subject="00u1", idp_session="sid-1")
    await worker.take(SignalKind.SIGNED_OUT, out)
    assert "signed out" in worker.session(one).end_message
    assert worker.session(another).ended_at is None
    with pytest.raises(Unauthenticated, match="signed out"):
        worker.facts(direct(clock))
    worker.facts(direct(clock, sign_in="sid-2"))


async def test_it_ends_one_of_which_nobody_knows_which_it_is(
    worker: Worker, clock: ManualClock
) -> None:
    unknown = await worker.signed_in(1, idp_session="")
    out = SignalSubject(issuer=IDP, subject="00u1", idp_session="sid-9")
    now = clock.now()
    by_time = direct(clock, sign_in=str(int(now.timestamp())))
    await worker.take(SignalKind.SIGNED_OUT, out)
    assert worker.session(unknown).ended_at is not None
    with pytest.raises(Unauthenticated):
        worker.facts(by_time)
    await worker.take(SignalKind.SIGNED_OUT, SignalSubject(issuer=IDP, idp_session="sid-8"))


# Credentials


async def test_a_lost_credential_is_taken_after_the_new_one_that_was_told_first(
    worker: Worker, clock: ManualClock
) -> None:
    record, lost = await worker.signed_in(), clock.now() + SECOND
    clock.advance(MINUTE)
    key, changed = "fido2-roaming", SignalKind.CREDENTIAL_CHANGED
    await worker.take(changed, credential_type=key, change_type="create")
    outcome = await worker.take(changed, at=lost, credential_type=key, change_type="revoke")
    assert outcome is Outcome.APPLIED
    assert worker.session(record).ended_at is not None


async def test_a_late_word_of_one_credential_lets_no_token_in_again(
    worker: Worker, clock: ManualClock
) -> None:
    earlier = clock.now()
    clock.advance(MINUTE)
    between = direct(clock)
    clock.advance(MINUTE)
    changed = SignalKind.CREDENTIAL_CHANGED
    await worker.take(changed, credential_type="password", change_type="update")
    await worker.take(changed, at=earlier, credential_type="pin", change_type="update")
    with pytest.raises(Unauthenticated, match="password"):
        worker.facts(between)


@pytest.mark.parametrize("change", ["revoke", "update", "delete"])
async def test_a_changed_credential_asks_for_a_new_sign_in(worker: Worker, change: str) -> None:
    record = await worker.signed_in()
    stream = worker.stream(record)
    await worker.take(SignalKind.CREDENTIAL_CHANGED, credential_type="password", change_type=change)
    assert f"(password) was changed: {change}" in stream.told
    assert "kzproxy login" in stream.told


async def test_a_new_credential_ends_nothing(worker: Worker) -> None:
    record = await worker.signed_in()
    stream = worker.stream(record)
    await worker.take(
        SignalKind.CREDENTIAL_CHANGED, credential_type="fido2-platform", change_type="create"
    )
    assert stream.lives
    worker.facts(direct(worker.clock))


@pytest.mark.parametrize("written", ["2AF3", "2a:f3", "0x2af3", "10995"])
async def test_a_revoked_device_certificate_is_refused(
    worker: Worker, clock: ManualClock, written: str
) -> None:
    someone = direct(clock, subject="00u7", username="idp:carol@example.com")
    others = worker.stream(someone, replace(LAPTOP, serial="7777"))
    theirs = worker.stream(someone)
    await worker.take(
        SignalKind.CREDENTIAL_CHANGED,
        credential_type="x509",
        change_type="revoke",
        x509_serial=written,
    )
    device = worker.facts(someone, LAPTOP).device
    assert (device.enrolled, device.device_id) == (Fact.FAILED, "")
    assert "revoked" in device.reason
    assert worker.facts(someone, replace(LAPTOP, serial="7777")).device.enrolled is Fact.PASSED
    assert theirs.lives
    assert others.lives


async def test_the_next_certificates_of_a_revoked_ones_key_are_refused_too(
    worker: Worker, clock: ManualClock
) -> None:
    """Whoever has the key has kzproxy's own issuer give them the next one."""
    key, another = "0a" * 32, "0b" * 32
    lost, following = (
        replace(LAPTOP, serial=f"{new_serial_number(key):x}", key_thumbprint=key) for _ in range(2)
    )
    neighbour = replace(LAPTOP, serial=f"{new_serial_number(another):x}", key_thumbprint=another)
    someone = direct(clock, subject="00u7", username="idp:carol@example.com")
    await worker.take(
        SignalKind.CREDENTIAL_CHANGED,
        credential_type="x509",
        change_type="revoke",
        x509_serial=lost.serial,
    )
    assert worker.facts(someone, lost).device.enrolled is Fact.FAILED
    device = worker.facts(someone, following).device
    assert (device.enrolled, device.device_id) == (Fact.FAILED, "")
    assert "kzproxy logout --forget-key" in device.reason
    assert worker.facts(someone, neighbour).device.enrolled is Fact.PASSED


async def test_what_runs_with_the_next_certificate_of_a_revoked_ones_key_is_cut(
    tmp_path: Path, clock: ManualClock
) -> None:
    key = "0a" * 32
    lost, following = (
        replace(LAPTOP, serial=f"{new_serial_number(key):x}", key_thumbprint=key) for _ in range(2)
    )
    conditions = Conditions(device_enrolled=True)
    rule = allow("pods", PODS, groups="idp:dev", conditions=conditions)
    worker = await worker_of(tmp_path, clock, 1, rule)
    someone = direct(clock, subject="00u7", username="idp:carol@example.com")
    cut, lives = worker.stream(someone, following), worker.stream(someone)
    await worker.take(
        SignalKind.CREDENTIAL_CHANGED,
        credential_type="x509",
        change_type="revoke",
        x509_serial=lost.serial,
    )
    assert "revoked" in cut.told
    assert lives.lives
    await worker.close()


# Claims


async def test_changed_groups_are_the_sessions_own_at_once(worker: Worker) -> None:
    record = await worker.signed_in(groups=("idp:dev", "idp:ops"))
    stream = worker.stream(record)
    await worker.take(SignalKind.CLAIMS_CHANGED, claims={"groups": ["dev", "more"]})
    assert worker.session(record).groups == ("idp:dev", "idp:more")
    assert worker.facts(record).subject.groups == ("idp:dev", "idp:more")
    assert "no longer in" in stream.told


async def test_the_issuer_is_asked_too_when_groups_change(
    worker: Worker, clock: ManualClock
) -> None:
    """What it has answered to an earlier question must not undo them."""
    record = await worker.signed_in()
    await worker.take(SignalKind.CLAIMS_CHANGED, claims={"groups": ["dev"], "department": "x"})
    assert worker.session(record).verified_at < record.verified_at


async def test_lost_groups_are_lost_though_something_else_was_told_of_first(
    worker: Worker, clock: ManualClock
) -> None:
    record, lost = await worker.signed_in(), clock.now()
    clock.advance(MINUTE)
    await worker.take(SignalKind.CLAIMS_CHANGED, claims={"title": "Director"})
    outcome = await worker.take(SignalKind.CLAIMS_CHANGED, at=lost, claims={"groups": []})
    assert outcome is Outcome.APPLIED
    assert worker.session(record).groups == ()


async def test_groups_of_before_come_back_under_no_other_claims(
    worker: Worker, clock: ManualClock
) -> None:
    record, earlier = await worker.signed_in(), clock.now()
    clock.advance(MINUTE)
    both = {"groups": [], "title": "Guest"}
    await worker.take(SignalKind.CLAIMS_CHANGED, claims=both)
    await worker.take(SignalKind.CLAIMS_CHANGED, at=earlier, claims={"groups": ["dev"]})
    assert worker.session(record).groups == ()


async def test_added_groups_end_nothing(worker: Worker) -> None:
    record = await worker.signed_in()
    stream = worker.stream(record)
    await worker.take(SignalKind.CLAIMS_CHANGED, claims={"groups": ["dev", "more"]})
    assert stream.lives
    assert worker.session(record).groups == ("idp:dev", "idp:more")


@pytest.mark.parametrize(
    "claims",
    [
        {"department": "sales"},
        {"groups": ["dev"], "department": "sales"},
        {"groups": [7]},
        {"groups": ["\n"]},
    ],
)
async def test_what_kzproxy_cannot_map_is_asked_of_the_issuer(
    worker: Worker, clock: ManualClock, claims: dict[str, object]
) -> None:
    record = await worker.signed_in()
    await worker.take(SignalKind.CLAIMS_CHANGED, claims=claims)
    after = worker.session(record)
    assert after.groups == record.groups
    assert after.verified_at == clock.now() - worker.sessions.settings.reverify
    worker.facts(record)


async def test_groups_are_not_mapped_by_an_issuer_that_has_changed(
    worker: Worker, clock: ManualClock
) -> None:
    record = await worker.signed_in(vouched_by="as it was")
    await worker.take(SignalKind.CLAIMS_CHANGED, claims={"groups": ["more"]})
    assert worker.session(record).groups == record.groups
    ruled = msgspec.structs.replace(ISSUER, user_rules=(ValidationRule(expression="true"),))
    worker.issuers = (ruled,)
    other = await worker.signed_in(2, vouched_by=ruled.revision)
    await worker.take(SignalKind.CLAIMS_CHANGED, claims={"groups": ["more"]})
    assert worker.session(other).groups == other.groups
    assert worker.session(other).verified_at < clock.now()


async def test_after_changed_claims_a_fresh_token_is_enough(
    worker: Worker, clock: ManualClock
) -> None:
    before = direct(clock)
    stream = worker.stream(before)
    await worker.take(SignalKind.CLAIMS_CHANGED, claims={"groups": ["dev"]})
    assert not stream.lives
    clock.advance(SECOND)
    worker.facts(replace(before, issued_at=clock.now()))


async def test_changed_claims_of_one_session_are_known_by_a_fresh_token_of_it(
    worker: Worker, clock: ManualClock
) -> None:
    subject = SignalSubject(idp_session="sid-1")
    await worker.take(SignalKind.CLAIMS_CHANGED, subject, claims={"groups": ["dev"]})
    with pytest.raises(Unauthenticated, match="changed"):
        worker.facts(direct(clock))
    clock.advance(SECOND)
    worker.facts(direct(clock))


# Assurance


async def test_the_assurance_level_is_the_sessions_acr(worker: Worker) -> None:
    record = await worker.signed_in(authentication_class="aal2")
    await worker.take(SignalKind.ASSURANCE_CHANGED, namespace="NIST-AAL", current_level="aal1")
    assert worker.session(record).authentication_class == "aal1"
    await worker.take(SignalKind.ASSURANCE_CHANGED, namespace="RFC8176", current_level="pwd")
    assert worker.session(record).authentication_methods == ("pwd",)


async def test_a_lower_assurance_is_judged_at_once(tmp_path: Path, clock: ManualClock) -> None:
    strong = allow(
        "strong",
        PODS,
        groups="idp:dev",
        conditions=Conditions(sign_in=SignIn(classes=frozenset({"aal2"}))),
    )
    worker = await worker_of(tmp_path, clock, 1, strong)
    record = await worker.signed_in(authentication_class="aal2")
    stream = worker.stream(record)
    tokens = worker.stream(direct(clock, authentication_class="aal2"))
    await worker.take(
        SignalKind.ASSURANCE_CHANGED, current_level="aal1", change_direction="decrease"
    )
    assert not stream.lives
    assert not tokens.lives
    await worker.close()


async def test_a_higher_one_refuses_no_token(worker: Worker, clock: ManualClock) -> None:
    await worker.take(
        SignalKind.ASSURANCE_CHANGED, current_level="aal3", change_direction="increase"
    )
    worker.facts(direct(clock))


# Devices


def compliant(worker: Worker, who: Identity, device: object = LAPTOP) -> CheckResult | None:
    return dict(worker.facts(who, device).device.checks).get("compliant")  # type: ignore[arg-type]


async def test_a_device_that_does_not_comply_fails_a_check_until_its_source_says_otherwise(
    worker: Worker, clock: ManualClock
) -> None:
    someone = direct(clock, subject="00u7")
    mdm = SignalSource(name="mdm", issuer="https://mdm.example.com", users_of=())
    edr = SignalSource(name="edr", issuer="https://edr.example.com", users_of=())
    device = SignalSubject(device_id="laptop-1")
    change = SignalKind.DEVICE_COMPLIANCE
    for source in (mdm, edr):
        await worker.take(change, device, source=source, current_status="not-compliant")
    failed = compliant(worker, someone)
    assert failed is not None
    assert failed.fact is Fact.FAILED
    assert failed.source.startswith("signal:")
    assert compliant(worker, someone, replace(LAPTOP, device_id="laptop-2")) is None
    clock.advance(SECOND)
    await worker.take(change, device, source=mdm, current_status="compliant")
    left = compliant(worker, someone)
    assert left is not None
    assert left.source == "signal:https://edr.example.com"
    await worker.take(change, device, source=edr, current_status="compliant")
    assert compliant(worker, someone) is None


async def test_it_is_of_tier_0_and_its_streams_end(tmp_path: Path, clock: ManualClock) -> None:
    worker = await worker_of(
        tmp_path,
        clock,
        1,
        allow("tier-1", PODS, groups="idp:dev", conditions=Conditions(device_tier=1)),
        tiers=(Tier(level=1, name="enrolled", conditions=Conditions(device_enrolled=True)),),
    )
    stream = worker.stream(direct(clock))
    other = worker.stream(direct(clock), replace(LAPTOP, device_id="laptop-2"))
    device = SignalSubject(device_id="laptop-1")
    await worker.take(SignalKind.DEVICE_COMPLIANCE, device, current_status="not-compliant")
    assert "does not comply" in stream.told
    assert other.lives
    clock.advance(SECOND)
    await worker.take(SignalKind.DEVICE_COMPLIANCE, device, current_status="compliant")
    assert worker.stream(direct(clock)).lives
    await worker.close()


async def test_what_was_said_against_it_goes_from_facts_that_have_it(
    worker: Worker, clock: ManualClock
) -> None:
    device, someone = SignalSubject(device_id="laptop-1"), direct(clock)
    change = SignalKind.DEVICE_COMPLIANCE
    await worker.take(change, device, current_status="not-compliant")
    facts = worker.facts(someone, LAPTOP)
    assert worker.facts(someone, facts.device).device is facts.device
    clock.advance(SECOND)
    await worker.take(change, device, current_status="compliant")
    assert worker.facts(someone, facts.device).device.checks == ()


async def test_compliance_of_a_user_is_that_of_the_devices_of_their_sessions(
    worker: Worker, clock: ManualClock
) -> None:
    await worker.signed_in()
    await worker.take(SignalKind.DEVICE_COMPLIANCE, current_status="not-compliant")
    assert compliant(worker, direct(clock)) is not None


async def test_it_is_remembered_for_who_comes_later(worker: Worker, other: Worker) -> None:
    device = SignalSubject(device_id="laptop-1")
    outcome = await worker.take(
        SignalKind.DEVICE_COMPLIANCE, device, current_status="not-compliant"
    )
    assert outcome is Outcome.APPLIED
    await other.kept.following.catch_up()
    record = await other.signed_in()
    assert dict(other.facts(record, LAPTOP).device.checks)["compliant"].fact is Fact.FAILED


async def test_what_came_late_lifts_nothing_however_it_names_the_device(
    worker: Worker, clock: ManualClock
) -> None:
    earlier = clock.now()
    clock.advance(SECOND)
    both = SignalSubject(issuer=IDP, subject="00u1", device_id="laptop-1")
    change = SignalKind.DEVICE_COMPLIANCE
    await worker.take(change, both, current_status="not-compliant")
    device = SignalSubject(device_id="laptop-1")
    outcome = await worker.take(change, device, at=earlier, current_status="compliant")
    assert outcome is Outcome.OUTDATED
    assert compliant(worker, direct(clock)) is not None


@pytest.mark.parametrize(
    ("change", "bad", "good"),
    [
        (
            SignalKind.DEVICE_COMPLIANCE,
            {"current_status": "not-compliant"},
            {"current_status": "compliant"},
        ),
        (
            SignalKind.RISK_CHANGED,
            {"principal": "DEVICE", "current_level": "HIGH"},
            {"principal": "DEVICE", "current_level": "LOW"},
        ),
    ],
)
async def test_what_came_late_of_a_user_lifts_nothing_from_the_device_they_are_on(
    worker: Worker,
    clock: ManualClock,
    change: SignalKind,
    bad: dict[str, str],
    good: dict[str, str],
) -> None:
    record, earlier = await worker.signed_in(), clock.now()
    await worker.signed_in(2, device_id="laptop-2")
    clock.advance(SECOND)
    await worker.take(change, SignalSubject(device_id="laptop-1"), **bad)
    held = worker.facts(record, LAPTOP).device
    assert await worker.take(change, at=earlier, **good) is Outcome.APPLIED  # to laptop-2
    assert worker.facts(record, LAPTOP).device == held


async def test_an_old_word_for_a_device_lifts_nothing_when_it_is_sent_again_after_weeks(
    worker: Worker, clock: ManualClock
) -> None:
    device, change = SignalSubject(device_id="laptop-1"), SignalKind.DEVICE_COMPLIANCE
    good = clock.now()
    await worker.take(change, device, signal_id="good", current_status="compliant")
    clock.advance(MINUTE)
    await worker.take(change, device, current_status="not-compliant")
    clock.advance(KEPT + MINUTE)
    outcome = await worker.take(
        change, device, at=good, signal_id="good", current_status="compliant"
    )
    assert outcome is Outcome.OUTDATED
    assert compliant(worker, direct(clock)) is not None


# Risk


async def test_the_risk_is_the_highest_that_anybody_says(
    worker: Worker, clock: ManualClock
) -> None:
    record, someone = await worker.signed_in(), direct(clock)
    edr = SignalSource(name="edr", issuer="https://edr.example.com", users_of=(IDP,))
    change = SignalKind.RISK_CHANGED
    await worker.take(change, principal="USER", current_level="LOW")
    assert worker.facts(record).subject.risk == "LOW"
    await worker.take(change, source=edr, principal="USER", current_level="HIGH")
    assert worker.facts(record).subject.risk == "HIGH"
    assert worker.facts(someone).subject.risk == "HIGH"
    await worker.take(change, principal="USER", current_level="MEDIUM")
    assert worker.facts(record).subject.risk == "HIGH"
    clock.advance(SECOND)
    await worker.take(change, source=edr, principal="USER", current_level="LOW")
    assert worker.facts(record).subject.risk == "MEDIUM"
    assert worker.facts(direct(clock, subject="00u2")).subject.risk == ""


async def test_a_higher_risk_is_judged_at_once(tmp_path: Path, clock: ManualClock) -> None:
    low = allow("low", PODS, groups="idp:dev", conditions=Conditions(session_max_risk="LOW"))
    worker = await worker_of(tmp_path, clock, 1, low)
    change = SignalKind.RISK_CHANGED
    await worker.take(change, principal="USER", current_level="LOW")
    record, someone = await worker.signed_in(), direct(clock)
    streams = [worker.stream(worker.facts(one).subject) for one in (record, someone)]
    clock.advance(SECOND)
    await worker.take(change, principal="USER", current_level="MEDIUM")
    assert [stream.cuts[0].cause for stream in streams] == [EndCause.POLICY] * 2
    await worker.close()


async def test_the_risk_of_a_session_is_that_sessions_alone(
    worker: Worker, clock: ManualClock
) -> None:
    one, another = await worker.signed_in(1), await worker.signed_in(2)
    subject = SignalSubject(issuer=IDP, subject="00u1", idp_session="sid-1")
    await worker.take(SignalKind.RISK_CHANGED, subject, principal="SESSION", current_level="HIGH")
    assert worker.facts(one).subject.risk == "HIGH"
    assert worker.facts(another).subject.risk == ""
    assert worker.facts(direct(clock)).subject.risk == "HIGH"


async def test_the_risk_of_a_device_is_everybodys_there(worker: Worker, clock: ManualClock) -> None:
    device = SignalSubject(device_id="laptop-1", issuer=IDP, subject="00u1")
    await worker.take(SignalKind.RISK_CHANGED, device, principal="DEVICE", current_level="HIGH")
    facts = worker.facts(direct(clock, subject="00u2"), LAPTOP)
    assert (facts.device.risk, facts.subject.risk) == ("HIGH", "")


async def test_the_risk_of_a_users_device_is_that_of_those_they_are_on(
    worker: Worker, clock: ManualClock
) -> None:
    change = SignalKind.RISK_CHANGED
    outcome = await worker.take(change, principal="DEVICE", current_level="HIGH")
    assert outcome is Outcome.APPLIED
    assert "nothing" in worker.records()[-1]["effect"]
    await worker.signed_in()
    await worker.take(change, principal="DEVICE", current_level="HIGH")
    assert worker.facts(direct(clock), LAPTOP).device.risk == "HIGH"


async def test_facts_of_whom_nothing_is_known_stay_the_same_object(
    worker: Worker, clock: ManualClock
) -> None:
    await worker.take(SignalKind.RISK_CHANGED, principal="USER", current_level="HIGH")
    await worker.take(SignalKind.SESSION_REVOKED)
    someone = direct(clock, subject="00u2", username="x")
    facts = worker.facts(someone, LAPTOP)
    assert facts.subject is someone
    assert facts.device is LAPTOP
