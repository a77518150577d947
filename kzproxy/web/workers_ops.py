"""The operators' listener of several workers: ready when all are, and their metrics as one.

Each worker serves its own to this process alone, on a Unix socket in a directory that nobody else
may enter.
"""

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import aiohttp
from aiohttp import web

from kzproxy.metrics.summed import SummedMetrics
from kzproxy.web.ops import metrics_answer, ops_application, readiness_answer

# Well under Prometheus' scrape time-out of 10 s and a probe's patience.
_ASK_SECONDS = 2.0
_MAX_ANSWER_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerAtWork:
    """One start of one worker.

    Attributes:
        name: The worker's, which stays the same.
        start: Of this start alone.
        socket: Where it answers.
    """

    name: str
    start: str
    socket: Path


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

    def build(self) -> web.Application:
        """Return the application; it serves no other path."""
        return ops_application(self._readyz, self._expose)

    async def _readyz(self, _: web.Request) -> web.Response:
        workers = self._workforce.at_work()
        absent = dict(self._workforce.absent())
        found = await asyncio.gather(*(_readiness(worker) for worker in workers))
        checks = {worker.name: words for worker, (_, words) in zip(workers, found, strict=True)}
        ready = not absent and all(is_ready for is_ready, _ in found)
        return readiness_answer(ready=ready, checks=dict(sorted((checks | absent).items())))

    async def _expose(self, _: web.Request) -> web.Response:
        workers = self._workforce.at_work()
        shown = await asyncio.gather(*(_ask(worker, "/metrics") for worker in workers))
        running = {worker.start for worker in self._workforce.at_work()}
        for worker, (status, text) in zip(workers, shown, strict=True):
            # One that ended meanwhile has been added up as it was before.
            if status == web.HTTPOk.status_code and worker.start in running:
                self._summed.show(worker.start, text)
        return metrics_answer(self._summed.exposition() + self._own_metrics())


async def _readiness(worker: WorkerAtWork) -> tuple[bool, str]:
    """Return whether a worker is ready, and in words what is not as it should be."""
    status, text = await _ask(worker, "/readyz")
    if not status:
        return False, text
    try:
        checks = json.loads(text)["checks"]
        words = [f"{name}: {why}" for name, why in checks.items() if why != "ok"]
    except (ValueError, KeyError, TypeError, AttributeError):
        return False, "answers what cannot be read"
    return status == web.HTTPOk.status_code, "; ".join(words) or "ok"


async def _ask(worker: WorkerAtWork, path: str) -> tuple[int, str]:
    """Return status and text; 0 and the reason where there is no answer in time."""
    connector = aiohttp.UnixConnector(str(worker.socket))
    timeout = aiohttp.ClientTimeout(total=_ASK_SECONDS)
    try:
        async with (
            aiohttp.ClientSession(connector=connector, timeout=timeout) as session,
            session.get(f"http://worker{path}") as answer,
        ):
            body = await answer.content.read(_MAX_ANSWER_BYTES)
            while len(body) < _MAX_ANSWER_BYTES and (more := await answer.content.readany()):
                body += more
    except aiohttp.ClientConnectorError:
        return 0, "starting"
    except TimeoutError:
        return 0, f"does not answer within {_ASK_SECONDS:.0f} s"
    except (aiohttp.ClientError, OSError) as error:
        return 0, f"does not answer: {error}"
    return answer.status, body.decode("utf-8", "replace")
