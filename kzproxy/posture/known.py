"""What is known of a device at a moment, from the words of all its sources: pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from kzproxy.attributes.device import Checks, Fact
from kzproxy.posture.merge import Statement, merged
from kzproxy.posture.record import PostureRecord
from kzproxy.posture.settings import OS, PostureSettings

NEVER = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What is known of a device.

    Attributes:
        checks: As ``DevicePosture`` has them.
        os: As ``DevicePosture`` has it, like the next ones.
        os_version: The system's.
        observed_at: When the newest word was said.
        disputed: The checks that sources contradict each other about.
        drift: What of the machine is not as it was at first; empty where all is.
        until: When time alone may change it.
    """

    checks: Checks = ()
    os: str = ""
    os_version: str = ""
    observed_at: datetime | None = None
    disputed: tuple[str, ...] = ()
    drift: str = ""
    until: datetime = NEVER

    @property
    def substance(self) -> tuple[object, ...]:
        """What anybody is judged by, whenever it was said."""
        facts = tuple((name, result.fact, result.source) for name, result in self.checks)
        return facts, self.os, self.os_version, self.observed_at is None

    def fact(self, check: str) -> Fact:
        """Return what is known of one check."""
        return next((one.fact for name, one in self.checks if name == check), Fact.UNKNOWN)


NOTHING = Known()


def known(records: Sequence[PostureRecord], settings: PostureSettings, now: datetime) -> Known:
    """Put together what all sources say."""
    if not records:
        return NOTHING
    names = sorted({name for record in records for name in record.checks})
    found = {name: merged(_statements(name, records, settings), now) for name in names}
    system = _system(records, settings, now)
    return Known(
        checks=tuple((name, one.result) for name, one in found.items()),
        os="" if system is None else system.os,
        os_version="" if system is None else system.os_version,
        observed_at=max(record.observed_at for record in records),
        disputed=tuple(name for name, one in found.items() if one.is_disputed),
        drift=", ".join(record.drift for record in records if record.drift),
        until=min(_ends(records, settings, now), default=NEVER),
    )


def _statements(
    check: str, records: Iterable[PostureRecord], settings: PostureSettings
) -> list[Statement]:
    ttl = settings.ttl_of(check)
    return [
        Statement(
            source=record.source,
            rank=record.kind.rank,
            fact=record.checks[check].fact,
            observed_at=record.observed_at,
            expires_at=record.observed_at + ttl,
        )
        for record in records
        if check in record.checks
    ]


def _system(
    records: Iterable[PostureRecord], settings: PostureSettings, now: datetime
) -> PostureRecord | None:
    ttl = settings.ttl_of(OS)
    telling = [one for one in records if one.os and now < one.observed_at + ttl]
    return max(telling, key=lambda one: (one.kind.rank, one.observed_at), default=None)


def _ends(
    records: Sequence[PostureRecord], settings: PostureSettings, now: datetime
) -> list[datetime]:
    """Return when a word will be over that counts now."""
    ends = [record.observed_at + settings.ttl_of(OS) for record in records]
    ends += [
        record.observed_at + settings.ttl_of(name) for record in records for name in record.checks
    ]
    return [end for end in ends if end > now]
