"""How long a permit holds without being looked at again, and what a stream is told at its end."""

from collections.abc import Callable
from datetime import datetime, timedelta
from enum import StrEnum
from types import TracebackType
from typing import TYPE_CHECKING, NamedTuple

import msgspec
from msgspec.structs import replace

from kzproxy.attributes.attributes import Attributes
from kzproxy.attributes.device import Fact
from kzproxy.attributes.identity import ExtraValues, Identity
from kzproxy.errors.kinds import Forbidden, ProxyError, Unauthenticated
from kzproxy.policy.decision import Dependency, Permit
from kzproxy.policy.obligations import Obligations

if TYPE_CHECKING:
    from kzproxy.administrator.live import LiveLeases

# A session and, of its caller, all that is sent to kube-apiserver, and how they signed in.
Caller = tuple[str, str, frozenset[str], str, ExtraValues, str, frozenset[str]]


class EndCause(StrEnum):
    """Why kzproxy ended a stream; a closed set for log and metrics."""

    CREDENTIAL = "credential-ended"
    SESSION = "session-ended"
    DEVICE = "device-refused"
    IDENTITY = "identity-changed"
    POLICY = "no-longer-permitted"
    MAX_SESSION = "max-session"
    IDLE = "idle"
    DRAIN = "drain"


class Ending(msgspec.Struct, frozen=True, kw_only=True):
    """Why a stream ends, and the Status its client is told; ``rule`` is empty where it is none."""

    cause: EndCause
    error: ProxyError
    rule: str = ""


class Ended(Exception):
    """Something that runs must end."""

    def __init__(self, ending: Ending) -> None:
        super().__init__(ending.error.message)
        self.ending = ending


class Lease:
    """Leave for one request to go on.

    Attributes:
        permit: What it rests on; renewed when it is judged again.
        caller: Whose.
        device_id: Of the device that it began on; may be empty.
        device_key: SHA-256 of the key of the certificate that it began with; may be empty.
        until: Aware; when it must be judged again.
    """

    __slots__ = (
        "_began",
        "_began_at",
        "_bounds",
        "_cut",
        "_live",
        "_monotonic",
        "caller",
        "device_id",
        "device_key",
        "permit",
        "until",
    )

    def __init__(
        self,
        permit: Permit,
        caller: Caller,
        began: datetime,
        cut: Callable[[Ending], None],
        live: "LiveLeases",
        monotonic: Callable[[], float],
    ) -> None:
        """Begin at ``began``, outside of ``live``, which the lease leaves at the end of its block.

        ``monotonic`` is a clock's, in seconds.
        """
        self.permit = permit
        self.caller = caller
        self.device_id = permit.attributes.device.device_id
        self.device_key = permit.attributes.device.key_thumbprint
        self.until = began
        self._began = began
        self._began_at = monotonic()
        self._monotonic = monotonic
        self._bounds: Bounds | None = None
        self._cut = cut
        self._live = live

    def __enter__(self) -> "Lease":
        """Return the lease; it is live already."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Have it forgotten: its request has come to its end."""
        self.leave()

    def leave(self) -> None:
        """Do as the end of its block does."""
        self._live.discard(self)

    @property
    def bounds(self) -> "Bounds":
        """How long it may last at all, and how long without anything moving."""
        if self._bounds is None:
            self._bounds = Bounds(self._began, self._began_at, self._monotonic)
        return self._bounds

    def rest_on(self, permit: Permit, until: datetime, now: datetime) -> None:
        """Rest on ``permit``, ``until`` then, and on the tightest bounds of all permits so far."""
        self.permit, self.until = permit, until
        obligations = permit.obligations
        if self._bounds is None and obligations.max_session is None and obligations.idle is None:
            return  # As nearly always.
        bounds = self.bounds
        bounds.tighten(obligations, permit.rule)
        end = bounds.end(now)
        if end is not None and end < until:
            self.until = end

    @property
    def session_id(self) -> str:
        """Of its caller's session."""
        return self.caller[0]

    @property
    def user(self) -> tuple[str, str]:
        """Issuer and subject of its caller."""
        subject = self.permit.attributes.subject
        return subject.issuer, subject.subject

    def rests_on_labels_of(self, namespaces: frozenset[str]) -> bool:
        """Whether its permit hangs on the labels of one of these namespaces."""
        request = self.permit.attributes.request
        rests = Dependency.NAMESPACE in self.permit.depends_on
        return rests and (not request.namespace or request.namespace in namespaces)

    def end(self, ending: Ending) -> None:
        """Have the stream cut; does not wait for it."""
        self._cut(ending)


