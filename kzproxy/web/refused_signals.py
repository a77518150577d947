"""What was sent as a signal and is none: written down, but not line by line for whoever floods.

Anybody can send something. The first ones from an address are in the decision log one by one; of
the rest it is written how many they were, so that nothing of the fact is lost. A signal that holds
is never held up by those that do not: only what has been looked at and refused is counted.
"""

import asyncio
import logging

import msgspec

from kzproxy.audit.decision_log import DecisionLog
from kzproxy.audit.records import signal_record
from kzproxy.audit.schema import SignalRefusedRecord
from kzproxy.clock.system import Clock
from kzproxy.errors.kinds import ServiceUnavailable, TooManyRequests
from kzproxy.web.address_limits import AddressLimit, site

WRITTEN_PER_MINUTE = 30
ALL_WRITTEN_PER_MINUTE = 600
SHARE_WRITTEN_PER_MINUTE = 1
SUMMED_UP_SECONDS = 60.0

_MAX_SITES = 10_000
_OTHERS = ""

log = logging.getLogger(__name__)


class _LeftOut(msgspec.Struct, frozen=True, kw_only=True):
    number: int
    last: SignalRefusedRecord


class RefusedSignals:
    """Writes them down, for all that takes signals at one worker."""

    def __init__(self, decisions: DecisionLog, clock: Clock) -> None:
        self._decisions = decisions
        self._clock = clock
        self._left_out: dict[str, _LeftOut] = {}
        self._limit = AddressLimit(
            clock,
            what="signals that were refused",
            each_per_minute=WRITTEN_PER_MINUTE,
            all_per_minute=ALL_WRITTEN_PER_MINUTE,
            share_per_minute=SHARE_WRITTEN_PER_MINUTE,
        )

    async def note(self, record: SignalRefusedRecord) -> TooManyRequests | None:
        """Write one down, or that there was one more; in which case its sender is to wait.

        Raises:
            ServiceUnavailable: It cannot be written.
        """
        try:
            self._limit.take(record.address)
        except TooManyRequests as refusal:
            self._leave_out(site(record.address), _LeftOut(number=1, last=record))
            return refusal
        await self._decisions.record_signal(signal_record(record), durable=False)
        return None

    async def run(self) -> None:
        """Write down once a minute how many were left out, and at the end, until cancelled."""
        try:
            while True:
                await asyncio.sleep(SUMMED_UP_SECONDS)
                await self.sum_up()
        finally:
            await self.sum_up()

    async def sum_up(self) -> None:
        """Write down how many were left out since this was last called, by where they came from."""
        due, self._left_out = self._left_out, {}
        for place in list(due):
            try:
                await self._decisions.record_signal(self._summary(due[place]), durable=False)
            except ServiceUnavailable as error:
                log.warning("signals that were refused cannot be written: %s", error.detail)
                break
            del due[place]
        for place, left_out in due.items():
            self._leave_out(place, left_out)

    def _leave_out(self, place: str, more: _LeftOut) -> None:
        if place not in self._left_out and len(self._left_out) >= _MAX_SITES:
            place = _OTHERS
        before = self._left_out.get(place)
        number = more.number if before is None else before.number + more.number
        self._left_out[place] = _LeftOut(number=number, last=more.last)

    def _summary(self, left_out: _LeftOut) -> SignalRefusedRecord:
        return msgspec.structs.replace(
            left_out.last,
            ts=self._clock.now(),
            message=f"{left_out.number} more were refused; the last one: {left_out.last.message}",
            left_out=left_out.number,
        )
