"""Security events by push: what is taken, and what is refused with which code and does nothing."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from kzproxy.administrator.session import SessionRecord
from kzproxy.attributes.device import Fact
from kzproxy.store.sqlite import SqliteStore
from tests.administrator.signal_world import IDP, LAPTOP, Stream, direct
from tests.authentication.manual_clock import ManualClock
from tests.servers.issuer import TestIssuer
from tests.servers.tokens import SigningKey, base64url, hmac_token, json_bytes
from tests.web.receiving import AUDIENCE, AUTHORIZATION, CAEP, FORGED, KEY, SSF, Receiving


class Watched:
    """A session with a stream, which a refused event must leave alone."""

    def __init__(self, receiver: Receiving, record: SessionRecord, stream: Stream) -> None:
        self.receiver = receiver
        self.record = record
        self.stream = stream
        self.revision = 0

    @property
    def lives(self) -> bool:
        return self.stream.lives and self.receiver.worker.session(self.record).ended_at is None


@pytest.fixture
async def watched(receiver: Receiving) -> Watched:
    record = await receiver.worker.signed_in()
    return Watched(receiver, record, receiver.worker.stream(record))


async def test_a_revoked_session_is_over_when_its_event_is_acknowledged(
    receiver: Receiving, watched: Watched
) -> None:
    said = {"reason_user": {"de": "Gesperrt", "en": "Account locked."}}
    assert await receiver.post(receiver.event(members=said)) == (202, {})
    assert not watched.lives
    assert "Account locked; sign in" in watched.stream.told
    assert 'kzproxy_signals_total{event="session-revoked",outcome="applied"' in receiver.shown


@pytest.mark.parametrize(
    ("name", "subject", "members"),
    [
        ("session-revoked", {"format": "opaque", "id": "sid-1"}, {}),
        ("session-revoked", {"format": "email", "email": "alice@example.com"}, {}),
        ("session-revoked", {"format": "account", "uri": "acct:alice@example.com"}, {}),
        (
            "session-revoked",
            {
                "format": "complex",
                "user": {"format": "iss_sub", "iss": IDP, "sub": "00u1"},
                "device": {"format": "opaque", "id": "laptop-1"},
                "tenant": {"format": "opaque", "id": "acme"},
            },
            {},
        ),
        ("credential-change", None, {"credential_type": "password", "change_type": "update"}),
        ("token-claims-change", None, {"claims": {"groups": ["other"]}}),
    ],
)
async def test_each_way_to_say_it_ends_the_stream(
    receiver: Receiving,
    watched: Watched,
    name: str,
    subject: dict[str, Any] | None,
    members: dict[str, Any],
) -> None:
    changes = {} if subject is None else {"sub_id": subject}
    assert (await receiver.post(receiver.event(CAEP + name, members=members, **changes)))[0] == 202
    assert not watched.stream.lives


@pytest.mark.parametrize("name", ["\ud800", "\x1b]0;mine\x07", "a\nb", "k" * 40_000])
async def test_no_name_that_a_user_gave_a_key_keeps_their_session(
    receiver: Receiving, watched: Watched, name: str
) -> None:
    """`friendly_name` is what its owner calls a credential; JSON can say half of a character."""
    members = {"credential_type": "fido2-roaming", "change_type": "revoke", "friendly_name": name}
    event = receiver.event(CAEP + "credential-change", members=members)
    assert (await receiver.post(event))[0] == 202
    assert not watched.lives
    assert watched.stream.told.isprintable()
    assert len(watched.stream.told) < 1000


@pytest.mark.parametrize("name", ["namespace", "principal", "x509_serial"])
async def test_half_of_a_character_anywhere_keeps_no_session(
    receiver: Receiving, watched: Watched, name: str
) -> None:
    members = {"credential_type": "x509", "change_type": "revoke", name: "\ud800"}
    event = receiver.event(CAEP + "credential-change", members=members)
    assert (await receiver.post(event))[0] == 202
    assert not watched.lives


async def test_the_example_of_the_specification_makes_a_device_fail(
    receiver: Receiving, watched: Watched
) -> None:
    members = {
        "previous_status": "compliant",
        "current_status": "not-compliant",
        "initiating_entity": "policy",
        "event_timestamp": receiver.seconds - 10,
        "reason_admin": {"en": "FileVault off"},
        "reason_user": {"en": "Turn on disk encryption"},
    }
    subject = {
        "format": "complex",
        "user": {"format": "iss_sub", "iss": IDP, "sub": "00u1"},
        "device": {"format": "opaque", "id": "laptop-1"},
    }
    event = receiver.event(CAEP + "device-compliance-change", members=members, sub_id=subject)
    assert (await receiver.post(event))[0] == 202
    checks = dict(receiver.worker.facts(watched.record, LAPTOP).device.checks)
    assert checks["compliant"].fact is Fact.FAILED
    assert receiver.worker.records()[-1]["evidence"] == "FileVault off"


def unsigned(receiver: Receiving) -> str:
    header = base64url(json_bytes({"alg": "none", "typ": "secevent+jwt"}))
    return f"{header}.{base64url(json_bytes(receiver.claims()))}."


def signed_with_the_public_key(receiver: Receiving) -> str:
    pem = KEY.private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    header = {"alg": "HS256", "typ": "secevent+jwt", "kid": KEY.key_id}
    return hmac_token(pem, header, receiver.claims())


def in_the_future(receiver: Receiving) -> str:
    return receiver.event(iat=receiver.seconds + 301)


def two_events(receiver: Receiving) -> str:
    return receiver.event(events={CAEP + "session-revoked": {}, CAEP + "risk-level-change": {}})


REFUSED = {
    "forged": ("invalid_key", lambda r: r.sign(r.claims(), FORGED)),
    "of another key": ("invalid_key", lambda r: r.sign(r.claims(), SigningKey.make("x", "RS256"))),
    "of an algorithm that is not the stream's": (
        "invalid_key",
        lambda r: r.sign(r.claims(), SigningKey.make("ec", "ES256")),
    ),
    "unsigned": ("invalid_request", unsigned),
    "signed with the public key as a secret": ("invalid_request", signed_with_the_public_key),
    "a sign-in": ("invalid_request", lambda r: r.sign(r.claims(), typ="JWT")),
    "without a type": ("invalid_request", lambda r: r.sign(r.claims(), typ=None)),
    "a logout token": ("invalid_request", lambda r: r.sign(r.claims(), typ="logout+jwt")),
    "with critical headers": ("invalid_request", lambda r: r.sign(r.claims(), crit=["x"])),
    "of another issuer": ("invalid_issuer", lambda r: r.event(iss="https://idp.example.com")),
    "of nobody": ("invalid_issuer", lambda r: r.event(iss=None)),
    "for another audience": ("invalid_audience", lambda r: r.event(aud="https://other.example")),
    "for other audiences": ("invalid_audience", lambda r: r.event(aud=["a", AUDIENCE + "/"])),
    "for nobody": ("invalid_audience", lambda r: r.event(aud=None)),
    "with an end": ("invalid_request", lambda r: r.event(exp=r.seconds + 60)),
    "with a sub": ("invalid_request", lambda r: r.event(sub="00u1")),
    "with two events": ("invalid_request", two_events),
    "without events": ("invalid_request", lambda r: r.event(events={})),
    "with an event that is none": ("invalid_request", lambda r: r.event(events={"x": "y"})),
    "from the future": ("invalid_request", in_the_future),
    "of no time": ("invalid_request", lambda r: r.event(iat=None)),
    "of a time that is none": ("invalid_request", lambda r: r.event(iat="now")),
    "without an id": ("invalid_request", lambda r: r.event(jti=None)),
    "with an id that is none": ("invalid_request", lambda r: r.event(jti=" ")),
    "without a subject": ("invalid_request", lambda r: r.event(sub_id=None)),
    "with a subject in the event": (
        "invalid_request",
        lambda r: r.event(sub_id=None, members={"subject": {"format": "opaque", "id": "sid-1"}}),
    ),
    "that happened in the future": (
        "invalid_request",
        lambda r: r.event(members={"event_timestamp": r.seconds + 301}),
    ),
    "that happened at no time": (
        "invalid_request",
        lambda r: r.event(members={"event_timestamp": "yesterday"}),
    ),
    "no event at all": ("invalid_request", lambda _: "what?"),
    "empty": ("invalid_request", lambda _: ""),
    "not even text": ("invalid_request", lambda _: b"\xff\xfe"),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_what_does_not_hold_is_refused_and_changes_nothing(
    receiver: Receiving, watched: Watched, clock: ManualClock, name: str
) -> None:
    clock.advance(timedelta(seconds=10))  # the transmitter can be asked for its keys again
    error, made = REFUSED[name]
    before = await receiver.worker.kept.store.revision()
    status, answer = await receiver.post(made(receiver))
    assert (status, answer["err"]) == (400, error)
    assert answer["description"]
    await assert_nothing_done(receiver, watched, before)
    assert receiver.worker.records("signal.refused")[-1]["error"] == error


async def assert_nothing_done(receiver: Receiving, watched: Watched, before: int) -> None:
    assert watched.lives
    assert await receiver.worker.kept.store.revision() == before
    assert receiver.worker.records() == []
    receiver.worker.facts(direct(receiver.worker.clock))


@pytest.mark.parametrize(
    "authorization", [None, "", "Bearer of another", AUTHORIZATION + "x", "bearer"]
)
async def test_who_does_not_know_the_secret_is_refused(
    receiver: Receiving, watched: Watched, authorization: str | None
) -> None:
    before = await receiver.worker.kept.store.revision()
    status, answer = await receiver.post(receiver.event(), authorization=authorization)
    assert (status, answer["err"]) == (400, "authentication_failed")
    assert AUTHORIZATION not in str(answer)
    await assert_nothing_done(receiver, watched, before)


async def test_a_stream_that_is_not_there_is_not_found(
    receiver: Receiving, watched: Watched
) -> None:
    before = await receiver.worker.kept.store.revision()
    status, answer = await receiver.post(receiver.event(), "other")
    assert (status, answer["err"]) == (404, "invalid_request")
    await assert_nothing_done(receiver, watched, before)


async def test_one_streams_secret_opens_no_other(receiver: Receiving, watched: Watched) -> None:
    receiver.add_stream("second", audiences=("other",))
    status, answer = await receiver.post(receiver.event(), "second")
    assert (status, answer["err"]) == (400, "invalid_audience")
    assert watched.lives


@pytest.mark.parametrize("more", [1, 100_000])
async def test_what_is_too_long_is_refused(
    receiver: Receiving, watched: Watched, more: int
) -> None:
    before = await receiver.worker.kept.store.revision()
    status, answer = await receiver.post("x" * (64 * 1024 + more))
    assert (status, answer["err"]) == (413, "invalid_request")
    await assert_nothing_done(receiver, watched, before)


async def test_what_is_sent_in_pieces_has_the_same_bound(receiver: Receiving) -> None:
    async def pieces():
        for _ in range(65):
            yield b"x" * 1024

    headers = {"Content-Type": "application/secevent+jwt", "Authorization": AUTHORIZATION}
    async with receiver.client.post("/ssf/v1/events/idp", data=pieces(), headers=headers) as answer:
        assert answer.status == 413


async def test_what_is_encoded_is_refused(receiver: Receiving, watched: Watched) -> None:
    headers = {"Content-Type": "application/secevent+jwt", "Authorization": AUTHORIZATION}
    headers["Content-Encoding"] = "identity"
    sent = receiver.client.post("/ssf/v1/events/idp", data=receiver.event(), headers=headers)
    async with sent as answer:
        assert (answer.status, (await answer.json())["err"]) == (415, "invalid_request")
    assert watched.lives


async def test_another_content_type_is_refused(receiver: Receiving, watched: Watched) -> None:
    status, answer = await receiver.post(receiver.event(), content_type="application/jwt")
    assert (status, answer["err"]) == (400, "invalid_request")
    assert watched.lives


async def test_a_repeat_is_acknowledged_and_does_nothing(
    receiver: Receiving, clock: ManualClock
) -> None:
    event = receiver.event()
    assert (await receiver.post(event))[0] == 202
    clock.advance(timedelta(seconds=1))
    record = await receiver.worker.signed_in()
    stream = receiver.worker.stream(record)
    assert (await receiver.post(event))[0] == 202
    assert stream.lives
    assert [line["outcome"] for line in receiver.worker.records()] == ["applied", "repeated"]


async def test_two_deliveries_at_once_do_it_once(receiver: Receiving, watched: Watched) -> None:
    event = receiver.event()
    answers = await asyncio.gather(*(receiver.post(event) for _ in range(5)))
    assert [status for status, _ in answers] == [202] * 5
    assert not watched.lives
    assert 'outcome="applied",stream="idp"} 1.0' in receiver.shown


async def test_everybody_is_meant_only_where_that_is_allowed(
    receiver: Receiving, watched: Watched
) -> None:
    tenant = {"format": "complex", "tenant": {"format": "opaque", "id": "acme"}}
    event = receiver.event(sub_id=tenant)
    status, answer = await receiver.post(event)
    assert (status, answer["err"]) == (400, "access_denied")
    assert watched.lives
    assert 'outcome="not-allowed"' in receiver.shown
    receiver.add_stream(tenant_wide=True)
    assert (await receiver.post(event))[0] == 202
    assert not watched.lives


async def test_a_member_that_is_critical_must_be_known(
    receiver: Receiving, watched: Watched
) -> None:
    receiver.add_stream(critical=frozenset({"application"}))
    subject = {
        "format": "complex",
        "user": {"format": "iss_sub", "iss": IDP, "sub": "00u1"},
        "application": {"format": "opaque", "id": "other"},
    }
    status, answer = await receiver.post(receiver.event(sub_id=subject))
    assert (status, answer["err"]) == (400, "invalid_request")
    assert "application" in answer["description"]
    assert watched.lives


@pytest.mark.parametrize(
    ("event", "subject", "members"),
    [
        ("https://example.com/event-type/other", None, {}),
        (CAEP + "session-established", None, {}),
        (CAEP + "session-revoked", {"format": "phone_number", "phone_number": "+1"}, {}),
        (CAEP + "session-revoked", {"format": "complex", "group": {"format": "opaque"}}, {}),
        (CAEP + "risk-level-change", None, {"principal": "ORG_UNIT", "current_level": "HIGH"}),
        (
            CAEP + "risk-level-change",
            {
                "format": "complex",
                "user": {"format": "iss_sub", "iss": IDP, "sub": "00u1"},
                "session": {"format": "jwt_id", "iss": IDP, "jti": "x"},
            },
            {"current_level": "LOW"},
        ),
    ],
)
async def test_what_is_not_for_kzproxy_is_acknowledged_and_recorded(
    receiver: Receiving,
    watched: Watched,
    event: str,
    subject: dict[str, Any] | None,
    members: dict[str, Any],
) -> None:
    changes = {} if subject is None else {"sub_id": subject}
    assert (await receiver.post(receiver.event(event, members=members, **changes)))[0] == 202
    assert watched.lives
    (line,) = receiver.worker.records()
    assert (line["outcome"], line["event"]) == ("ignored", event)


@pytest.mark.parametrize(
    ("name", "members"),
    [
        ("credential-change", {"credential_type": "password"}),
        ("credential-change", {"credential_type": "password", "change_type": "lost"}),
        ("credential-change", {"change_type": "revoke"}),
        ("token-claims-change", {}),
        ("token-claims-change", {"claims": {}}),
        ("token-claims-change", {"claims": "groups"}),
        ("assurance-level-change", {"namespace": "NIST-AAL"}),
        ("device-compliance-change", {"current_status": "unknown"}),
        ("risk-level-change", {"principal": "USER", "current_level": "SEVERE"}),
        ("risk-level-change", {"principal": "USER", "current_level": ["HIGH"]}),
    ],
)
async def test_an_event_that_lacks_what_its_type_asks_for_is_refused(
    receiver: Receiving, watched: Watched, name: str, members: dict[str, Any]
) -> None:
    before = await receiver.worker.kept.store.revision()
    status, answer = await receiver.post(receiver.event(CAEP + name, members=members))
    assert (status, answer["err"]) == (400, "invalid_request")
    await assert_nothing_done(receiver, watched, before)


async def test_older_drafts_have_the_subject_in_the_event(
    receiver: Receiving, watched: Watched
) -> None:
    receiver.add_stream(subject_in_event=True)
    subject = {"user": {"subject_type": "iss-sub", "iss": IDP, "sub": "00u1"}}
    event = receiver.event(sub_id=None, members={"subject": subject})
    assert (await receiver.post(event))[0] == 202
    assert not watched.lives


async def test_a_verification_shows_that_the_stream_works(
    receiver: Receiving, clock: ManualClock
) -> None:
    stream = {"format": "opaque", "id": "stream-1"}
    event = receiver.event(SSF + "verification", sub_id=stream, members={"state": "s3cret"})
    assert (await receiver.post(event))[0] == 202
    metric = 'kzproxy_signal_stream_verified_timestamp_seconds{stream="idp"}'
    (line,) = (one for one in receiver.shown.splitlines() if one.startswith(metric))
    assert float(line.split()[1]) == clock.now().timestamp()


@pytest.mark.parametrize("state", ["other", "\ud800"])
async def test_a_verification_with_another_state_is_refused(
    receiver: Receiving, state: str
) -> None:
    receiver.add_stream(state="s3cret")
    stream = {"format": "opaque", "id": "stream-1"}
    wrong = receiver.event(SSF + "verification", sub_id=stream, members={"state": state})
    status, answer = await receiver.post(wrong)
    assert (status, answer["err"]) == (400, "invalid_state")
    assert "s3cret" not in str(answer)
    right = receiver.event(SSF + "verification", sub_id=stream, members={"state": "s3cret"})
    assert (await receiver.post(right))[0] == 202


async def test_alarms_about_a_stream_are_there_before_they_go_off(receiver: Receiving) -> None:
    """``increase()`` does not see a first event whose series begins with it."""
    for labels in (
        'event="-",outcome="refused",stream="idp"',
        'event="-",outcome="unavailable",stream="idp"',
        'event="session-revoked",outcome="not-allowed",stream="idp"',
        'event="-",outcome="refused",stream="-"',
        'event="signed-out",outcome="refused",stream="back-channel-logout"',
        'event="signed-out",outcome="unavailable",stream="back-channel-logout"',
    ):
        assert f"kzproxy_signals_total{{{labels}}} 0.0" in receiver.shown


async def test_a_stream_that_is_paused_is_known_until_it_is_enabled_again(
    receiver: Receiving,
) -> None:
    stream = {"format": "opaque", "id": "stream-1"}
    for status, enabled in (("paused", 0), ("disabled", 0), ("enabled", 1)):
        event = receiver.event(
            SSF + "stream-updated", sub_id=stream, members={"status": status, "reason": "x"}
        )
        assert (await receiver.post(event))[0] == 202
        assert receiver.worker.streams.enabled({"idp"}) == {("idp",): enabled}


async def test_a_new_key_is_fetched_once_and_not_for_each_event(
    receiver: Receiving, issuer: TestIssuer, watched: Watched, clock: ManualClock
) -> None:
    clock.advance(timedelta(seconds=11))
    new = SigningKey.make("rsa-2", "RS256")
    issuer.keys.append(new)
    assert (await receiver.post(receiver.sign(receiver.claims(), new)))[0] == 202
    assert not watched.lives
    assert issuer.key_fetches == 2
    for number in range(5):
        forged = SigningKey(key_id=f"x{number}", algorithm="RS256", private=FORGED.private)
        assert (await receiver.post(receiver.sign(receiver.claims(), forged)))[0] == 503
    assert issuer.key_fetches == 2
    clock.advance(timedelta(seconds=11))
    status, answer = await receiver.post(receiver.sign(receiver.claims(), forged))
    assert (status, answer["err"]) == (400, "invalid_key")
    assert issuer.key_fetches == 3


async def test_an_event_under_a_key_that_is_too_new_is_sent_again_and_taken(
    receiver: Receiving, issuer: TestIssuer, watched: Watched, clock: ManualClock
) -> None:
    """Its transmitter would never send it again after a 400."""
    new = SigningKey.make("rsa-2", "RS256")
    issuer.keys.append(new)
    event = receiver.sign(receiver.claims(), new)
    headers = {"Content-Type": "application/secevent+jwt", "Authorization": AUTHORIZATION}
    async with receiver.client.post("/ssf/v1/events/idp", data=event, headers=headers) as answer:
        assert (answer.status, answer.headers["Retry-After"]) == (503, "10")
    assert watched.lives
    assert issuer.key_fetches == 1
    clock.advance(timedelta(seconds=10))
    assert (await receiver.post(event))[0] == 202
    assert not watched.lives


async def test_keys_that_cannot_be_had_have_it_sent_again(
    receiver: Receiving, issuer: TestIssuer, watched: Watched, clock: ManualClock
) -> None:
    issuer.keys_answer.status = 500
    clock.advance(timedelta(hours=13))
    status, _ = await receiver.post(receiver.event())
    assert status == 503
    assert watched.lives
    assert 'outcome="unavailable",stream="idp"} 1.0' in receiver.shown


async def test_a_store_that_cannot_be_written_has_it_sent_again(
    receiver: Receiving, watched: Watched
) -> None:
    store = receiver.worker.kept.store
    assert isinstance(store, SqliteStore)
    store._connection.execute("PRAGMA query_only = on")
    status, _ = await receiver.post(receiver.event())
    assert status == 503
    assert watched.lives
    store._connection.execute("PRAGMA query_only = off")
    assert (await receiver.post(receiver.event()))[0] == 202
    assert not watched.lives


async def test_other_methods_and_paths_are_not_there(receiver: Receiving) -> None:
    async with receiver.client.get("/ssf/v1/events/idp") as answer:
        assert answer.status == 405
    async with receiver.client.post("/ssf/v1/events/idp/more") as answer:
        assert answer.status == 404
