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


class RepeatedRecord:
    """Writes the record of a request that is decided as one before it was.

    Attributes:
        failed_rules: Those that could not be judged.
    """

    __slots__ = ("_impersonated", "_request", "_until_port", "_until_received_at", "failed_rules")

    def __init__(
        self, record: DecisionRecord, shared: dict[bytes, bytes], requests: Shared[bytes]
    ) -> None:
        """Take the record of the first.

        Args:
            record: All but times, audit id and port holds for those that follow.
            shared: Parts of the records of the same caller, each of which is kept once.
            requests: What was asked, by any caller, likewise.
        """
        encoded = _json(record)
        # What is looked for is the first of its kind: before it stand only fields of ours, and
        # within a string a quotation mark is escaped.
        first = b'%b%b,"audit_id":"%b"' % (_FRONT, _json(record.ts), record.audit_id.encode())
        received = b',"received_at":' + _json(record.received_at)
        source = b'"source":{"address":"%b","port":' % record.source.address.encode()
        decision, _, rest = encoded.removeprefix(first).partition(received)
        caller, _, rest = rest.partition(source + b"%d" % record.source.port)
        request, found, impersonated = rest.partition(_IMPERSONATED)
        self._until_received_at = _kept(decision, shared)
        self._until_port = _kept(caller + source, shared)
        self._request = requests.one(request)
        self._impersonated = _kept(found + impersonated, shared)
        self.failed_rules = tuple([error.rule for error in record.errors])
        again = self._written(
            record.audit_id, _json(record.ts), _json(record.received_at), record.source.port
        )
        if again != encoded:  # A bug: the schema has changed, and this has not.
            raise ValueError("a record that cannot be repeated")

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
        return b'%b%b,"audit_id":"%b"%b,"received_at":%b%b%d%b%b' % (
            _FRONT,
            ts,
            audit_id.encode(),
            self._until_received_at,
            received_at,
            self._until_port,
            port,
            self._request,
            self._impersonated,
        )


def _kept(part: bytes, shared: dict[bytes, bytes]) -> bytes:
    return shared.setdefault(part, part)
