"""The operators' listener of several workers: ready when all are, and their metrics as one.

Each worker serves its own to this process alone, on a Unix socket in a directory that nobody else
may enter.
"""

import asyncio
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

import msgspec

from kzproxy.http.whole_answer import AnswerRefused, WholeAnswer
from kzproxy.metrics.summed import SummedMetrics
from kzproxy.web.ops import metrics_answer, ops_documents, readiness_answer
from kzproxy.web.ops_server import Show, Shown

# Well under Prometheus' scrape time-out of 10 s and a probe's patience.
_ASK_SECONDS = 2.0
_MAX_ANSWER_BYTES = 4 * 1024 * 1024
_READ_BYTES = 64 * 1024
_OK = 200


class WorkerAtWork(msgspec.Struct, frozen=True, kw_only=True):
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
        shown = await asyncio.gather(*(_ask(worker, "/metrics") for worker in workers))
        running = {worker.start for worker in self._workforce.at_work()}
        for worker, (status, text) in zip(workers, shown, strict=True):
            # One that ended meanwhile has been added up as it was before.
            if status == _OK and worker.start in running:
                self._summed.show(worker.start, text)
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
    status, text = await _ask(worker, "/readyz")
    if not status:
        return _Readiness(ready=False, words=text)
    try:
        said = json.loads(text)
        words = [f"{name}: {why}" for name, why in said["checks"].items() if why != "ok"]
        in_force = dict(said.get("in_force", {}))
    except (ValueError, KeyError, TypeError, AttributeError):
        return _Readiness(ready=False, words="answers what cannot be read")
    return _Readiness(ready=status == _OK, words="; ".join(words) or "ok", in_force=in_force)


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
