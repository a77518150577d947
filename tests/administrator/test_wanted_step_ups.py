"""A challenge in a session is what its next renewal is answered with."""

import asyncio
import json
from datetime import timedelta
from pathlib import Path

import pytest

from kzproxy.administrator.session_end import SessionEnd
from kzproxy.administrator.wanted_step_ups import WantedStepUps
from kzproxy.policy.decision import Challenge
from kzproxy.policy.obligations import MultiFactor, Obligations
from tests.administrator.kept_sessions import KeptSessions
from tests.authentication.manual_clock import ManualClock
from tests.policy.samples import allow, asked, decide, match


@pytest.fixture
async def kept(tmp_path: Path):
    worker = KeptSessions(tmp_path / "kept.db", ManualClock())
    await worker.following.start()
    await worker.directory.begin(worker.record())
    yield worker
    await worker.store.close()


def challenge(**mfa: object) -> Challenge:
    rule = allow("a", match("get", "pods"), obligations=Obligations(mfa=MultiFactor(**mfa)))
    decision = decide([rule], asked("GET", "/api/v1/namespaces/dev/pods/a"))
    assert isinstance(decision, Challenge)
    return decision


async def step_up_of(kept: KeptSessions) -> str:
    entry = await kept.store.get("session", kept.record().id)
    assert entry is not None
    return str(json.loads(entry.value).get("step_up", ""))


async def test_what_is_wanted_stands_in_the_session(kept: KeptSessions) -> None:
    step_ups = WantedStepUps(kept.directory)
    wanted = challenge(classes=frozenset({"phr", "phrh"}), max_age=timedelta(hours=1))
    step_ups.wanted(kept.record().id, wanted)
    await step_ups.write()

    said = json.loads(await step_up_of(kept))
    assert (said["acr_values"], said["max_age"]) == ("phr phrh", 3600)
    assert said["error_description"] == wanted.hint


async def test_methods_alone_have_the_user_sign_in_anew(kept: KeptSessions) -> None:
    step_ups = WantedStepUps(kept.directory)
    step_ups.wanted(kept.record().id, challenge(methods=frozenset({"hwk"})))
    await step_ups.write()

    said = json.loads(await step_up_of(kept))
    assert said["max_age"] == 0
    assert "acr_values" not in said


async def test_the_same_is_not_written_again(kept: KeptSessions) -> None:
    step_ups, wanted = WantedStepUps(kept.directory), challenge(classes=frozenset({"phr"}))
    step_ups.wanted(kept.record().id, wanted)
    await step_ups.write()
    await kept.following.catch_up()
    before = await kept.store.get("session", kept.record().id)
    step_ups.wanted(kept.record().id, wanted)
    await step_ups.write()

    after = await kept.store.get("session", kept.record().id)
    assert before is not None
    assert after is not None
    assert after.revision == before.revision


async def test_a_session_that_has_ended_wants_nothing(kept: KeptSessions) -> None:
    step_ups, wanted = WantedStepUps(kept.directory), challenge(classes=frozenset({"phr"}))
    step_ups.wanted("f" * 32, wanted)
    step_ups.wanted(kept.record().id, wanted)
    await kept.directory.end(kept.record().id, SessionEnd.REVOKED, "", by="bob")
    await step_ups.write()
    step_ups.wanted(kept.record().id, wanted)
    await step_ups.write()

    assert await step_up_of(kept) == ""


async def test_it_is_written_by_itself(kept: KeptSessions) -> None:
    step_ups = WantedStepUps(kept.directory)
    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        running = group.create_task(step_ups.run())
        step_ups.wanted(kept.record().id, challenge(classes=frozenset({"phr"})))
        while not await step_up_of(kept):
            await asyncio.sleep(0)
        running.cancel()
