"""What follows from who calls, from where and with which device: found out once, and kept.

The same for each request of a caller, and dearer to find out than the rest of a request together.
A standing is used again only while everything it rests on is as it was: the same header block, the
same addresses and device posture, a token that still holds as the very same identity, and the same
credential of our own.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec

from kzproxy.administrator.lease import Caller
from kzproxy.attributes.device import DevicePosture
from kzproxy.attributes.identity import Identity
from kzproxy.attributes.request_info import PAIR_BYTES, RequestInfo
from kzproxy.attributes.shared import Shared
from kzproxy.audit.records import RecordedCaller
from kzproxy.audit.repeated import CallerParts, RepeatedRecord
from kzproxy.audit.schema import DecisionRecord
from kzproxy.http.messages import Headers
from kzproxy.policy.decision import Permit
from kzproxy.upstream.impersonation import Impersonation

# Two hundred callers with fifty targets each weigh 18 MiB; what a client can make kzproxy remember
# by sending ever other headers, targets and 64 KiB tokens is bounded by the same figure.
MAX_REMEMBERED_BYTES = 64 * 1024 * 1024
# Of the objects beside the header block, estimated with sys.getsizeof over all they hold.
_STANDING_BYTES = 8 * 1024
_PERMIT_BYTES = 3 * 1024
# Of one whose request another caller's permit holds already.
_FURTHER_PERMIT_BYTES = 1536

# Header block, whence the peer comes and thumbprint of the device's certificate.
StandingKey = tuple[Headers, str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A caller, with all that is the same for its requests.

    Attributes:
        token_digest: Of the bearer token that it showed.
        identity: Whose it is.
        device: What it calls from.
        session_id: Stable over one sign-in.
        authorization: kzproxy's own credential, as it is in ``impersonation``.
        impersonation: How its requests go upstream.
        recorded: Its parts of a decision record.
        caller: What its leases know of it.
        permits: By method and canonical target.
        record_parts: What the records of its permits have in common.
    """

    token_digest: bytes = field(repr=False)
    identity: Identity
    device: DevicePosture
    session_id: str
    authorization: str = field(repr=False)
    impersonation: Impersonation
    recorded: RecordedCaller
    caller: Caller
    permits: dict[tuple[str, str], "RememberedPermit"] = field(default_factory=dict)
    record_parts: CallerParts = field(default_factory=CallerParts)

    def permitted(self, info: RequestInfo, received_target: str) -> "RememberedPermit | None":
        """Return what is remembered of such a request; the caller sees that it still holds."""
        if info.dry_run_in_body is not None:  # Its target does not say all that is judged.
            return None
        known = self.permits.get((info.method, info.target))
        if known is None or known.received_target != received_target:
            return None
        return known


# Not looked at by the garbage collector: nothing that it holds leads back to it.
class RememberedPermit(msgspec.Struct, frozen=True, gc=False):
    """A permit, the record of it in the log, and the spelling of the target that this tells.

    Attributes:
        is_plain: Whether such a request takes no task of its own; see ``Repeat``.
    """

    permit: Permit
    record: RepeatedRecord
    received_target: str
    is_plain: bool


class _Line(NamedTuple):
    """What was asked, and as it was read for the first who asked it."""

    line: tuple[str, str]
    first: RequestInfo


class Standings:
    """The standings that are remembered, bounded; holds tokens, so it does not print them.

    Attributes:
        get: Returns the one of a key or None; the caller sees to it that it still holds.
    """

    def __init__(self, *, max_bytes: int = MAX_REMEMBERED_BYTES) -> None:
        self._known: dict[StandingKey, Standing] = {}
        self.get = self._known.get
        self._bytes = 0
        self._max_bytes = max_bytes
        # The same for all callers who ask the same.
        self._requests = Shared[bytes]()
        self._lines: dict[tuple[str, str], _Line] = {}
        self._targets = Shared[str]()

    def __repr__(self) -> str:
        return f"Standings({len(self._known)})"

    def __len__(self) -> int:
        return len(self._known)

    def keep(self, key: StandingKey, standing: Standing) -> None:
        """Remember ``standing``; when the bound is reached all others are forgotten."""
        # The block is held twice, in the key and in what is sent upstream, and so is the token.
        letters = sum(len(name) + len(value) for name, value in key[0])
        self._weigh(_STANDING_BYTES + 2 * letters + PAIR_BYTES * len(key[0]))
        self._known[key] = standing

    def keep_permit(
        self,
        standing: Standing,
        permit: Permit,
        record: DecisionRecord,
        received_target: str,
        *,
        is_plain: bool,
    ) -> None:
        """Remember a permit of ``standing`` with the record of it, within the same bound."""
        asked = permit.attributes.request
        before = self._bytes
        self._weigh(self._weight(asked, received_target))
        if self._bytes < before:  # All is forgotten, this standing too where it is still in use.
            _forget_permits(standing)
        standing.permits[self._line(asked)] = RememberedPermit(
            permit,
            RepeatedRecord.of(record, standing.record_parts, self._requests),
            self._targets.one(received_target),
            is_plain,
        )

    def _weight(self, asked: RequestInfo, received_target: str) -> int:
        letters = len(asked.target) + len(received_target)
        known = self._lines.get((asked.method, asked.target))
        if known is not None and known.first is asked:
            return _FURTHER_PERMIT_BYTES + 2 * letters
        return _PERMIT_BYTES + 2 * letters + PAIR_BYTES * len(asked.query)

    def _line(self, asked: RequestInfo) -> tuple[str, str]:
        line = (asked.method, asked.target)
        known = self._lines.get(line)
        if known is None or known.first is not asked:
            line = line if known is None else known.line
            self._lines[line] = known = _Line(line, asked)
        return known.line

    def _weigh(self, size: int) -> None:
        self._bytes += size
        if self._bytes > self._max_bytes:
            for standing in self._known.values():
                _forget_permits(standing)
            self._known.clear()
            self._lines.clear()
            for shared in (self._requests, self._targets):
                shared.clear()
            self._bytes = size


def _forget_permits(standing: Standing) -> None:
    standing.permits.clear()
    standing.record_parts.clear()
