"""The ``limits`` section; what it leaves out keeps the default of the room that enforces it."""

import msgspec

from kzproxy.config.document import Node
from kzproxy.enforcement.limits import IdentityLimits
from kzproxy.transport.connection_limits import ConnectionLimits
from kzproxy.upstream.timeouts import UpstreamTimeouts

_MAX_COUNT = 1_000_000
_MAX_SECONDS = 3600


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Every limit that an operator may set.

    Attributes:
        connections: The API listener's.
        identities: Of each user.
        upstream: How long kube-apiserver is waited for.
    """

    connections: ConnectionLimits
    identities: IdentityLimits
    upstream: UpstreamTimeouts


def load_limits(node: Node | None) -> Limits:
    """Read the section; None is a configuration without it."""
    fields = _fields(node) if node is not None else {}
    return Limits(
        connections=_connections(fields),
        identities=_identities(fields),
        upstream=_upstream(fields),
    )


def _fields(node: Node) -> dict[str, Node]:
    return node.mapping(
        optional=(
            "answerProgressTimeoutSeconds",
            "bodyProgressTimeoutSeconds",
            "connections",
            "connectionsPerAddress",
            "handshakeTimeoutSeconds",
            "headTimeoutSeconds",
            "requestsPerIdentity",
            "streamsPerIdentity",
            "upstreamAnswerTimeoutSeconds",
            "upstreamConnectTimeoutSeconds",
        )
    )


def _connections(fields: dict[str, Node]) -> ConnectionLimits:
    default = ConnectionLimits()
    total = fields.get("connections")
    return ConnectionLimits(
        connections=None if total is None else total.integer(1, _MAX_COUNT),
        connections_per_address=_count(
            fields, "connectionsPerAddress", default.connections_per_address
        ),
        handshake_seconds=_seconds(fields, "handshakeTimeoutSeconds", default.handshake_seconds),
        head_seconds=_seconds(fields, "headTimeoutSeconds", default.head_seconds),
        body_seconds=_seconds(fields, "bodyProgressTimeoutSeconds", default.body_seconds),
        send_seconds=_seconds(fields, "answerProgressTimeoutSeconds", default.send_seconds),
    )


def _identities(fields: dict[str, Node]) -> IdentityLimits:
    default = IdentityLimits()
    return IdentityLimits(
        streams=_count(fields, "streamsPerIdentity", default.streams),
        requests=_count(fields, "requestsPerIdentity", default.requests),
    )


def _upstream(fields: dict[str, Node]) -> UpstreamTimeouts:
    default = UpstreamTimeouts()
    return UpstreamTimeouts(
        connect_seconds=_seconds(fields, "upstreamConnectTimeoutSeconds", default.connect_seconds),
        answer_seconds=_seconds(fields, "upstreamAnswerTimeoutSeconds", default.answer_seconds),
    )


def _count(fields: dict[str, Node], name: str, default: int) -> int:
    return fields[name].integer(1, _MAX_COUNT) if name in fields else default


def _seconds(fields: dict[str, Node], name: str, default: float) -> float:
    return float(fields[name].integer(1, _MAX_SECONDS)) if name in fields else default
