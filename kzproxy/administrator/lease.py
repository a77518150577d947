"""How long a permit holds without being looked at again, and what a stream is told at its end."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from kzproxy.attributes.attributes import Attributes
from kzproxy.attributes.device import Fact
from kzproxy.errors.kinds import ProxyError
from kzproxy.policy.decision import Permit


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
        session_id: Whose.
        until: Aware; when it must be judged again.
    """

    __slots__ = ("_cut", "permit", "session_id", "until")

    def __init__(
        self, permit: Permit, session_id: str, until: datetime, cut: Callable[[Ending], None]
    ) -> None:
        self.permit = permit
        self.session_id = session_id
        self.until = until
        self._cut = cut

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
