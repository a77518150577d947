"""An administrator ends everything of a user: also what the user has only begun."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from kzproxy.administrator.session import SessionRecord
from kzproxy.administrator.signal import SignalKind
from kzproxy.administrator.user_revocation import KEPT, UserRevocation
from kzproxy.errors.kinds import Unauthenticated
from kzproxy.web.sign_in_flows import CODE_LIFE, DEVICE_LIFE, FLOW_LIFE, REMEMBERED
from tests.administrator.signal_world import Worker, direct, worker_of
from tests.authentication.manual_clock import ManualClock

SECOND = timedelta(seconds=1)
ALICE = "idp:alice@example.com"


@pytest.fixture
async def workers(tmp_path: Path, clock: ManualClock) -> AsyncIterator[list[Worker]]:
    made = [await worker_of(tmp_path, clock, number) for number in (1, 2)]
    yield made
    for one in made:
        await one.close()


def alices(worker: Worker, **others: object) -> SessionRecord:
    return worker.kept.record(1, **({"username": ALICE, "groups": ("idp:dev",)} | others))


async def revoked(worker: Worker, message: str = "") -> None:
    await UserRevocation(worker.kept.following, worker.clock).revoke(ALICE, message)


def test_it_is_kept_for_longer_than_a_sign_in_takes() -> None:
    assert DEVICE_LIFE + FLOW_LIFE + REMEMBERED + CODE_LIFE < KEPT


async def test_what_was_begun_before_gives_no_session_and_what_is_begun_later_does(
    workers: list[Worker], clock: ManualClock
) -> None:
    begun_before = clock.now()
    clock.advance(SECOND)
    await revoked(workers[0], "laptop lost")
    await workers[1].kept.following.catch_up()
    for worker in workers:
        for begun_at in (begun_before, clock.now()):
            with pytest.raises(Unauthenticated, match="laptop lost; sign in again"):
                worker.views.check_sign_in(alices(worker), begun_at)
        worker.views.check_sign_in(alices(worker), clock.now() + SECOND)


async def test_nobody_else_is_meant(workers: list[Worker], clock: ManualClock) -> None:
    await revoked(workers[0])
    for name in ("idp:bob@example.com", ALICE.upper()):
        workers[0].views.check_sign_in(alices(workers[0], username=name), clock.now())


async def test_a_session_that_begins_at_another_worker_meanwhile_is_refused(
    workers: list[Worker], clock: ManualClock
) -> None:
    """It was checked there before this was written, and written after."""
    session = alices(workers[1])
    await revoked(workers[0])
    clock.advance(SECOND)
    await workers[1].sessions.begin(session)
    with pytest.raises(Unauthenticated, match="ended your sessions while you signed in"):
        workers[1].facts(session)


async def test_an_issuers_own_token_is_no_session(
    workers: list[Worker], clock: ManualClock
) -> None:
    await revoked(workers[0])
    assert workers[0].facts(direct(clock)).subject.username == ALICE


async def test_a_signal_ends_what_was_begun_before_it(
    workers: list[Worker], clock: ManualClock
) -> None:
    worker, begun_at = workers[0], clock.now()
    session = alices(worker, authenticated_at=clock.now() - SECOND)
    clock.advance(SECOND)
    await worker.take(SignalKind.SESSION_REVOKED)
    clock.advance(SECOND)
    with pytest.raises(Unauthenticated, match="sign in again"):
        worker.views.check_sign_in(session, begun_at)
    worker.views.check_sign_in(session, clock.now())
