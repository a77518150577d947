"""Back-channel logout: OpenID Connect Back-Channel Logout 1.0 section 2.6, check by check."""

from datetime import timedelta

import pytest

from kzproxy.errors.kinds import Unauthenticated
from kzproxy.web.refused_signals import WRITTEN_PER_MINUTE
from tests.administrator.signal_world import IDP, Worker, direct
from tests.authentication.manual_clock import ManualClock
from tests.servers.tokens import SigningKey, base64url, hmac_token, json_bytes
from tests.web.receiving import CLIENT_ID, FORGED, KEY, LOGOUT_EVENT, Receiving


async def signed_in(receiver: Receiving, number: int = 1, **others: object):
    return await receiver.worker.signed_in(number, issuer=receiver.issuer.url, **others)


def ended(worker: Worker, record) -> bool:
    return worker.session(record).ended_at is not None


async def test_the_session_that_it_names_is_over_when_it_is_answered(receiver: Receiving) -> None:
    mine, another = await signed_in(receiver, 1), await signed_in(receiver, 2)
    foreign = await receiver.worker.signed_in(3, issuer=IDP)
    stream = receiver.worker.stream(mine)
    token = KEY.token(receiver.logout_claims(), typ="logout+jwt")
    status, _, cached = await receiver.log_out(token)
    assert (status, cached) == (200, "no-store")
    assert "signed out" in stream.told
    assert not ended(receiver.worker, another)
    assert not ended(receiver.worker, foreign)
    identity = direct(receiver.worker.clock, issuer=receiver.issuer.url)
    with pytest.raises(Unauthenticated, match="signed out"):
        receiver.worker.facts(identity)


@pytest.mark.parametrize("typ", ["logout+jwt", "application/logout+jwt", "JWT", None])
@pytest.mark.parametrize("changes", [{"sub": None}, {"sid": None}, {"aud": ["a", CLIENT_ID]}])
async def test_issuers_write_it_in_several_ways(
    receiver: Receiving, typ: str | None, changes: dict[str, object]
) -> None:
    record = await signed_in(receiver)
    token = KEY.token(receiver.logout_claims(**changes), typ=typ)
    assert (await receiver.log_out(token))[0] == 200
    assert ended(receiver.worker, record)


async def test_a_repeat_is_answered_and_does_nothing(
    receiver: Receiving, clock: ManualClock
) -> None:
    token = KEY.token(receiver.logout_claims(sid=None))
    assert (await receiver.log_out(token))[0] == 200
    clock.advance(timedelta(seconds=1))
    record = await signed_in(receiver)
    assert (await receiver.log_out(token))[0] == 200
    assert not ended(receiver.worker, record)


def unsigned(receiver: Receiving) -> str:
    return f"{base64url(json_bytes({'alg': 'none'}))}.{base64url(json_bytes({}))}."


REFUSED = {
    "forged": lambda r: FORGED.token(r.logout_claims()),
    "of another key": lambda r: SigningKey.make("x").token(r.logout_claims()),
    "unsigned": unsigned,
    "signed with a secret": lambda r: hmac_token(b"secret", {"alg": "HS256"}, r.logout_claims()),
    "of another type": lambda r: KEY.token(r.logout_claims(), typ="secevent+jwt"),
    "of another issuer": lambda r: KEY.token(r.logout_claims(iss="https://other.example")),
    "of nobody": lambda r: KEY.token(r.logout_claims(iss=None)),
    "for another client": lambda r: KEY.token(r.logout_claims(aud="other")),
    "for nobody": lambda r: KEY.token(r.logout_claims(aud=None)),
    "over": lambda r: KEY.token(r.logout_claims(exp=r.seconds)),
    "without an end": lambda r: KEY.token(r.logout_claims(exp=None)),
    "from the future": lambda r: KEY.token(r.logout_claims(iat=r.seconds + 61)),
    "of no time": lambda r: KEY.token(r.logout_claims(iat=None)),
    "without an id": lambda r: KEY.token(r.logout_claims(jti=None)),
    "without events": lambda r: KEY.token(r.logout_claims(events=None)),
    "with another event": lambda r: KEY.token(r.logout_claims(events={"x": {}})),
    "with an event that is none": lambda r: KEY.token(r.logout_claims(events={LOGOUT_EVENT: "x"})),
    "with a nonce": lambda r: KEY.token(r.logout_claims(nonce="n")),
    "about nobody": lambda r: KEY.token(r.logout_claims(sub=None, sid=None)),
    "about a number": lambda r: KEY.token(r.logout_claims(sub=7)),
    "no token": lambda _: "what?",
    "empty": lambda _: "",
}


