"""What is known of a device at a moment, from the words of all its sources: pure."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

import msgspec

from kzproxy.attributes.device import Checks, Fact
from kzproxy.posture.merge import Statement, merged
from kzproxy.posture.record import PostureRecord
from kzproxy.posture.settings import OS, PostureSettings

NEVER = datetime.max.replace(tzinfo=UTC)


class Known(msgspec.Struct, frozen=True, kw_only=True):
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
        facts = tuple(
            (name, result.fact, result.source)
            for name, result in self.checks
            if result.fact is not Fact.UNKNOWN
        )
        return facts, self.os, self.os_version, self.observed_at is None

    def fact(self, check: str) -> Fact:
        """Return what is known of one check."""
        return next((one.fact for name, one in self.checks if name == check), Fact.UNKNOWN)


NOTHING = Known()


def known(records: Sequence[PostureRecord], settings: PostureSettings, now: datetime) -> Known:
    """Put together what all sources say."""
    if not records:
        return NOTHING
    statements = _statements(records, settings)
    found = {name: merged(statements[name], now) for name in sorted(statements)}
    system = _system(records, settings, now)
    ends = [one.expires_at for each in statements.values() for one in each]
    ends += [record.observed_at + settings.ttl_of(OS) for record in records]
    return Known(
        checks=tuple((name, one.result) for name, one in found.items()),
        os="" if system is None else system.os,
        os_version="" if system is None else system.os_version,
        observed_at=max(record.observed_at for record in records),
        disputed=tuple(name for name, one in found.items() if one.is_disputed),
        drift=", ".join(record.drift for record in records if record.drift),
        until=min((end for end in ends if end > now), default=NEVER),
    )


def _statements(
    records: Iterable[PostureRecord], settings: PostureSettings
) -> dict[str, list[Statement]]:
    """Return what is said of each check."""
    statements: dict[str, list[Statement]] = {}
    for record in records:
        rank = record.kind.rank
        for name, check in record.checks.items():
            observed_at = check.observed_at or record.observed_at
            statement = Statement(
                source=record.source,
                rank=rank,
                fact=check.fact,
                observed_at=observed_at,
                expires_at=observed_at + settings.ttl_of(name),
            )
            statements.setdefault(name, []).append(statement)
    return statements


def _system(
    records: Iterable[PostureRecord], settings: PostureSettings, now: datetime
) -> PostureRecord | None:
    """Return the record of the best source that knows the operating system."""
    ttl = settings.ttl_of(OS)
    telling = [one for one in records if one.os and now < one.observed_at + ttl]
    return max(telling, key=lambda one: (one.kind.rank, one.observed_at), default=None)
