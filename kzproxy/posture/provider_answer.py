"""What is read out of a provider's answer about a device: pure."""

from datetime import UTC, datetime, timedelta

from kzproxy.attributes.device import Fact
from kzproxy.posture.pointer import MISSING, found_at
from kzproxy.posture.printable import printable
from kzproxy.posture.record import KeptCheck, PostureRecord
from kzproxy.posture.settings import MappedCheck, ProviderSettings, Scalar

_MAX_TEXT_CHARS = 128
# Some tell of milliseconds since 1970; no device was seen in the year 5000.
_MAX_SECONDS = 10**11


def provider_record(
    document: object, device_id: str, provider: ProviderSettings, now: datetime
) -> PostureRecord:
    """Return what is kept of a provider's answer.

    Args:
        document: The JSON.
        device_id: Whom was asked about.
        provider: Says where what stands.
        now: When it was asked; aware, UTC.
    """
    return PostureRecord(
        device_id=device_id,
        source=provider.name,
        kind=provider.kind,
        observed_at=_observed_at(document, provider.observed_at, now),
        checks={name: _check(document, mapped) for name, mapped in provider.checks},
        os=_text(document, provider.os),
        os_version=_text(document, provider.os_version),
    )


def _check(document: object, mapped: MappedCheck) -> KeptCheck:
    value = found_at(document, mapped.pointer)
    if value is MISSING:
        return KeptCheck(fact=Fact.UNKNOWN, why=f"the answer has no {mapped.pointer}")
    if _is_one_of(value, mapped.passed):
        return KeptCheck(fact=Fact.PASSED)
    if _is_one_of(value, mapped.failed):
        return KeptCheck(fact=Fact.FAILED)
    return KeptCheck(
        fact=Fact.UNKNOWN, why=f"{mapped.pointer} is none of the values that are known"
    )


def _is_one_of(value: object, known: tuple[Scalar, ...]) -> bool:
    # To Python, True is 1.
    return any(type(value) is type(one) and value == one for one in known)


def _observed_at(document: object, pointer: str, now: datetime) -> datetime:
    """Return when the provider knew; what it does not say is as old as can be."""
    if not pointer:
        return now
    value = found_at(document, pointer)
    at = _moment(value)
    # From the future: our clock counts.
    return min(at, now)


def _moment(value: object) -> datetime:
    never = datetime.fromtimestamp(0, UTC)
    try:
        if isinstance(value, str):
            at = datetime.fromisoformat(value)
            return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
        if isinstance(value, int | float) and not isinstance(value, bool):
            seconds = value / 1000 if value > _MAX_SECONDS else value
            return never + timedelta(seconds=seconds)
    except (ValueError, OverflowError):
        return never
    return never


def _text(document: object, pointer: str) -> str:
    value = found_at(document, pointer) if pointer else MISSING
    return printable(value[:_MAX_TEXT_CHARS]) if isinstance(value, str) else ""
