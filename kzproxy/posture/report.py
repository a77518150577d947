"""A device's report of its own posture: a JWS (RFC 7515) over a nonce of kzproxy's.

``ES256`` by the client's key, with the header type ``kzproxy-posture+jwt``: what else the key signs
is no report, and a report is nothing else. What it says is the word of whoever has root on the
device, and so is whose word it says it is (``src``): that is not even read.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec
from msgspec import Meta

from kzproxy.jws.compact import NotSigned, signed_claims

REPORT_TYPE = "kzproxy-posture+jwt"

MAX_REPORT_CHARS = 16 * 1024
"""A report of kzproxy's own collectors has 3 KiB."""

CLOCK_SKEW = timedelta(seconds=60)

_MAX_CHECKS = 64
# What a collector says of itself may be older than the report, but is never used beyond this.
_MAX_AGE = timedelta(days=7)

Text = Annotated[str, Meta(max_length=256)]
Number = Annotated[int, Meta(ge=0, le=10**9)]


class ReportRefused(Exception):
    """A report that is not believed; the message says why, to the user whose device sent it."""


class ReportedCheck(msgspec.Struct, frozen=True, kw_only=True):
    """What a device says of one thing.

    Attributes:
        v: A truth, or a number of days; None where it does not know.
        why: How it knows, or why it does not.
        max_s: After how many seconds the screen locks.
    """

    v: bool | Number | None = None
    why: Text = ""
    max_s: Number | None = None


class ReportedSystem(msgspec.Struct, frozen=True, kw_only=True):
    """Which operating system a device says it has."""

    platform: Text
    id: Text = ""
    name: Text = ""
    version: Text = ""


class ReportedHardware(msgspec.Struct, frozen=True, kw_only=True):
    """Which machine a device says it is."""

    serial: Text | None = None
    model: Text | None = None
    machine: Text | None = None


class _Posture(msgspec.Struct, frozen=True, kw_only=True):
    schema: Literal["kzproxy.posture/v1"]
    collected_at: Annotated[datetime, Meta(tz=True)] | None = None
    os: ReportedSystem
    hardware: ReportedHardware = ReportedHardware()
    checks: Annotated[dict[Text, msgspec.Raw], Meta(max_length=_MAX_CHECKS)] = {}


class _Claims(msgspec.Struct, frozen=True, kw_only=True):
    aud: str
    nonce: str
    iat: Annotated[int, Meta(ge=0, le=2**33)]
    posture: _Posture


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a device said, and signed; that its nonce is fresh is still to be seen.

    Attributes:
        nonce: That it was made for.
        age: How long before it was signed it was collected.
        system: Which operating system.
        hardware: Which machine.
        checks: Those that kzproxy knows of, by name.
    """

    nonce: str = field(repr=False)
    age: timedelta
    system: ReportedSystem
    hardware: ReportedHardware
    checks: Mapping[str, ReportedCheck]


def verified_report(
    report: str,
    key: ec.EllipticCurvePublicKey,
    *,
    audience: str,
    now: datetime,
    names: frozenset[str],
) -> Report:
    """Return what a report says that ``key`` signed for ``audience`` at about ``now``.

    Args:
        report: The compact form.
        key: Of the client that sent it; it is not looked for in the report.
        audience: The sign-in URL.
        now: Aware, UTC.
        names: Of the checks that are read; others are passed over.

    Raises:
        ReportRefused: It is none.
    """
    claims = _signed(report, key)
    if claims.aud != audience:
        raise ReportRefused(f"it is for {claims.aud[:256]!r}, not for {audience}")
    issued_at = datetime.fromtimestamp(claims.iat, UTC)
    if abs(now - issued_at) > CLOCK_SKEW:
        raise ReportRefused(
            f"it was made at {issued_at:%Y-%m-%dT%H:%M:%SZ} and here it is"
            f" {now:%Y-%m-%dT%H:%M:%SZ}; compare the clocks"
        )
    return Report(
        nonce=claims.nonce,
        age=_age(claims.posture, issued_at),
        system=claims.posture.os,
        hardware=claims.posture.hardware,
        checks=_checks(claims.posture.checks, names),
    )


def _signed(report: str, key: ec.EllipticCurvePublicKey) -> _Claims:
    try:
        return signed_claims(
            report, key, header_type=REPORT_TYPE, claims=_Claims, max_chars=MAX_REPORT_CHARS
        )
    except NotSigned as error:
        raise ReportRefused(str(error)) from error


def _age(posture: _Posture, issued_at: datetime) -> timedelta:
    # Both times are by the device's clock, so their difference is right where that is wrong.
    if posture.collected_at is None:
        return timedelta(0)
    return min(max(issued_at - posture.collected_at, timedelta(0)), _MAX_AGE)


def _checks(said: Mapping[str, msgspec.Raw], names: frozenset[str]) -> dict[str, ReportedCheck]:
    try:
        return {
            name: msgspec.json.decode(raw, type=ReportedCheck)
            for name, raw in said.items()
            if name in names
        }
    except (msgspec.MsgspecError, RecursionError) as error:
        raise ReportRefused(f"a check of it cannot be read: {error}") from error
