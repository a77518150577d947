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

from kzproxy.http.whole_answer import AnswerRefused, WholeAnswer
from kzproxy.metrics.summed import SummedMetrics
from kzproxy.web.ops import metrics_answer, ops_documents, readiness_answer
from kzproxy.web.ops_server import Show, Shown

# Well under Prometheus' scrape time-out of 10 s and a probe's patience.
_ASK_SECONDS = 2.0
_MAX_ANSWER_BYTES = 4 * 1024 * 1024
_READ_BYTES = 64 * 1024
_OK = 200


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

    def by_path(self) -> Mapping[str, Show]:
        """Return them; there is no other path."""
        return ops_documents(self._readyz, self._expose)

    async def _readyz(self) -> Shown:
        workers = self._workforce.at_work()
        absent = dict(self._workforce.absent())
        found = await asyncio.gather(*(_readiness(worker) for worker in workers))
        checks = {worker.name: words for worker, (_, words) in zip(workers, found, strict=True)}
        ready = not absent and all(is_ready for is_ready, _ in found)
        return readiness_answer(ready=ready, checks=dict(sorted((checks | absent).items())))

    async def _expose(self) -> Shown:
        workers = self._workforce.at_work()
        shown = await asyncio.gather(*(_ask(worker, "/metrics") for worker in workers))
        running = {worker.start for worker in self._workforce.at_work()}
        for worker, (status, text) in zip(workers, shown, strict=True):
            # One that ended meanwhile has been added up as it was before.
            if status == _OK and worker.start in running:
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
    return status == _OK, "; ".join(words) or "ok"


async def _ask(worker: WorkerAtWork, path: str) -> tuple[int, str]:
    """Return status and text; 0 and the reason where there is no answer in time."""
    try:
        async with asyncio.timeout(_ASK_SECONDS):
            answer = await _answer(worker.socket, path)
    except (FileNotFoundError, ConnectionRefusedError):
        return 0, "starting"
    except TimeoutError:
        return 0, f"does not answer within {_ASK_SECONDS:.0f} s"
    except (AnswerRefused, OSError) as error:
        return 0, f"does not answer: {error}"
    status = 0 if answer.head is None else answer.head.status
    return status, answer.body.decode("utf-8", "replace")


async def _answer(at: Path, path: str) -> WholeAnswer:
    reader, writer = await asyncio.open_unix_connection(at)
    try:
        writer.write(b"GET %b HTTP/1.1\r\nhost: worker\r\n\r\n" % path.encode("ascii"))
        answer = WholeAnswer(max_bytes=_MAX_ANSWER_BYTES)
        while not answer.done:
            if data := await reader.read(_READ_BYTES):
                answer.feed(data)
            else:
                answer.end_of_stream()
        return answer
    finally:
        writer.close()
