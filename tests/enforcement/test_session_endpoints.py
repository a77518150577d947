"""What those end who may end sessions: every one that could be gone on in."""

from collections.abc import AsyncIterator
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest

from kzproxy.administrator.provider_check import confirmed
from kzproxy.administrator.user_revocation import UserRevocation
from kzproxy.enforcement.own_endpoints import Asked
from kzproxy.enforcement.session_endpoints import (
    EndedSessions,
    Sessions,
    SessionsEndpoint,
    ShownSession,
    ShownSessions,
)
from kzproxy.errors.kinds import Unauthenticated
from tests.administrator.signal_world import Worker, worker_of
from tests.authentication.manual_clock import ManualClock


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def worker(tmp_path: Path, clock: ManualClock) -> AsyncIterator[Worker]:
    made = await worker_of(tmp_path, clock)
    yield made
    await made.close()


async def answer(
    worker: Worker, method: str, **query: str
) -> ShownSession | ShownSessions | EndedSessions:
    revocation = UserRevocation(worker.kept.following, worker.clock)
    sessions = Sessions(
        directory=worker.sessions, streams=lambda _: 0, revoke_user=revocation.revoke
    )
    asked = Asked(
        identity=worker.kept.record(9).identity(),
        session_id="",
        method=method,
        rest="",
        query=tuple(query.items()),
        body=b"",
        received_at=worker.clock.now(),
        audit_id="a-1",
    )
    return await SessionsEndpoint(sessions).answer(asked)


@pytest.mark.parametrize("query", [{"user": "idp:alice@example.com"}, {"device": "laptop-1"}])
async def test_a_session_whose_provider_is_silent_is_ended_for_good(
    worker: Worker, clock: ManualClock, query: dict[str, str]
) -> None:
    record = await worker.signed_in()
    clock.advance(timedelta(minutes=7))
    assert await answer(worker, "GET", **query) == ShownSessions(sessions=())
    assert await answer(worker, "DELETE", **query) == EndedSessions(ended=(record.id,))
    confirm = partial(confirmed, before=record, identity=None, asked_at=clock.now())
    with pytest.raises(Unauthenticated):
        await worker.sessions.update(record.id, confirm)
    with pytest.raises(Unauthenticated, match="an administrator revoked it"):
        worker.facts(record)


async def test_what_has_lasted_as_long_as_it_may_is_not_ended_once_more(
    worker: Worker, clock: ManualClock
) -> None:
    await worker.signed_in()
    clock.advance(timedelta(hours=13))
    assert await answer(worker, "DELETE", device="laptop-1") == EndedSessions(ended=())
