"""What a session lacks is written down for its next renewal, and for no later sign-in."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from kzproxy.administrator.session import SessionEnd
from kzproxy.administrator.wanted_step_ups import WantedStepUps
from kzproxy.policy.decision import Cause, Challenge
from kzproxy.policy.step_up import StepUp
from kzproxy.store.store import Put
from tests.administrator.kept_sessions import KeptSessions
from tests.audit.samples import attributes
from tests.authentication.manual_clock import ManualClock


@pytest.fixture
async def kept(tmp_path: Path, clock: ManualClock) -> AsyncIterator[KeptSessions]:
    kept = KeptSessions(tmp_path / "kept.db", clock)
    await kept.following.start()
    yield kept
    await kept.store.close()


def challenge(kept: KeptSessions, **wanted: object) -> Challenge:
    """Return what a request of the kept session was told."""
    [record] = kept.directory.all()
    return Challenge(
        attributes=replace(attributes(), subject=record.identity()),
        cause=Cause.SIGN_IN,
        rule="r",
        hint="",
        matched=(),
        revision="x",
        depends_on=frozenset(),
        step_up=StepUp(**wanted),  # type: ignore[arg-type]
    )


async def written(kept: KeptSessions) -> dict[str, object]:
    [record] = kept.directory.all()
    return dict(msgspec.json.decode(record.step_up)) if record.step_up else {}


async def test_it_is_written_as_the_renewal_says_it(kept: KeptSessions):
    await kept.directory.begin(kept.record())
    step_ups = WantedStepUps(kept.directory)
    lacking = challenge(kept, acr_values=("a", "b"), max_age=timedelta(hours=1))
    step_ups.wanted(kept.record().id, lacking)
    await step_ups.write()
    said = await written(kept)
    assert (said["acr_values"], said["max_age"]) == ("a b", 3600)
    assert "kzproxy login --acr 'a b' --max-age 1h" in str(said["error_description"])


async def test_what_a_session_lacks_that_cannot_be_read_by_now_is_told_to_nobody(
    kept: KeptSessions,
):
    await kept.directory.begin(record := kept.record())
    step_ups = WantedStepUps(kept.directory)
    step_ups.wanted(record.id, challenge(kept, acr_values=("a",)))
    await kept.store.write(Put(kind="session", key=record.id, value=b"{}"))
    await step_ups.write()
    assert await kept.directory.stored(record.id) is None


async def test_a_sign_in_that_was_stronger_meanwhile_is_asked_for_nothing(
    kept: KeptSessions, clock: ManualClock
):
    await kept.directory.begin(record := kept.record())
    lacking = challenge(kept, acr_values=("a",))
    clock.advance(timedelta(seconds=5))
    anew = msgspec.structs.replace(record, began_at=clock.now())
    await kept.directory.update(record.id, lambda _: anew)
    step_ups = WantedStepUps(kept.directory)
    step_ups.wanted(record.id, lacking)
    await step_ups.write()
    assert await written(kept) == {}


async def test_a_session_that_has_ended_is_passed_over(kept: KeptSessions):
    await kept.directory.begin(record := kept.record())
    lacking = challenge(kept, acr_values=("a",))
    await kept.directory.end(record.id, SessionEnd.REVOKED, "", by="root")
    step_ups = WantedStepUps(kept.directory)
    step_ups.wanted(record.id, lacking)
    await step_ups.write()
    assert await written(kept) == {}
