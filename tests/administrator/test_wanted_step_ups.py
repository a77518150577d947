"""What sign-in a session's next renewal asks for."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from kzproxy.administrator.session import SessionEnd, SessionRecord
from kzproxy.administrator.wanted_step_ups import MAX_WAITING, WantedStepUps
from kzproxy.policy.decision import Cause, Challenge
from kzproxy.policy.step_up import StepUp
from tests.administrator.kept_sessions import KeptSessions
from tests.authentication.manual_clock import ManualClock
from tests.policy.samples import asked

FRESH = StepUp(max_age=timedelta(minutes=5))
STRONG = StepUp(acr_values=("phr", "phrh"), max_age=timedelta(hours=8))
BY_TOKEN = StepUp(methods=("hwk",))


def challenge(step_up: StepUp) -> Challenge:
    return Challenge(
        attributes=asked("GET", "/api/v1/pods"),
        cause=Cause.SIGN_IN,
        rule="prod",
        hint="prod asks for more",
        matched=(),
        revision="r",
        depends_on=frozenset(),
        step_up=step_up,
    )


class Wanting:
    """Sessions and what notes step-ups in them."""

    def __init__(self, kept: KeptSessions) -> None:
        self.kept = kept
        self.step_ups = WantedStepUps(kept.directory, kept.clock)

    async def begin(self, **members: object) -> SessionRecord:
        record = self.kept.record(**members)
        await self.kept.directory.begin(record)
        return record

    async def want(self, session_id: str, *wanted: StepUp) -> None:
        """Have it written, to the end."""
        for step_up in wanted:
            self.step_ups.wanted(session_id, challenge(step_up))
        await self.step_ups.write()

    def noted(self, session_id: str) -> dict[str, object]:
        record = self.kept.directory.find(session_id)
        assert record is not None
        return dict(json.loads(record.step_up)) if record.step_up else {}


@pytest.fixture
async def wanting(tmp_path: Path) -> AsyncIterator[Wanting]:
    kept = KeptSessions(tmp_path / "kept.db", ManualClock())
    await kept.following.start()
    yield Wanting(kept)
    await kept.store.close()


@pytest.mark.parametrize(
    ("step_up", "parameters"),
    [
        (FRESH, {"max_age": 300}),
        (STRONG, {"acr_values": "phr phrh", "max_age": 28800}),
        (BY_TOKEN, {"max_age": 0}),
    ],
)
async def test_what_is_wanted_stands_in_the_session(
    wanting: Wanting, step_up: StepUp, parameters: dict[str, object]
) -> None:
    record = await wanting.begin()
    await wanting.want(record.id, step_up)
    assert wanting.noted(record.id) == {"error_description": "prod asks for more"} | parameters


async def test_the_last_counts(wanting: Wanting) -> None:
    record = await wanting.begin()
    await wanting.want(record.id, STRONG, FRESH)
    assert wanting.noted(record.id)["max_age"] == 300


async def test_what_was_mended_meanwhile_is_not_asked_for(wanting: Wanting) -> None:
    now = wanting.kept.clock.now()
    record = await wanting.begin(
        authenticated_at=now - timedelta(minutes=4),
        authentication_class="phrh",
        authentication_methods=("hwk", "pin"),
    )
    for step_up in (FRESH, STRONG, BY_TOKEN):
        await wanting.want(record.id, step_up)
        assert wanting.noted(record.id) == {}
    await wanting.want(record.id, replace(FRESH, max_age=timedelta(minutes=3)))
    assert wanting.noted(record.id) != {}


async def test_a_session_that_has_ended_is_left_alone(wanting: Wanting) -> None:
    record = await wanting.begin()
    await wanting.kept.directory.end(record.id, SessionEnd.REVOKED, "", by="root")
    await wanting.want(record.id, FRESH)
    assert wanting.noted(record.id) == {}


async def test_no_more_is_remembered_than_can_be(wanting: Wanting) -> None:
    for number in range(MAX_WAITING + 10):
        wanting.step_ups.wanted(f"{number:032x}", challenge(FRESH))
    assert len(wanting.step_ups._waiting) == MAX_WAITING
