"""When a session holds no longer, and what its user is told."""

from datetime import datetime

import msgspec

from kzproxy.administrator.session import SessionEnd, SessionRecord, SessionSettings

SIGN_IN_AGAIN = "sign in again with `kzproxy login`"
ENDED = f"the session has ended; {SIGN_IN_AGAIN}"


def holds_until(record: SessionRecord, settings: SessionSettings) -> datetime:
    """Return when ``record`` holds no longer if nothing is heard until then."""
    if record.ended_at is not None:
        return record.ended_at
    return min(
        record.ends_at,
        record.seen_at + settings.idle,
        record.verified_at + settings.reverify + settings.grace,
    )


def why_over(record: SessionRecord, settings: SessionSettings, now: datetime) -> str:
    """Return why ``record`` does not hold at ``now``, with the mend; empty where it holds."""
    if record.ended_at is not None:
        said = record.end_message or _WORDS.get(record.end_cause, "it was ended")
        return f"the session was ended: {said}; {SIGN_IN_AGAIN}"
    if now >= record.ends_at:
        return f"the session has lasted as long as one may; {SIGN_IN_AGAIN}"
    if now >= record.seen_at + settings.idle:
        return f"the session was not used for {settings.idle}; {SIGN_IN_AGAIN}"
    # Also where it is so far ahead: the clock was set back, and nobody can tell when that was.
    if abs(now - record.verified_at) >= settings.reverify + settings.grace:
        return (
            f"the identity provider {record.issuer} could not be asked since"
            f" {record.verified_at:%Y-%m-%dT%H:%M:%SZ} whether this session still holds;"
            " try again later"
        )
    return ""


def end_of(
    record: SessionRecord, cause: SessionEnd, message: str, by: str, now: datetime
) -> SessionRecord:
    """Return ``record`` ended, without the secrets that nobody needs any more."""
    return msgspec.structs.replace(
        record,
        ended_at=now,
        end_cause=cause.value,
        end_message=message,
        ended_by=by,
        refresh=b"",
        renewal_digest="",
        renewal_before="",
    )


_WORDS: dict[str, str] = {
    SessionEnd.SIGNED_OUT: "you signed out",
    SessionEnd.REVOKED: "an administrator revoked it",
    SessionEnd.DISABLED: "the identity provider no longer confirms it",
    SessionEnd.SIGNAL: "the identity provider ended it",
    SessionEnd.DEVICE: "its device may no longer be used",
    SessionEnd.EVICTED: "you signed in more often than you may be signed in at once",
}