class Bounds:
    """What the obligations of its permits set to one request, whatever else renews its lease.

    When it is judged again, another rule may permit it: the tighter bound stays.
    """

    __slots__ = ("_began", "_began_at", "_idle", "_max_session", "_monotonic", "_moved")

    def __init__(self, began: datetime, began_at: float, monotonic: Callable[[], float]) -> None:
        """Begin to count at ``began``, and ``began_at`` by ``monotonic``, a clock's, in seconds."""
        self._began = began
        self._began_at = began_at
        self._monotonic = monotonic
        self._moved = 0.0
        self._max_session: _Bound | None = None
        self._idle: _Bound | None = None

    @property
    def may_idle_out(self) -> bool:
        """Whether ``moved`` need be told."""
        return self._idle is not None

    def moved(self) -> None:
        """Note that something has moved just now."""
        self._moved = self._monotonic()

    def tighten(self, obligations: Obligations, rule: str) -> None:
        """Set what ``obligations`` ask for, where that is tighter."""
        if obligations.max_session is None and obligations.idle is None:
            return
        self._max_session = _tighter(self._max_session, obligations.max_session, rule)
        if self._idle is None:
            # A stream that began under no such bound is not followed: it may go on for that long.
            self.moved()
        self._idle = _tighter(self._idle, obligations.idle, rule)

    def end(self, now: datetime) -> datetime | None:
        """Return when the earlier of the two is reached, if nothing moves until then."""
        if self._max_session is None and self._idle is None:
            return None
        ends: list[datetime] = []
        if self._max_session is not None:
            ends.append(now + self._max_session.duration - self._lasted(now))
        if self._idle is not None:
            ends.append(now + self._idle.duration - self._idle_for())
        return min(ends, default=None)

    def ending(self, now: datetime) -> Ending | None:
        """Return why the request must end at ``now``, if one is reached."""
        longest, idle = self._max_session, self._idle
        if longest is not None and self._lasted(now) >= longest.duration:
            return _reached(EndCause.MAX_SESSION, "it has lasted", longest)
        if idle is not None and self._idle_for() >= idle.duration:
            return _reached(EndCause.IDLE, "nothing has moved for", idle)
        return None

    def _lasted(self, now: datetime) -> timedelta:
        # By the clock that says more: one is set back, the other stands still while a host sleeps.
        return max(now - self._began, timedelta(seconds=self._monotonic() - self._began_at))

    def _idle_for(self) -> timedelta:
        return timedelta(seconds=self._monotonic() - self._moved)


class _Bound(NamedTuple):
    duration: timedelta
    rule: str


def _tighter(bound: _Bound | None, duration: timedelta | None, rule: str) -> _Bound | None:
    if duration is None or (bound is not None and bound.duration <= duration):
        return bound
    return _Bound(duration, rule)


def _reached(cause: EndCause, what: str, bound: _Bound) -> Ending:
    message = (
        f"access ended by kzproxy: {what} {_words(bound.duration)}, as long as rule {bound.rule}"
        " allows; start it again"
    )
    return Ending(cause=cause, error=Forbidden(message), rule=bound.rule)


def lease_end(permit: Permit, credential_end: datetime) -> datetime:
    """Return when the earliest thing that ``permit`` rests on ends."""
    end, until = credential_end, permit.valid_until
    if until is not None and until < end:
        end = until
    device = permit.attributes.device
    until = device.expires_at
    if until is not None and device.enrolled is Fact.PASSED and until < end:
        end = until
    until = permit.attributes.environment.reason_ends_at
    if until is not None and until < end:
        rests_on_reason = Dependency.REASON in permit.depends_on or permit.obligations.reason
        end = until if rests_on_reason else end
    return end


def caller_of(subject: Identity, session_id: str) -> Caller:
    """Return what a caller's requests have in common, for as long as nothing of it changes."""
    groups = frozenset(subject.groups)
    # A session may go on with a weaker sign-in; that must not prolong what a strong one began.
    strength = subject.authentication_class, frozenset(subject.authentication_methods)
    return session_id, subject.username, groups, subject.uid, subject.extra, *strength


def as_impersonated(before: Identity, present: Identity) -> Identity:
    """Return ``present`` as far as a request goes on that runs as ``before`` at kube-apiserver.

    Groups that were added since are not its own: it must be sent again to have them.

    Raises:
        Unauthenticated: It runs as somebody who its caller no longer is.
    """
    if present is before:
        return before
    lost = sorted(set(before.groups) - set(present.groups))
    others = (before.username, before.uid, before.extra) != (
        present.username,
        present.uid,
        present.extra,
    )
    if lost or others:
        what = f"you are no longer in {', '.join(lost)}" if lost else "you are known as another"
        raise Unauthenticated(f"access ended by kzproxy: {what}; start it again as you are now")
    return present if present.groups == before.groups else replace(present, groups=before.groups)


def aged(attributes: Attributes, now: datetime) -> Attributes:
    """Return the same facts as they stand at ``now``: a device certificate may have ended."""
    device = attributes.device
    if device.expires_at is not None and device.expires_at <= now:
        device = replace(
            device,
            enrolled=Fact.FAILED,
            device_id="",
            reason="the device certificate has expired; enrol the device again",
        )
    environment = replace(attributes.environment, received_at=now)
    if environment.reason_ends_at is not None and environment.reason_ends_at <= now:
        environment = replace(environment, reason="", reason_ends_at=None)
    return replace(attributes, device=device, environment=environment)


def _words(duration: timedelta) -> str:
    """Write a duration as policies do."""
    left, parts = int(duration.total_seconds()), ""
    for seconds, unit in ((86400, "d"), (3600, "h"), (60, "m"), (1, "s")):
        count, left = divmod(left, seconds)
        parts += f"{count}{unit}" if count else ""
    return parts
