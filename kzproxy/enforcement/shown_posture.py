"""What is known of a device's state, for people to read."""

from collections.abc import Iterable
from datetime import datetime

import msgspec

from kzproxy.attributes.device import CheckResult, Fact
from kzproxy.posture.book import PostureBook
from kzproxy.posture.record import PostureRecord


class ShownCheck(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """One check: what is known, who says so and until when it counts."""

    name: str
    fact: str
    source: str
    observed_at: datetime
    expires_at: datetime
    why: str = ""


class ShownPosture(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """The state of a device."""

    observed_at: datetime
    checks: tuple[ShownCheck, ...]
    os: str = ""
    os_version: str = ""
    disputed: tuple[str, ...] = ()
    drift: str = ""


def shown_posture(book: PostureBook, device_id: str, now: datetime) -> ShownPosture | None:
    """Return what is known of a device; None where nobody has said anything."""
    known = book.known(device_id, now)
    if known.observed_at is None:
        return None
    records = book.records(device_id)
    return ShownPosture(
        observed_at=known.observed_at,
        checks=tuple(_shown(name, one, records, now) for name, one in known.checks),
        os=known.os,
        os_version=known.os_version,
        disputed=known.disputed,
        drift=known.drift,
    )


def _shown(
    name: str, result: CheckResult, records: Iterable[PostureRecord], now: datetime
) -> ShownCheck:
    return ShownCheck(
        name=name,
        fact=result.fact.value,
        source=result.source,
        observed_at=result.observed_at,
        expires_at=result.expires_at,
        why=_why(name, result, records, now),
    )


def _why(name: str, result: CheckResult, records: Iterable[PostureRecord], now: datetime) -> str:
    said = [(one.source, one.checks[name]) for one in records if name in one.checks]
    if ", " in result.source:
        return "; ".join(f"{source} says {check.fact.value}" for source, check in said)
    if result.fact is Fact.UNKNOWN and now >= result.expires_at:
        return "it was told too long ago"
    return next((check.why for source, check in said if source == result.source), "")
