"""The decision log: nothing is forwarded that is not written down first.

A decision that a task waits for is written at once, together with the outcomes that have come
since the last: to wake the task later, so that one ``write(2)`` serves others too, costs more than
the write. Those of requests without a task go out together, all that come in one tick of the event
loop. Where a record is *durable* (a write or a connect) the fsync that follows is waited for too;
one fsync serves all that came while the last one ran, and these records, too, go out in one write a
tick. So do all where each batch is handed to a thread: to standard output. A record that cannot be
written is a request that is not forwarded. Four rules say what happens then:

* A write that fails is taken back from the file and refuses the records of its batch. The chain
  goes on from the last line that was written, and the next record tries again.
* ``completed`` records have nobody left to refuse: they are held, up to ``MAX_HELD_RECORDS``, and
  written before anything else once the log can be written, followed by a ``gap`` record that says
  how many decisions were refused meanwhile, and how many outcomes could not be held. Before them
  comes the first line of a new file where that could not be written.
* An fsync that fails refuses everything until ``reopen`` or a restart: the kernel may have dropped
  the lines, and a second fsync would say that all is well.
* A sync that takes longer than ``sync_timeout`` refuses what waits for it, and all that
  comes until it returns.

There are no tasks here: futures, one timer and one thread.
"""

import asyncio
import logging
import sys
from collections.abc import Callable, Coroutine
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec

from kzproxy.audit.chain import GENESIS, MAX_LINE_BYTES, Head
from kzproxy.audit.chain_writer import ChainWriter, DecisionLogCounts
from kzproxy.audit.events import Event, event_record
from kzproxy.audit.group_sync import GroupSync, Written
from kzproxy.audit.lifecycle import first_record, resumed, stopped
from kzproxy.audit.mirror import Mirror
from kzproxy.audit.moved_end import chain_end
from kzproxy.audit.recent import RecentRefusals
from kzproxy.audit.rotation import Rotation, RotationPlan, move_aside
from kzproxy.audit.schema import (
    CompletedRecord,
    ContinuedAfter,
    DecisionRecord,
    SignalRecord,
    Verdict,
)
from kzproxy.audit.sink import FileSink, StreamSink
from kzproxy.clock.system import Clock
from kzproxy.errors.configuration import ConfigurationError, Mistake
from kzproxy.errors.kinds import ServiceUnavailable, Unrecorded

_STDOUT = 1
_ENVELOPE_BYTES = 1024
_MAX_PAYLOAD_BYTES = MAX_LINE_BYTES - _ENVELOPE_BYTES
_STOP_TIMEOUT_SECONDS = 1.0

RETRY_INTERVAL_SECONDS = 1.0
"""How soon a log that cannot be written is tried again by itself."""

_UNWRITTEN = (
    "the decision on this request cannot be written down, so it is not forwarded; try again, and if"
    " it stays so tell whoever runs kzproxy"
)

_log = logging.getLogger(__name__)


class DecisionLogSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where decisions are written down; at least one of the two.

    Attributes:
        file: The file that counts; it is locked, so each worker needs its own.
        stdout: Beside a file: a copy, from which lines are left out (and counted) when its reader
            is slow. Alone: the log that counts, and every record waits for its reader.
        worker: Written into every line; at most 64 characters.
        sync_timeout: How long a client waits for the disk, or for the reader of a pipe, before it
            is told to come back.
        rotation: How the file is kept from growing for ever; None where that is seen to elsewhere.
        stdout_turns: A file whose lock is held while the copy is written, where other workers share
            standard output; None where they do not.
    """

    file: Path | None
    stdout: bool
    worker: str = "0"
    sync_timeout: timedelta = timedelta(seconds=5)
    rotation: Rotation | None = None
    stdout_turns: Path | None = None


Soon = Callable[[Callable[[], None]], object]
"""Has a function called once all have been whose turn it is."""


class _Pending(msgspec.Struct, frozen=True):
    payload: bytes
    written: Written | None = None
    durable: bool = False
    is_outcome: bool = False
    is_counted: bool = False
    stands: Callable[[], None] | None = None
    told: Callable[[ServiceUnavailable | None], None] | None = None


class DecisionLog:
    """One worker's log. Made by ``open``; used on one event loop; ended by ``close``.

    Attributes:
        recent: The refusals of known callers that were written last.
        writes_in_turn: Whether ``add_again`` can be used: a line stands once it is handed over.
    """

    def __init__(
        self,
        sink: FileSink | StreamSink,
        head: Head,
        *,
        settings: DecisionLogSettings,
        clock: Clock,
        mirror: Mirror | None = None,
        soon: Soon | None = None,
    ) -> None:
        self._sink: FileSink | StreamSink = sink
        self._rotation = settings.rotation.plan() if settings.rotation is not None else None
        self._clock = clock
        self._mirror = mirror
        self._writer = ChainWriter(sink, head, worker=settings.worker, clock=clock, mirror=mirror)
        self._syncs = GroupSync(sink, timeout=settings.sync_timeout)
        self._encode = msgspec.json.Encoder().encode
        self._queue: list[_Pending] = []
        self._flush_is_due = False
        self._soon = soon or asyncio.get_running_loop().call_soon
        # Where nothing but the file is written to, a decision need not wait for others.
        self._writes_at_once = sink.written_on_append and mirror is None
        self._retry_timer: asyncio.TimerHandle | None = None
        self._closed = False
        self.writes_in_turn = sink.written_on_append
        self.recent = RecentRefusals()

    @classmethod
    def open(
        cls, settings: DecisionLogSettings, clock: Clock, soon: Soon | None = None
    ) -> "DecisionLog":
        """Open the sink, go on from the end of its chain and write the first record.

        Must be called on the event loop that the log is used on; waits for the disk.

        Args:
            settings: Where to.
            clock: For its records.
            soon: Has a function called later, before the loop waits; its ``call_soon`` by default.

        Raises:
            ConfigurationError: It cannot be written.
        """
        if (settings.file is None or settings.stdout) and sys.__stdout__ is None:
            # Its number is somebody else's by now: a client's connection, perhaps.
            raise ConfigurationError([Mistake(source="stdout", message="it is closed")])
        if settings.file is None:
            log = cls(StreamSink(_STDOUT), GENESIS, settings=settings, clock=clock, soon=soon)
            log._begin(first_record(GENESIS, torn_bytes=0, now=clock.now()))
            return log
        sink = FileSink.open(settings.file)
        try:
            end = chain_end(sink, settings.worker)
        except ConfigurationError:
            sink.close()
            raise
        mirror = Mirror(_STDOUT, turns=settings.stdout_turns) if settings.stdout else None
        log = cls(sink, end.head, settings=settings, clock=clock, mirror=mirror, soon=soon)
        log._begin(first_record(end.head, torn_bytes=end.torn_bytes, now=clock.now()))
        return log

    @property
    def counts(self) -> DecisionLogCounts:
        """Return the running totals, for the metrics."""
        return self._writer.counts

    @property
    def sync_failures(self) -> int:
        """Return how many times the disk, or the reader of a pipe, did not take the log."""
        return self._syncs.failures

    @property
    def mirror_dropped(self) -> int:
        """Return how many lines the copy on standard output lacks."""
        return self._mirror.dropped if self._mirror is not None else 0

    def problem(self) -> str:
        """Return why decisions cannot be recorded now; empty where they can."""
        if self._closed:
            return "the decision log is closed"
        return self._syncs.problem or self._writer.problem

    async def record_decision(
        self,
        record: DecisionRecord,
        *,
        durable: bool,
        stands: Callable[[], None] | None = None,
        is_counted: bool = False,
    ) -> None:
        """Return once the record is written and, where ``durable``, has reached the disk.

        The record may be in the log even where this is cancelled or raises: it then says that
        something was decided which was not forwarded. The reverse does not happen.

        Args:
            record: What was decided.
            durable: Whether to wait for the disk.
            stands: Called as soon as the line is in the log, whatever comes of the wait: from then
                on the request has been decided on, and a permit is owed its outcome. It must not
                raise.
            is_counted: Whether the request is among those that could not be recorded already.

        Raises:
            ServiceUnavailable: It could not be written; nothing may be forwarded.
        """
        payload = self._encode(record)
        await self._written(payload, durable=durable, stands=stands, is_counted=is_counted)
        self._remember(record, payload)

    def add_decision(self, record: DecisionRecord) -> None:
        """Write a refusal that nobody waits for: its client has gone, or can be told nothing."""
        payload = self._encode(record)
        self._add(_Pending(payload))
        self._remember(record, payload)

    def _remember(self, record: DecisionRecord, payload: bytes) -> None:
        # Whoever is not known has nobody to be told as.
        if record.decision is not Verdict.PERMIT and record.user is not None:
            self.recent.keep(record.audit_id, payload)

    def record_again(
        self, payload: bytes, *, durable: bool, stands: Callable[[], None]
    ) -> Coroutine[Any, Any, None]:
        """Do as ``record_decision`` does with a permit that holds for another request too.

        Args:
            payload: From ``RepeatedRecord``, of this one.
            durable: As there.
            stands: As there.

        Raises:
            ServiceUnavailable: It could not be written; nothing may be forwarded.
        """
        return self._written(payload, durable=durable, stands=stands)

    def add_again(self, payload: bytes, told: Callable[[ServiceUnavailable | None], None]) -> None:
        """Do as ``record_again`` does, together with all that comes in this turn of the loop.

        Args:
            payload: As there, of one that need not wait for the disk.
            told: Called later, before the loop waits, with None once the line is in the log, else
                with why it is not: nothing may be forwarded then. It must not raise.

        Raises:
            ServiceUnavailable: It cannot be written; ``told`` is never called.
        """
        if len(payload) > _MAX_PAYLOAD_BYTES:
            raise _unavailable(f"a record of {len(payload)} bytes is over the bound")
        self._add(_Pending(payload, told=told))

    async def record_signal(self, record: SignalRecord, *, durable: bool) -> None:
        """Return once the record is written and, where ``durable``, has reached the disk.

        Raises:
            ServiceUnavailable: It could not be written; what it says must not be done.
        """
        await self._written(self._encode(record), durable=durable)

    async def _written(
        self,
        payload: bytes,
        *,
        durable: bool,
        stands: Callable[[], None] | None = None,
        is_counted: bool = False,
    ) -> None:
        if len(payload) > _MAX_PAYLOAD_BYTES:
            raise _unavailable(f"a record of {len(payload)} bytes is over the bound")
        if self._writes_at_once and not durable and not self._closed:
            self._queue.append(_Pending(payload, is_counted=is_counted))
            if problem := self._flush():
                raise _unrecorded(problem)
            if stands is not None:
                stands()
            return
        written: Written = asyncio.get_running_loop().create_future()
        self._add(_Pending(payload, written, durable=durable, stands=stands, is_counted=is_counted))
        if problem := await written:
            raise _unrecorded(problem)

    async def record_event(self, event: Event) -> None:
        """Return once what happens beside requests is written and has reached the disk.

        Raises:
            ServiceUnavailable: It could not be written; what it says must not be done.
        """
        payload = self._encode(event_record(event, at=self._clock.now()))
        await self._written(payload, durable=True)

    async def record_outcome(self, record: CompletedRecord) -> None:
        """Return once the record is written, or held until it can be; never raises."""
        written: Written = asyncio.get_running_loop().create_future()
        self._add(_Pending(self._encode(record), written, is_outcome=True))
        await written

    def add_outcome(self, record: CompletedRecord) -> None:
        """Do as ``record_outcome`` does, for a caller that need not wait."""
        self._add(_Pending(self._encode(record), is_outcome=True))

    def reopen(self) -> None:
        """Go on in a new file if the old one was moved away, as log rotation does. Never raises.

        Nothing is lost and the chain goes on: the first line of the new file names the last one
        of the old. Where the new file cannot be had the old one stays in use, and the diagnostic
        log says why. Where the file is still in its place, a failed sync is forgiven.
        """
        if not isinstance(self._sink, FileSink) or self._closed:
            return
        self._flush()  # what is queued belongs to the old file
        if not self._sink.moved_away():
            self._syncs.forgive()
            return
        try:
            self._sink = FileSink.open_empty(self._sink.path)
        except ConfigurationError as error:
            _log.error("%s; the old file stays in use", error)
            return
        first = resumed(ContinuedAfter.ROTATION, now=self._clock.now())
        self._writer.replace(self._sink, first)
        self._syncs.replace(self._sink)
        self._write_held()

    async def close(self) -> None:
        """Write the last record, wait for the disk, and give up the sink. Never raises."""
        if self._closed:
            return
        written: Written = asyncio.get_running_loop().create_future()
        self._add(_Pending(stopped(now=self._clock.now()), written, durable=True))
        self._flush()
        self._closed = True
        self.writes_in_turn = False
        if problem := await written:
            _log.error("the last record was not written: %s", problem)
        self._stop()

    def _begin(self, first: bytes) -> None:
        source = str(self._sink.path) if isinstance(self._sink, FileSink) else "stdout"
        try:
            self._writer.write([first])
            self._sink.sync()
        except OSError as error:
            self._writer.problem = str(error.strerror)
        if problem := self._writer.problem:
            self._stop()
            raise ConfigurationError([Mistake(source=source, message=problem)])

    def _stop(self) -> None:
        if self._retry_timer is not None:
            self._retry_timer.cancel()
        if self._mirror is not None:
            self._mirror.stop(_STOP_TIMEOUT_SECONDS)
        self._syncs.stop(_STOP_TIMEOUT_SECONDS)

    def _add(self, pending: _Pending) -> None:
        if self._closed:
            self._refuse([pending])
            return
        self._queue.append(pending)
        if not self._flush_is_due:
            self._flush_is_due = True
            self._soon(self._flush_in_turn)

    def _flush_in_turn(self) -> None:
        self._flush_is_due = False
        if self._queue:
            self._flush()

    def _flush(self) -> str:
        """Write what is queued; return why it is refused, empty where it is not."""
        batch, self._queue = self._queue, []
        try:
            return self._write_batch(batch)
        except Exception:  # noqa: BLE001 - an exception denies, and leaves nobody waiting
            _log.exception("bug in the decision log")
            return self._refuse(batch)

    def _write_batch(self, batch: list[_Pending]) -> str:
        if not batch:
            return ""
        payloads = [pending.payload for pending in batch]
        if self._syncs.problem or not self._writer.write(payloads):
            return self._refuse(batch)
        waiting = self._acknowledge(batch)
        self._syncs.written(waiting)
        if self._rotation is not None:
            self._rotate_if_due(self._rotation)
        return ""

    def _rotate_if_due(self, rotation: RotationPlan) -> None:
        sink = self._sink
        if not isinstance(sink, FileSink) or not rotation.is_due(sink.size_bytes):
            return
        try:
            if not sink.moved_away():
                move_aside(sink.path, seq=self._writer.head.seq, now=self._clock.now())
            self.reopen()
            rotation.drop_oldest(sink.path)
        except OSError:
            _log.exception("the decision log cannot be rotated")

    def _acknowledge(self, batch: list[_Pending]) -> list[Written]:
        """End the waits that are over, and return those that go on until the disk has it all."""
        waiting: list[Written] = []
        for pending in batch:
            if pending.told is not None:
                pending.told(None)
                continue
            if pending.stands is not None:
                pending.stands()
            if pending.written is None or pending.written.done():
                continue
            if pending.durable or not self._sink.written_on_append:
                waiting.append(pending.written)
            else:
                pending.written.set_result("")
        return waiting

    def _refuse(self, batch: list[_Pending]) -> str:
        problem = self.problem() or "the decision log failed"
        for pending in batch:
            if pending.is_outcome:
                self._writer.hold(pending.payload)
            elif not pending.is_counted:
                self._writer.count_refused()
            if pending.told is not None:
                pending.told(_unrecorded(problem))
            elif pending.written is not None and not pending.written.done():
                pending.written.set_result(problem)
        self._retry_later()
        return problem

    def _write_held(self) -> bool:
        written = self._writer.write([])
        if not written:
            self._retry_later()
        return written

    def _retry_later(self) -> None:
        if self._retry_timer is None and not self._closed:
            loop = asyncio.get_running_loop()
            self._retry_timer = loop.call_later(RETRY_INTERVAL_SECONDS, self._retry)

    def _retry(self) -> None:
        """Write what is held, so that the log recovers even where no request comes."""
        self._retry_timer = None
        if self._syncs.problem:
            self._retry_later()
        elif self._write_held():
            self._syncs.written([])


def _unrecorded(detail: str) -> Unrecorded:
    return Unrecorded(_UNWRITTEN, detail=detail, retry_after_seconds=1)


def _unavailable(detail: str) -> ServiceUnavailable:
    return ServiceUnavailable(_UNWRITTEN, detail=detail, retry_after_seconds=1)