@pytest.mark.parametrize("name", REFUSED)
async def test_what_does_not_hold_is_refused_and_changes_nothing(
    receiver: Receiving, clock: ManualClock, name: str
) -> None:
    clock.advance(timedelta(seconds=10))  # the issuer can be asked for its keys again
    record = await signed_in(receiver)
    before = await receiver.worker.kept.store.revision()
    status, answer, cached = await receiver.log_out(REFUSED[name](receiver))
    assert (status, answer["error"], cached) == (400, "invalid_request", "no-store")
    assert not ended(receiver.worker, record)
    assert await receiver.worker.kept.store.revision() == before
    (line,) = receiver.worker.records("signal.refused")
    assert line["stream"] == "back-channel-logout"
    assert 'kzproxy_signals_total{event="signed-out",outcome="refused"' in receiver.shown


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"logout_token=a&logout_token=b", "application/x-www-form-urlencoded"),
        (b"token=a", "application/x-www-form-urlencoded"),
        (b"\xff", "application/x-www-form-urlencoded"),
        (b"logout_token=" + b"x" * 70_000, "application/x-www-form-urlencoded"),
        (b'{"logout_token": "a"}', "application/json"),
        (b"logout_token=a", "application/x-www-form-urlencoded; charset=idna"),
    ],
)
async def test_what_is_no_form_is_refused(
    receiver: Receiving, body: bytes, content_type: str
) -> None:
    headers = {"Content-Type": content_type}
    async with receiver.client.post("/backchannel_logout", data=body, headers=headers) as answer:
        assert answer.status == 400
        assert answer.headers["Cache-Control"] == "no-store"


async def test_a_form_may_say_that_it_is_utf_8(receiver: Receiving) -> None:
    record = await signed_in(receiver)
    body = b"logout_token=" + KEY.token(receiver.logout_claims()).encode()
    headers = {"Content-Type": "application/x-www-form-urlencoded;charset=UTF-8"}
    async with receiver.client.post("/backchannel_logout", data=body, headers=headers) as answer:
        assert answer.status == 200
    assert ended(receiver.worker, record)


async def test_keys_that_cannot_be_had_have_it_sent_again(
    receiver: Receiving, clock: ManualClock
) -> None:
    receiver.issuer.keys_answer.status = 500
    clock.advance(timedelta(hours=13))
    status, _, cached = await receiver.log_out(KEY.token(receiver.logout_claims()))
    assert (status, cached) == (503, "no-store")


async def test_a_token_under_a_key_that_is_too_new_is_sent_again_and_taken(
    receiver: Receiving, clock: ManualClock
) -> None:
    record = await signed_in(receiver)
    new = SigningKey.make("rsa-2", "RS256")
    receiver.issuer.keys.append(new)
    token = new.token(receiver.logout_claims())
    async with receiver.client.post("/backchannel_logout", data={"logout_token": token}) as answer:
        assert (answer.status, answer.headers["Retry-After"]) == (503, "10")
        assert answer.headers["Cache-Control"] == "no-store"
    assert not ended(receiver.worker, record)
    clock.advance(timedelta(seconds=10))
    assert (await receiver.log_out(token))[0] == 200
    assert ended(receiver.worker, record)


async def test_e4_6_invented_keys_make_no_more_work_than_what_else_is_refused(
    receiver: Receiving, caplog: pytest.LogCaptureFixture
) -> None:
    """No fetch, no line in the diagnostic log, and few in the decision log."""
    fetches = receiver.issuer.key_fetches
    statuses = [
        (await receiver.log_out(SigningKey.make(f"x{number}").token(receiver.logout_claims())))[0]
        for number in range(WRITTEN_PER_MINUTE + 5)
    ]
    assert statuses == [503] * WRITTEN_PER_MINUTE + [429] * 5
    assert len(receiver.worker.records("signal.refused")) == WRITTEN_PER_MINUTE
    assert receiver.issuer.key_fetches == fetches
    assert not caplog.records
