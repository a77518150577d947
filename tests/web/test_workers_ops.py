"""What operators are told of several workers, each of which answers for itself."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from kzproxy.metrics.registry import Metrics
from kzproxy.metrics.summed import SummedMetrics
from kzproxy.server.addresses import ops_listening_privately
from kzproxy.web.ops import OpsDocuments
from kzproxy.web.ops_server import Show, Shown
from kzproxy.web.worker_at_work import WorkerAtWork
from kzproxy.web.workers_ops import WorkersOps


class Posts:
    """Workers that run in this process, and words about those that do not."""

    def __init__(self, directory: Path, stack: AsyncExitStack) -> None:
        self._directory = directory
        self._stack = stack
        self._at_work: list[WorkerAtWork] = []
        self.away: dict[str, str] = {}

    def at_work(self) -> list[WorkerAtWork]:
        return self._at_work

    def absent(self) -> Mapping[str, str]:
        return self.away

    async def add(self, name: str, documents: Mapping[str, Show]) -> None:
        """Have one more at work, that shows ``documents``."""
        at = self._directory / f"{len(self._at_work)}.sock"
        await self._stack.enter_async_context(ops_listening_privately(at, documents))
        self._at_work.append(WorkerAtWork(name=name, start=f"{name}.1", socket=at))

    async def readyz(self) -> tuple[int, dict[str, Any]]:
        documents = WorkersOps(self, SummedMetrics(), bytes).by_path()
        shown = await documents["/readyz"]()
        return shown.status, json.loads(shown.body)


@pytest.fixture
async def posts(tmp_path: Path) -> AsyncIterator[Posts]:
    async with AsyncExitStack() as stack:
        yield Posts(tmp_path, stack)


def judging_by(policies: Mapping[str, str], **checks: str | None) -> Mapping[str, Show]:
    return OpsDocuments(Metrics("1"), lambda: checks, policies=lambda: policies).by_path()


async def test_readyz_says_by_which_policies_each_worker_judges(posts: Posts) -> None:
    await posts.add("worker 1", judging_by({"policy": "aac5", "shadow": "77b0"}))
    await posts.add("worker 2", judging_by({"policy": "0f1e"}))

    assert await posts.readyz() == (
        200,
        {
            "ready": True,
            "checks": {"worker 1": "ok", "worker 2": "ok"},
            "in_force": {
                "worker 1": {"policy": "aac5", "shadow": "77b0"},
                "worker 2": {"policy": "0f1e"},
            },
        },
    )


async def test_a_worker_that_is_not_ready_says_by_what_it_judges_and_one_that_is_away_does_not(
    posts: Posts,
) -> None:
    await posts.add("worker 1", judging_by({"policy": "aac5"}, serving="draining"))
    posts.away["worker 2"] = "has ended"

    assert await posts.readyz() == (
        503,
        {
            "ready": False,
            "checks": {"worker 1": "serving: draining", "worker 2": "has ended"},
            "in_force": {"worker 1": {"policy": "aac5"}},
        },
    )


@pytest.mark.parametrize("body", [b"", b"[]", b'{"checks": {}, "in_force": 1}'])
async def test_a_worker_whose_answer_has_no_reading_is_not_ready(posts: Posts, body: bytes) -> None:
    async def shown() -> Shown:
        return Shown(body=body)

    await posts.add("worker 1", {"/readyz": shown})

    assert await posts.readyz() == (
        503,
        {"ready": False, "checks": {"worker 1": "answers what cannot be read"}},
    )
