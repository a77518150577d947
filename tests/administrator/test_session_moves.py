"""Sessions that move: every worker knows, and their streams are judged again at once."""

import asyncio
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from kzproxy.administrator.session_moves import SessionMoves, moved
from kzproxy.attributes.attributes import Attributes
from kzproxy.errors.kinds import ServiceUnavailable
from kzproxy.policy.rules import Conditions
from tests.administrator.kept_sessions import KeptSessions
from tests.administrator.test_administrator import PODS, WATCH, World
from tests.authentication.manual_clock import ManualClock
from tests.policy.samples import allow, asked

HOME, AWAY = "192.0.2.7", "198.51.100.7"


@pytest.fixture
async def workers(tmp_path: Path):
    clock = ManualClock()
    made = [KeptSessions(tmp_path / "kept.db", clock) for _ in range(2)]
    for worker in made:
        await worker.following.start()
    await made[0].directory.begin(made[0].record(address=HOME))
    await made[1].following.catch_up()
    for worker in made:
        worker.told.clear()
    yield made
    for worker in made:
        await worker.store.close()


@pytest.fixture
def session_id(workers: list[KeptSessions]) -> str:
    return workers[0].record().id


def seen_from(worker: KeptSessions, session_id: str) -> str:
    return worker.directory.identity(session_id, worker.clock.now()).seen_from


def test_an_address_is_written_as_those_of_requests_are(workers: list[KeptSessions]) -> None:
    mapped = workers[0].record(address="::ffff:192.0.2.7")
    assert mapped.identity().signed_in_from == HOME
    assert workers[0].record(address="somewhere").identity().signed_in_from == ""


async def test_a_move_counts_here_at_once_and_elsewhere_when_written(
    workers: list[KeptSessions], session_id: str
) -> None:
    here, elsewhere = workers
    here.directory.came_from(session_id, AWAY)

    assert seen_from(here, session_id) == AWAY
    assert here.told == [frozenset({session_id})]
    await here.directory._moves.write(here.directory.update)
    await elsewhere.following.catch_up()
    assert seen_from(elsewhere, session_id) == AWAY
    assert elsewhere.told == [frozenset({session_id})]
    assert here.told == [frozenset({session_id})], "told of once"


async def test_who_stays_is_no_news(workers: list[KeptSessions], session_id: str) -> None:
    here = workers[0]
    before = here.directory.identity(session_id, here.clock.now())
    here.directory.came_from(session_id, HOME)
    here.directory.came_from("f" * 32, AWAY)

    assert here.told == []
    assert here.directory.identity(session_id, here.clock.now()) is before


async def test_what_others_write_of_the_session_does_not_move_it_back(
    workers: list[KeptSessions], session_id: str
) -> None:
    here, elsewhere = workers
    here.directory.came_from(session_id, AWAY)
    await elsewhere.directory.update(
        session_id, lambda record: msgspec.structs.replace(record, risk="HIGH")
    )
    await here.following.catch_up()

    identity = here.directory.identity(session_id, here.clock.now())
    assert (identity.seen_from, identity.risk) == (AWAY, "HIGH")


async def test_what_cannot_be_written_stays_noted(
    workers: list[KeptSessions], session_id: str
) -> None:
    record, moves, tries = workers[0].record(), SessionMoves(), []

    async def update(one, change):
        tries.append(one)
        if len(tries) == 1:
            raise ServiceUnavailable("no store", detail="disk full")
        return change(record)

    moves.note(session_id, AWAY)
    await moves.write(update)
    assert moves.applied(record) == moved(record, AWAY)
    await moves.write(update)
    assert moves.applied(record) == record
    assert tries == [session_id] * 2


async def test_moves_are_written_by_themselves(
    workers: list[KeptSessions], session_id: str
) -> None:
    here, elsewhere = workers
    running = asyncio.get_running_loop().create_task(here.directory.run())
    here.directory.came_from(session_id, AWAY)
    async with asyncio.timeout(30):
        while (await elsewhere.store.get("session", session_id)).value.find(AWAY.encode()) < 0:
            await asyncio.sleep(0.01)
    running.cancel()
    await asyncio.wait([running])


class Following:
    """An administrator that follows one worker's sessions."""

    def __init__(self, worker: KeptSessions) -> None:
        rule = allow("pods", PODS, conditions=Conditions(session_same_address=True))
        self.world = World(rule)
        self.world.clock.jump(worker.clock.now() - self.world.clock.now())
        self.world.administrator.consult(worker.directory)
        worker.directory.on_change(self.world.administrator.judge_sessions_again)
        self.worker = worker

    def watch(self, session_id: str, address: str) -> Attributes:
        """Return the facts of a watch from an address, as the enforcement point makes them."""
        self.worker.directory.came_from(session_id, address)
        identity = self.worker.directory.identity(session_id, self.worker.clock.now())
        return asked("GET", WATCH, who=identity, come_from=address, at=self.worker.clock.now())


async def test_streams_of_a_session_that_moves_are_judged_again_at_once(
    workers: list[KeptSessions], session_id: str
) -> None:
    here = Following(workers[0])
    facts = here.watch(session_id, HOME)
    vouched = replace(facts, subject=replace(facts.subject, vouched_by=""))
    with here.world.open(vouched, session_id):
        here.worker.clock.advance(timedelta(seconds=1))
        assert here.world.cuts == []
        here.watch(session_id, AWAY)
        (cut,) = here.world.cuts
    assert f"signed in from {HOME}, and is at {AWAY}" in cut.error.message


async def test_a_session_that_has_come_back_may_go_on(
    workers: list[KeptSessions], session_id: str
) -> None:
    here = Following(workers[0])
    here.watch(session_id, AWAY)
    with here.world.open(here.watch(session_id, HOME), session_id):
        assert here.world.cuts == []
