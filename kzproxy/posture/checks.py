"""What is made of a device's report: facts, and marks of the machine. Pure."""

import hashlib
from collections.abc import Mapping
from datetime import datetime

import msgspec

from kzproxy.attributes.device import Fact
from kzproxy.posture.printable import printable
from kzproxy.posture.record import KeptCheck, PostureRecord
from kzproxy.posture.report import Report, ReportedCheck
from kzproxy.posture.settings import PostureSettings
from kzproxy.posture.source import SourceKind

SELF_SOURCE = SourceKind.SELF_KEY.value

PASSED_IF_SO = frozenset(
    {
        "auto_update",
        "disk_encrypted",
        "edr_running",
        "firewall",
        "lockdown",
        "managed",
        "screen_lock",
        "secure_boot",
        "sip",
    }
)
PASSED_IF_NOT = frozenset({"jailbroken", "reboot_pending"})
PATCH_AGE = "patch_age_days"
PATCHED = "patched"

REPORTED = PASSED_IF_SO | PASSED_IF_NOT | {PATCH_AGE}
"""The checks of a report that are read."""

_PASSED_OR_NOT = {True: Fact.PASSED, False: Fact.FAILED}


def self_record(
    report: Report,
    device_id: str,
    settings: PostureSettings,
    now: datetime,
    before: PostureRecord | None,
) -> PostureRecord:
    """Return what is kept of a report by an enrolled device.

    A device that says that it is another machine than at first has not told anything: its key may
    have been copied to where all is well.

    Args:
        report: Verified.
        device_id: Whose key signed it.
        settings: What passes.
        now: Aware, UTC.
        before: What was kept of the last one; None for the first.
    """
    first = {} if before is None else before.marks
    marks = _marks(report, device_id)
    drift = ", ".join(sorted(name for name in marks if first.get(name, marks[name]) != marks[name]))
    checks = _facts(report.checks, settings)
    if before is not None and not drift:
        checks = {**_still_told(before, settings, now), **checks}
    if drift:
        why = f"it says that it is another machine than at first ({drift})"
        checks = {name: KeptCheck(fact=Fact.UNKNOWN, why=why) for name in checks}
    return PostureRecord(
        device_id=device_id,
        source=SELF_SOURCE,
        kind=SourceKind.SELF_KEY,
        observed_at=now - report.age,
        checks=checks,
        os="" if drift else printable(report.system.id or report.system.platform),
        os_version="" if drift else printable(report.system.version),
        marks={**marks, **first},
        drift=drift,
    )


def _still_told(
    before: PostureRecord, settings: PostureSettings, now: datetime
) -> dict[str, KeptCheck]:
    """Return what was told before and is not too old: what a report leaves out it does not deny."""
    if before.drift:
        return {}
    return {
        name: msgspec.structs.replace(check, observed_at=before.observed(name))
        for name, check in before.checks.items()
        if now < before.observed(name) + settings.ttl_of(name)
    }


def _facts(checks: Mapping[str, ReportedCheck], settings: PostureSettings) -> dict[str, KeptCheck]:
    facts = {}
    for name, check in checks.items():
        kept = PATCHED if name == PATCH_AGE else name
        facts[kept] = KeptCheck(fact=_fact(name, check, settings), why=printable(check.why))
    return facts


def _fact(name: str, check: ReportedCheck, settings: PostureSettings) -> Fact:
    value = check.v
    if name == PATCH_AGE:
        return _patched(check, settings)
    if not isinstance(value, bool):
        return Fact.UNKNOWN
    if name in PASSED_IF_NOT:
        return _PASSED_OR_NOT[not value]
    if name == "screen_lock" and value:
        return _locked(check, settings)
    return _PASSED_OR_NOT[value]


def _patched(check: ReportedCheck, settings: PostureSettings) -> Fact:
    days = check.v
    if days is None or isinstance(days, bool):
        return Fact.UNKNOWN
    return _PASSED_OR_NOT[days <= settings.patch_days]


def _locked(check: ReportedCheck, settings: PostureSettings) -> Fact:
    if settings.screen_lock is None:
        return Fact.PASSED
    if check.max_s is None:
        return Fact.UNKNOWN
    return _PASSED_OR_NOT[check.max_s <= settings.screen_lock.total_seconds()]


def _marks(report: Report, device_id: str) -> dict[str, str]:
    """Return what a machine keeps for life; digests, because they are only compared."""
    known = {
        "platform": report.system.platform,
        "serial": report.hardware.serial,
        "machine": report.hardware.machine,
        "model": report.hardware.model,
    }
    return {
        name: hashlib.sha256(f"{device_id}\0{name}\0{value}".encode()).hexdigest()[:32]
        for name, value in known.items()
        if value
    }
