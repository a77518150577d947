"""The operators' listener of several workers: ready when all are, and their metrics as one.

Each worker serves its own to this process alone, on a Unix socket in a directory that nobody else
may enter.
"""

import asyncio
import json
from collections.abc import Callable, Mapping
from typing import Protocol

import msgspec

from kzproxy.metrics.summed import SummedMetrics
from kzproxy.web.ops import metrics_answer, ops_documents, readiness_answer
from kzproxy.web.ops_server import Show, Shown
from kzproxy.web.worker_at_work import WorkerAtWork, ask

# Well under Prometheus' scrape time-out of 10 s and a probe's patience.
_ASK_SECONDS = 2.0
_OK = 200


class Workforce(Protocol):
    """Who keeps the workers running."""

    def at_work(self) -> list[WorkerAtWork]:
        """Return those that run."""

    def absent(self) -> Mapping[str, str]:
        """Return why others do not, by name."""


class WorkersOps:
    """``/livez``, ``/readyz`` and ``/metrics`` of all workers together."""

    def __init__(
        self, workforce: Workforce, summed: SummedMetrics, own_metrics: Callable[[], bytes]
    ) -> None:
        self._workforce = workforce
        self._summed = summed
        self._own_metrics = own_metrics

    def by_path(self) -> Mapping[str, Show]:
        """Return them; there is no other path."""
        return ops_documents(self._readyz, self._expose)

    async def _readyz(self) -> Shown:
        workers = self._workforce.at_work()
        absent = dict(self._workforce.absent())
        found = await asyncio.gather(*(_readiness(worker) for worker in workers))
        by_name = {worker.name: said for worker, said in zip(workers, found, strict=True)}
        checks = {name: said.words for name, said in by_name.items()} | absent
        return readiness_answer(
            ready=not absent and all(said.ready for said in found),
            checks=dict(sorted(checks.items())),
            # While files are read again they may differ.
            policies={name: said.in_force for name, said in by_name.items() if said.in_force},
        )

    async def _expose(self) -> Shown:
        workers = self._workforce.at_work()
        shown = await asyncio.gather(*(ask(worker, "/metrics", _ASK_SECONDS) for worker in workers))
        running = {worker.start for worker in self._workforce.at_work()}
        for worker, said in zip(workers, shown, strict=True):
            # One that ended meanwhile has been added up as it was before.
            if said.status == _OK and worker.start in running:
                self._summed.show(worker.start, said.text)
        return metrics_answer(self._summed.exposition() + self._own_metrics())


class _Readiness(msgspec.Struct, frozen=True, kw_only=True):
    """What one worker says of itself.

    Attributes:
        ready: Whether requests should come to it.
        words: What is not as it should be; ``ok`` where nothing is.
        in_force: The revisions of the policies that it judges by; empty where it says none.
    """

    ready: bool
    words: str
    in_force: Mapping[str, str] = msgspec.field(default_factory=dict)


async def _readiness(worker: WorkerAtWork) -> _Readiness:
    said = await ask(worker, "/readyz", _ASK_SECONDS)
    if not said.status:
        return _Readiness(ready=False, words=said.text)
    try:
        of_itself = json.loads(said.text)
        words = [f"{name}: {why}" for name, why in of_itself["checks"].items() if why != "ok"]
        in_force = dict(of_itself.get("in_force", {}))
    except (ValueError, KeyError, TypeError, AttributeError):
        return _Readiness(ready=False, words="answers what cannot be read")
    return _Readiness(ready=said.status == _OK, words="; ".join(words) or "ok", in_force=in_force)
