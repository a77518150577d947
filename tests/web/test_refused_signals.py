"""Whoever floods with what is no signal fills no log, hides nothing, and holds up nobody."""

from datetime import timedelta

import pytest

from kzproxy.audit.schema import SignalRefusedRecord
from kzproxy.errors.kinds import ServiceUnavailable
from kzproxy.web.refused_signals import WRITTEN_PER_MINUTE, RefusedSignals
from tests.administrator.signal_world import Worker
from tests.authentication.manual_clock import ManualClock
from tests.web.receiving import FORGED, KEY, Receiving


def refused(clock: ManualClock, address: str, message: str = "forged") -> SignalRefusedRecord:
    return SignalRefusedRecord(
        ts=clock.now(), stream="idp", error="invalid_key", message=message, address=address
    )


async def test_the_first_are_written_one_by_one_and_the_rest_as_a_number(
    worker: Worker, clock: ManualClock
) -> None:
    signals = RefusedSignals(worker.decisions, clock)
    answers = [await signals.note(refused(clock, "192.0.2.1", f"no {n}")) for n in range(100)]
    assert [one is None for one in answers] == [True] * WRITTEN_PER_MINUTE + [False] * 70
    assert {one.retry_after_seconds for one in answers if one is not None} == {60}
    assert len(worker.records("signal.refused")) == WRITTEN_PER_MINUTE
    await signals.sum_up()
    await signals.sum_up()
    [*_, last] = worker.records("signal.refused")
    assert len(worker.records("signal.refused")) == WRITTEN_PER_MINUTE + 1
    assert (last["left_out"], last["address"], last["error"]) == (70, "192.0.2.1", "invalid_key")
    assert last["message"] == "70 more were refused; the last one: no 99"
    clock.advance(timedelta(minutes=1))
    assert await signals.note(refused(clock, "192.0.2.1")) is None


async def test_each_address_is_told_apart(worker: Worker, clock: ManualClock) -> None:
    signals = RefusedSignals(worker.decisions, clock)
    for number in range(40):
        for _ in range(40):
            await signals.note(refused(clock, f"192.0.2.{number}"))
    await signals.note(refused(clock, "198.51.100.7", "a lonely one"))
    assert worker.records("signal.refused")[-1]["message"] == "a lonely one"
    written = len(worker.records("signal.refused"))
    await signals.sum_up()
    summaries = worker.records("signal.refused")[written:]
    assert len({one["address"] for one in summaries}) == len(summaries) == 40
    assert sum(one["left_out"] for one in summaries) + written == 40 * 40 + 1


async def test_what_cannot_be_summed_up_now_is_summed_up_later(
    worker: Worker, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    signals = RefusedSignals(worker.decisions, clock)
    for _ in range(WRITTEN_PER_MINUTE + 3):
        await signals.note(refused(clock, "192.0.2.1"))
    with monkeypatch.context() as patched:

        async def full(*_: object, **__: object) -> None:
            raise ServiceUnavailable("no log", detail="the disk is full")

        patched.setattr(worker.decisions, "record_signal", full)
        await signals.sum_up()
    await signals.note(refused(clock, "192.0.2.1"))
    await signals.sum_up()
    assert worker.records("signal.refused")[-1]["left_out"] == 4


async def test_a_flood_is_answered_429_and_what_holds_is_taken(receiver: Receiving) -> None:
    session = await receiver.worker.signed_in()
    forged = receiver.sign(receiver.claims(), FORGED)
    for _ in range(WRITTEN_PER_MINUTE):
        assert (await receiver.post(forged))[0] == 400
    headers = {"Content-Type": "application/secevent+jwt", "Authorization": "Bearer wrong"}
    async with receiver.client.post("/ssf/v1/events/x", data=forged, headers=headers) as answer:
        assert (answer.status, answer.headers["Retry-After"]) == (429, "60")
        assert (await answer.json())["err"] == "invalid_request"
    status, answered, cached = await receiver.log_out(FORGED.token(receiver.logout_claims()))
    assert (status, answered["error"], cached) == (429, "invalid_request", "no-store")
    assert len(receiver.worker.records("signal.refused")) == WRITTEN_PER_MINUTE
    assert (await receiver.post(receiver.event()))[0] == 202
    assert receiver.worker.session(session).ended_at is not None
    assert (await receiver.log_out(KEY.token(receiver.logout_claims())))[0] == 200
    await receiver.refused.sum_up()
    assert receiver.worker.records("signal.refused")[-1]["left_out"] == 2
