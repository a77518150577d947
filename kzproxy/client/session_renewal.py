"""What is kept of an answer of kzproxy's sign-in, and when its successor is fetched."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Self

from kzproxy.client.device_files import certificate_validity
from kzproxy.client.held_session import HeldSession
from kzproxy.client.session_grant import SessionGrant

RENEWED_BEFORE_END = timedelta(seconds=60)

# An issuer dates a certificate back a little, for clocks that differ; not by more of its life.
_FRESH = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoints:
    """Those that are kept with a session, so that a renewal is one request.

    Attributes:
        token: https.
        revocation: https, or empty.
        nonce: https, or empty.
    """

    token: str
    revocation: str
    nonce: str

    @classmethod
    def of(cls, session: HeldSession) -> Self:
        """Return those of a session that is kept."""
        return cls(
            token=session.token_endpoint,
            revocation=session.revocation_endpoint,
            nonce=session.nonce_endpoint,
        )


def refresh_at(grant: SessionGrant, now: datetime) -> int:
    """Return from which second on the next token is fetched."""
    return int((now + grant.life - min(RENEWED_BEFORE_END, grant.life / 2)).timestamp())


def held_session(
    grant: SessionGrant,
    endpoints: Endpoints,
    shown: str,
    now: datetime,
    before: HeldSession | None,
) -> HeldSession:
    """Return the session as it is kept.

    Args:
        grant: The answer.
        endpoints: Of the next renewal.
        shown: The certificate that the request came with, PEM: the token is bound to it, unless
            the answer has a new one.
        now: When the answer came.
        before: The session as it was, at a renewal.
    """
    seconds = int(now.timestamp())
    certificate = grant.certificate or shown
    if grant.certificate:
        begins_at, ends_at = _by_this_clock(certificate, seconds)
    elif before is not None and before.certificate == certificate:
        begins_at, ends_at = before.certificate_begins_at, before.certificate_ends_at
    else:
        begins_at, ends_at = certificate_validity(certificate)
    return HeldSession(
        id=grant.session_id,
        username=grant.username or (before.username if before else ""),
        token=grant.token,
        suspected_at=before.suspected_at if before else 0,
        ends_at=int(grant.session_ends_at.timestamp()),
        certificate=certificate,
        certificate_begins_at=begins_at,
        certificate_ends_at=ends_at,
        token_endpoint=endpoints.token,
        revocation_endpoint=endpoints.revocation,
        nonce_endpoint=endpoints.nonce,
        nonce=grant.nonce,
        nonce_at=seconds,
        posture_error=grant.posture_error,
    )


def _by_this_clock(certificate: str, now_seconds: int) -> tuple[int, int]:
    """Return between which seconds a certificate that was issued just now holds.

    Where this machine's clock is far from the server's, its length counts from now: else a clock
    that is ahead would have us ask for another certificate at each renewal.
    """
    begins_at, ends_at = certificate_validity(certificate)
    life = ends_at - begins_at
    if begins_at <= now_seconds <= begins_at + life * _FRESH:
        return begins_at, ends_at
    return now_seconds, now_seconds + life
