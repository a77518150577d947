"""What follows from who calls, from where and with which device: found out once, and kept.

The same for each request of a caller, and dearer to find out than the rest of a request together.
A standing is used again only while everything it rests on is as it was: the same header block, the
same address and device posture, a token that still holds as the very same identity, and the same
credential of our own.
"""

from dataclasses import dataclass, field

from kzproxy.attributes.device import DevicePosture
from kzproxy.attributes.environment import IPAddress
from kzproxy.attributes.identity import Identity
from kzproxy.attributes.request_info import RequestInfo
from kzproxy.audit.records import RecordedCaller
from kzproxy.audit.schema import DecisionRecord
from kzproxy.http.encode import EncodedHeaders
from kzproxy.http.messages import Headers
from kzproxy.policy.decision import Permit

# Two or three for each user under way; about 10 KB each, and their permits.
MAX_STANDINGS = 2048
# What one client asks for again and again: k9s about forty, a controller about a hundred.
MAX_PERMITS = 256

StandingKey = tuple[Headers, IPAddress, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A caller, with all that is the same for its requests.

    Attributes:
        token: The bearer token it showed.
        identity: Whose it is.
        device: What it calls from.
        session_id: Stable over one sign-in.
        authorization: kzproxy's own credential, as it is in ``headers``.
        headers: The identity headers for kube-apiserver.
        recorded: Its parts of a decision record.
        permits: By method and canonical target.
    """

    token: str = field(repr=False)
    identity: Identity
    device: DevicePosture
    session_id: str
    authorization: str = field(repr=False)
    headers: EncodedHeaders
    recorded: RecordedCaller
    permits: dict[tuple[str, str], "Permitted"] = field(default_factory=dict)

    def keep(self, permitted: "Permitted") -> None:
        """Remember a permit; whoever uses it again sees to it that it still holds."""
        if len(self.permits) >= MAX_PERMITS:
            self.permits.clear()
        asked = permitted.permit.attributes.request
        self.permits[asked.method, asked.target] = permitted

    def permitted(self, info: RequestInfo) -> "Permitted | None":
        """Return what is remembered of such a request."""
        return self.permits.get((info.method, info.target))


@dataclass(frozen=True, slots=True)
class Permitted:
    """A permit, and the record of it in the log."""

    permit: Permit
    record: DecisionRecord


class Standings:
    """The standings that are remembered, bounded; holds tokens, so it does not print them."""

    def __init__(self) -> None:
        self._known: dict[StandingKey, Standing] = {}

    def __repr__(self) -> str:
        return f"Standings({len(self._known)})"

    def get(self, key: StandingKey) -> Standing | None:
        """Return what is remembered; the caller sees to it that it still holds."""
        return self._known.get(key)

    def keep(self, key: StandingKey, standing: Standing) -> None:
        """Remember ``standing``; when the bound is reached all others are forgotten."""
        if len(self._known) >= MAX_STANDINGS:
            self._known.clear()
        self._known[key] = standing
