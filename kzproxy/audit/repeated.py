"""The record of a decision that holds for one request after another: all of it but what differs.

Of a caller's requests for the same thing the records differ in when, which and from what port; to
encode the rest anew each time costs more than the decision.
"""

from datetime import datetime

import msgspec

from kzproxy.attributes.shared import Shared
from kzproxy.audit.schema import DecisionRecord

_FRONT = b'{"kind":"decision","ts":'
_json = msgspec.json.Encoder().encode
_IMPERSONATED = b',"impersonated":{'


# What goes between audit id and times, times and port, request and the end; and the failed rules.
_Common = tuple[bytes, bytes, bytes, tuple[str, ...]]


class CallerParts:
    """Parts of the records of one caller, each of which is kept once."""

    __slots__ = ("_common", "_parts")

    def __init__(self) -> None:
        self._parts: dict[bytes, bytes] = {}
        self._common: dict[_Common, _Common] = {}

    def __len__(self) -> int:
        return len(self._parts) + len(self._common)

    def part(self, part: bytes) -> bytes:
        """Return the first that was given of those equal to ``part``."""
        return self._parts.setdefault(part, part)

    def common(self, common: _Common) -> _Common:
        """Return the first that was given of those equal to ``common``."""
        return self._common.setdefault(common, common)

    def clear(self) -> None:
        """Forget every part; who holds one goes on holding it."""
        self._parts.clear()
        self._common.clear()


# A struct that the garbage collector does not look at, because tens of thousands are remembered:
# with slots it would take three times as much. It holds bytes and texts alone, so no cycle.
class RepeatedRecord(msgspec.Struct, frozen=True, gc=False):
    """Writes the record of a request that is decided as one before it was."""

    _common: _Common
    _request: bytes

    @property
    def failed_rules(self) -> tuple[str, ...]:
        """Those that could not be judged."""
        return self._common[3]

    def written(self, audit_id: str, at: datetime, port: int) -> bytes:
        """Return the encoded record of another request, decided in the moment it came.

        Args:
            audit_id: From ``new_audit_id``: it is written as it is.
            at: Aware, UTC.
            port: The client's.
        """
        moment = _json(at)
        return self._written(audit_id, moment, moment, port)

    def _written(self, audit_id: str, ts: bytes, received_at: bytes, port: int) -> bytes:
        until_received_at, until_port, impersonated, _ = self._common
        return b'%b%b,"audit_id":"%b"%b,"received_at":%b%b%d%b%b' % (
            _FRONT,
            ts,
            audit_id.encode(),
            until_received_at,
            received_at,
            until_port,
            port,
            self._request,
            impersonated,
        )

    @classmethod
    def of(
        cls, record: DecisionRecord, caller: CallerParts, requests: Shared[bytes]
    ) -> "RepeatedRecord":
        """Take the record of the first.

        Args:
            record: All but times, audit id and port holds for those that follow.
            caller: Parts of the records of the same caller.
            requests: What was asked, by any caller, each of which is kept once.
        """
        encoded = _json(record)
        # What is looked for is the first of its kind: before it stand only fields of ours, and
        # within a string a quotation mark is escaped.
        first = b'%b%b,"audit_id":"%b"' % (_FRONT, _json(record.ts), record.audit_id.encode())
        received = b',"received_at":' + _json(record.received_at)
        source = b'"source":{"address":"%b","port":' % record.source.address.encode()
        decision, _, rest = encoded.removeprefix(first).partition(received)
        who, _, rest = rest.partition(source + b"%d" % record.source.port)
        request, found, impersonated = rest.partition(_IMPERSONATED)
        common = (
            caller.part(decision),
            caller.part(who + source),
            caller.part(found + impersonated),
            tuple([error.rule for error in record.errors]),
        )
        repeated = cls(caller.common(common), requests.one(request))
        again = repeated._written(
            record.audit_id, _json(record.ts), _json(record.received_at), record.source.port
        )
        if again != encoded:  # A bug: the schema has changed, and this has not.
            raise ValueError("a record that cannot be repeated")
        return repeated
