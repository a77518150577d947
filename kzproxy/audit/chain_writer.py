"""Write batches of records as lines of one chain: synchronous, all of a batch or nothing."""

import logging
from collections import deque
from dataclasses import dataclass

import msgspec

from kzproxy.audit.chain import Head, seal
from kzproxy.audit.mirror import Mirror
from kzproxy.audit.schema import GapRecord
from kzproxy.audit.sink import Sink
from kzproxy.clock.system import Clock

MAX_HELD_RECORDS = 65536
"""Outcomes kept while the log cannot be written; more requests than that are never in flight."""


_log = logging.getLogger(__name__)


@dataclass(slots=True)
class DecisionLogCounts:
    """Running totals, for the metrics.

    Attributes:
        records: Lines written.
        write_failures: Batches that could not be written.
        lost_outcomes: ``completed`` records that could not be held any longer.
    """

    records: int = 0
    write_failures: int = 0
    lost_outcomes: int = 0


class ChainWriter:
    """The chain's head, the sink that it ends in, and what waits to be written to it."""

    def __init__(
        self, sink: Sink, head: Head, *, worker: str, clock: Clock, mirror: Mirror | None
    ) -> None:
        self.sink = sink
        self.counts = DecisionLogCounts()
        self.problem = ""
        self.head = head
        self._worker = worker
        self._clock = clock
        self._mirror = mirror
        self._first: list[bytes] = []
        self._held: deque[bytes] = deque()
        self._lost = 0
        self._refused = 0

    def write(self, payloads: list[bytes]) -> bool:
        """Write what is held and then ``payloads`` as one batch.

        Returns:
            Whether it was written; where not, ``problem`` says why and the chain stays as it was.
        """
        if self._first or self._held or self._lost or self._refused:
            payloads = [*self._first, *self._held, *self._gap(), *payloads]
        if not payloads:
            return True
        lines, head = seal(self.head, self._worker, payloads)
        data = lines[0] if len(lines) == 1 else b"".join(lines)
        try:
            self.sink.append(data)
        except OSError as error:
            self._note_failure(error)
            return False
        self.head = head
        self.counts.records += len(lines)
        if self.problem or self._first or self._held or self._lost or self._refused:
            self._recover()
        if self._mirror is not None:
            self._mirror.offer(data, len(lines))
        return True

    def replace(self, sink: Sink, first: bytes) -> None:
        """Write to ``sink`` from now on, ``first`` before anything else."""
        self.sink = sink
        self._first = [first]

    def count_refused(self) -> None:
        """Count a decision that was not written; the next ``gap`` record will say so."""
        self._refused += 1

    def hold(self, payload: bytes) -> None:
        """Keep an outcome until something can be written again."""
        if len(self._held) < MAX_HELD_RECORDS:
            self._held.append(payload)
            return
        self._lost += 1
        self.counts.lost_outcomes += 1

    def _note_failure(self, error: OSError) -> None:
        self.counts.write_failures += 1
        if not self.problem:
            _log.error("the decision log cannot be written: %s", error)
        self.problem = f"the decision log cannot be written: {error.strerror}"

    def _recover(self) -> None:
        if self.problem:
            _log.warning("the decision log can be written again")
        self.problem = ""
        self._first = []
        self._held.clear()
        self._lost = self._refused = 0

    def _gap(self) -> list[bytes]:
        if not self._lost and not self._refused:
            return []
        gap = GapRecord(ts=self._clock.now(), refused=self._refused, lost=self._lost)
        return [msgspec.json.encode(gap)]
