"""What is known of one request while it is served, for the decision log and the answer."""

import os
from datetime import datetime

import msgspec

from kzproxy.administrator.lease import EndCause, Ending
from kzproxy.attributes.device import DevicePosture
from kzproxy.attributes.environment import NOWHERE, Place
from kzproxy.attributes.identity import Identity
from kzproxy.attributes.request_info import RequestInfo
from kzproxy.audit.records import Arrival, Caller, Outcome
from kzproxy.audit.schema import Cut, DecisionRecord, ShadowAnswer, Termination, Verdict
from kzproxy.http.messages import RequestHead
from kzproxy.policy.decision import Permit
from kzproxy.transport.peer import Peer


class Case(msgspec.Struct, kw_only=True):
    """One request's facts, filled in as they become known.

    A struct, since one is made for each request; see ``policy.decision``.

    Attributes:
        audit_id: Ours, sent to kube-apiserver as ``Audit-ID`` and told to the client.
        received_at: Aware, UTC.
        started: Monotonic seconds.
        place: Where in the world the peer is.
        recorded: Whether what was decided on it stands in the log, or was tried to be put there for
            the last time.
        owes_outcome: Whether what stands there is a permit, so that its end must follow.
        permit: What it was permitted, once that stands in the log.
        is_own: Whether it is for an endpoint of kzproxy's own, and that stands in the log.
        shadow: What a shadow policy would have answered otherwise.
        termination: How it ended.
        status_code: What was answered; None before.
        ended_because: In words, where the termination does not say all.
        ending: Why kzproxy ended it before its time, if it did.
        cut_at: Monotonic seconds; when nothing was passed on any more.
    """

    audit_id: str
    peer: Peer
    received_at: datetime
    started: float
    place: Place = NOWHERE
    request: RequestHead | None = None
    info: RequestInfo | None = None
    identity: Identity | None = None
    device: DevicePosture | None = None
    session_id: str = ""
    recorded: bool = False
    owes_outcome: bool = False
    permit: Permit | None = None
    shadow: ShadowAnswer | None = None
    is_own: bool = False
    termination: Termination = Termination.NORMAL
    status_code: int | None = None
    ended_because: str = ""
    ending: Ending | None = None
    cut_at: float = 0.0
    bytes_before: tuple[int, int] = (0, 0)

    @property
    def arrival(self) -> Arrival:
        """The request as it came in."""
        request = self.request
        return Arrival(
            audit_id=self.audit_id,
            received_at=self.received_at,
            source_address=self.peer.address,
            source_port=self.peer.port,
            via=self.peer.via,
            place=self.place,
            method=request.method if request else "",
            target=request.target if request else "",
            user_agent=_first(request, "user-agent"),
            client_audit_id=_first(request, "audit-id"),
        )

    @property
    def caller(self) -> Caller:
        """The caller, as far as it is known."""
        return Caller(
            identity=self.identity,
            session_id=self.session_id,
            device=self.device,
            request=self.info,
        )

    def stands(self, record: DecisionRecord) -> None:
        """Note that ``record`` is in the log."""
        self.recorded = True
        self.owes_outcome = record.decision is Verdict.PERMIT

    def stands_permitted(self) -> None:
        """Note that the record of a permit is in the log."""
        self.recorded = self.owes_outcome = True

    def end_by(self, ending: Ending, now: float) -> None:
        """Note that kzproxy ends it; ``now`` is in monotonic seconds."""
        self.ending, self.cut_at = ending, now
        is_drain = ending.cause is EndCause.DRAIN
        self.termination = Termination.DRAINED if is_drain else Termination.POLICY_CUT
        self.ended_because = ending.error.message

    def outcome(self, now: float, bytes_in: int, bytes_out: int) -> Outcome:
        """Return how it ended; the bytes are the connection's since the request began."""
        return Outcome(
            termination=self.termination,
            status_code=self.status_code,
            bytes_in=bytes_in - self.bytes_before[0],
            bytes_out=bytes_out - self.bytes_before[1],
            seconds=now - self.started,
            message=self.ended_because,
            cut=None if self.ending is None else self._cut(self.ending, now),
        )

    def _cut(self, ending: Ending, now: float) -> Cut:
        took_ms = round((now - self.cut_at) * 1000, 3)
        return Cut(cause=ending.cause.value, rule=ending.rule, took_ms=took_ms)


def new_audit_id() -> str:
    """Return a random UUID (RFC 9562 section 5.4); a third of what ``uuid.uuid4`` takes."""
    digits = os.urandom(16).hex()
    variant = "89ab"[int(digits[16], 16) & 3]
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"


def _first(request: RequestHead | None, name: str) -> str:
    values = request.values(name) if request is not None else []
    return values[0] if values else ""
