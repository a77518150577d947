"""Writing down what a source says of a device: in the decision log first where it changes much."""

from kzproxy.attributes.device import Fact
from kzproxy.audit.events import Event, EventLog
from kzproxy.clock.system import Clock
from kzproxy.posture.book import PostureBook
from kzproxy.posture.known import Known
from kzproxy.posture.metrics import PostureCounts
from kzproxy.posture.record import KIND, PostureRecord, posture_put
from kzproxy.store.following import Following
from kzproxy.store.store import Delete

EVENT = "device.posture"


class PostureKeeper:
    """Keeps words of sources; once one is kept, the book here has it.

    Attributes:
        counts: Of this worker, for all who bring something.
    """

    def __init__(
        self,
        following: Following,
        book: PostureBook,
        events: EventLog,
        counts: PostureCounts,
        clock: Clock,
    ) -> None:
        self._following = following
        self._book = book
        self._events = events
        self.counts = counts
        self._clock = clock

    async def keep(self, record: PostureRecord, session: str = "") -> None:
        """Keep a word in place of the same source's last one.

        Args:
            record: The word.
            session: Id of the session that it came in; empty where in none.

        Raises:
            ServiceUnavailable: It cannot be written down.
        """
        now = self._clock.now()
        before = self._book.known(record.device_id, now)
        after = self._book.known_with(record, now)
        if _is_news(before, after):
            await self._events.record_event(_event(record, before, after, session))
            self._count(before, after)
        await self._following.write(posture_put(record))

    async def drop(self, device_id: str, source: str) -> None:
        """Have a source say nothing more of a device.

        Raises:
            ServiceUnavailable: It cannot be written down.
        """
        record = self._book.record(device_id, source)
        if record is not None:
            await self._following.write(Delete(kind=KIND, key=record.key))

    async def forget(self, device_id: str) -> None:
        """Keep nothing more of a device.

        Raises:
            ServiceUnavailable: It cannot be written down.
        """
        gone = [Delete(kind=KIND, key=one.key) for one in self._book.records(device_id)]
        if gone:
            await self._following.write(*gone)

    def _count(self, before: Known, after: Known) -> None:
        self.counts.changes += 1
        self.counts.disputes += len(set(after.disputed) - set(before.disputed))
        self.counts.drifts += bool(after.drift and after.drift != before.drift)


def _is_news(before: Known, after: Known) -> bool:
    return (
        before.substance != after.substance
        or before.disputed != after.disputed
        or before.drift != after.drift
    )


def _event(record: PostureRecord, before: Known, after: Known, session: str) -> Event:
    details = {
        "changed": ", ".join(_changes(before, after)),
        "disputed": ", ".join(after.disputed),
        "drift": after.drift,
    }
    return Event(
        name=EVENT,
        by=record.source,
        session=session,
        device_id=record.device_id,
        message=_message(record, before, after),
        details={name: text for name, text in details.items() if text},
    )


def _message(record: PostureRecord, before: Known, after: Known) -> str:
    if record.drift and not before.drift:
        return f"the device says that it is another machine than at first ({record.drift})"
    new = [name for name in after.disputed if name not in before.disputed]
    if new:
        return f"sources contradict each other about {', '.join(new)}"
    return "what is known of the device has changed"


def _changes(before: Known, after: Known) -> list[str]:
    names = sorted({name for name, _ in (*before.checks, *after.checks)})
    facts = [(name, before.fact(name), after.fact(name)) for name in names]
    changes = [f"{name} {was} -> {now}" for name, was, now in facts if was is not now]
    system = (f"{before.os} {before.os_version}".strip(), f"{after.os} {after.os_version}".strip())
    if system[0] != system[1]:
        changes.append(f"os {system[0] or Fact.UNKNOWN} -> {system[1] or Fact.UNKNOWN}")
    return changes
