"""What users are told before access ends by the clock, so that it does not surprise them."""

from datetime import datetime, timedelta

from kzproxy.policy.decision import Permit

WARNED_BEFORE = timedelta(minutes=5)


def known_end(permit: Permit, now: datetime) -> str:
    """Return a line for the user where access ends before long; empty where none is known to.

    Told are ends that nothing brings forward by itself: that of the session, and that of a time
    window of policy. A token, a certificate and a posture report are renewed without the user.

    Args:
        permit: Of the request.
        now: Aware, UTC.
    """
    subject, until = permit.attributes.subject, permit.valid_until
    if subject.is_session and subject.expires_at - now <= WARNED_BEFORE:
        return f"your session ends in {_in_words(subject.expires_at - now)}; run `kzproxy login`"
    if until is None or until - now > WARNED_BEFORE or not _is_of_a_window(until):
        return ""
    return f"rule {permit.rule} permits this for {_in_words(until - now)} more"


def _is_of_a_window(until: datetime) -> bool:
    """Whether it is a calendar's.

    They turn at whole minutes, and ages hardly ever do. Nor does the moment at which a calendar is
    to be looked at again, which is no end (``span_at``).
    """
    return until.second == 0 and until.microsecond == 0


def _in_words(left: timedelta) -> str:
    minutes, seconds = divmod(max(0, int(left.total_seconds())), 60)
    return f"{minutes}m{seconds:02}s" if minutes else f"{seconds}s"
