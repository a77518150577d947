"""How long a permit holds without being looked at again, and what a stream is told at its end."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from types import TracebackType

from kzproxy.attributes.attributes import Attributes
from kzproxy.attributes.device import Fact
from kzproxy.attributes.identity import ExtraValues
from kzproxy.errors.kinds import ProxyError
from kzproxy.policy.decision import Permit

# A session and, of its caller, all that is sent to kube-apiserver.
Caller = tuple[str, str, frozenset[str], str, ExtraValues]


class EndCause(StrEnum):
    """Why kzproxy ended a stream; a closed set for log and metrics."""

    CREDENTIAL = "credential-ended"
    POLICY = "no-longer-permitted"
    DRAIN = "drain"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """Why a stream ends, and the Status its client is told."""

    cause: EndCause
    error: ProxyError


class Lease:
    """Leave for one request to go on.

    Attributes:
        permit: What it rests on; renewed when it is judged again.
        caller: Whose.
        until: Aware; when it must be judged again.
    """

    __slots__ = ("_cut", "_live", "caller", "permit", "until")

    def __init__(
        self,
        permit: Permit,
        caller: Caller,
        until: datetime,
        cut: Callable[[Ending], None],
        live: "set[Lease]",
    ) -> None:
        """Begin outside of ``live``, which the lease leaves at the end of its block."""
        self.permit = permit
        self.caller = caller
        self.until = until
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
        self._live.discard(self)

    def end(self, ending: Ending) -> None:
        """Have the stream cut; does not wait for it."""
        self._cut(ending)


def lease_end(permit: Permit, credential_end: datetime) -> datetime:
    """Return when the earliest thing that ``permit`` rests on ends."""
    ends = [credential_end]
    if permit.valid_until is not None:
        ends.append(permit.valid_until)
    device = permit.attributes.device
    if device.enrolled is Fact.PASSED and device.expires_at is not None:
        ends.append(device.expires_at)
    return min(ends)


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
    return replace(attributes, device=device, environment=environment)
