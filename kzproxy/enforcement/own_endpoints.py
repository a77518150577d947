"""kzproxy's own endpoints, below ``/kzproxy.dev/``: their router.

A request for one comes from a caller as well known as any other: token, device and the binding of
the two were looked at before. What most endpoints do is about their caller's own session and
requests alone, and no policy judges it; one that shows more is ``judged``, as a request for a URL
that policy must permit. Nothing below this path is ever sent to kube-apiserver, whatever it is: one
that is not served here is not found.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Protocol

import msgspec

from kzproxy.attributes.device import NO_DEVICE, DevicePosture
from kzproxy.attributes.identity import Identity
from kzproxy.attributes.request_info import OWN_ROOT, RequestInfo
from kzproxy.enforcement.case import Case
from kzproxy.enforcement.own_leave import OwnLeave
from kzproxy.errors.kinds import (
    BadRequest,
    InternalError,
    MethodNotAllowed,
    NotServed,
    PayloadTooLarge,
    UnsupportedMediaType,
)
from kzproxy.http.messages import Length, NoBody, RequestHead, ResponseHead
from kzproxy.transport.exchange import Exchange

_PREFIX = f"{OWN_ROOT}/v1/"
_JSON = "application/json"
_METHODS_WITH_BODY = frozenset({"PUT", "POST"})
# What an endpoint is told is a sentence or two; never more than this, whatever it says of itself.
MAX_OWN_BODY_BYTES = 16 * 1024


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A request for an endpoint, whole.

    Attributes:
        identity: Who asks; authenticated.
        device: With what device.
        session_id: Of its sign-in.
        method: One of the endpoint's.
        rest: What follows the endpoint's name in the path, without the slash; may be empty.
        query: Decoded, in order.
        body: At most the endpoint's bound, of JSON, not parsed; empty for GET and DELETE.
        received_at: Aware, UTC.
        audit_id: Of this request.
    """

    identity: Identity
    session_id: str
    method: str
    rest: str
    query: tuple[tuple[str, str], ...]
    body: bytes
    received_at: datetime
    audit_id: str
    device: DevicePosture = NO_DEVICE


class OwnEndpoint(Protocol):
    """One endpoint. Its functions raise a ``ProxyError`` for what they refuse."""

    @property
    def judged(self) -> bool:
        """Whether policy must permit the request; else every caller may send it."""

    @property
    def methods(self) -> frozenset[str]:
        """Those that it serves, of GET, PUT, POST and DELETE."""

    @property
    def max_body_bytes(self) -> int:
        """Of a request."""

    def plan(self, asked: Asked) -> str:
        """Check the request without doing anything, and say in a line what will be done.

        That line is in the decision log before it is done, made visible there and cut at 1024
        characters; of an endpoint that is judged, policy's decision is.
        """

    async def answer(self, asked: Asked) -> object:
        """Do what was planned, and return what is sent as JSON, with 200."""


class OwnEndpoints:
    """The router; ``by_name`` has each endpoint under the one segment that follows ``/v1/``."""

    def __init__(self, by_name: Mapping[str, OwnEndpoint]) -> None:
        self._by_name = dict(by_name)

    @staticmethod
    def owns(info: RequestInfo) -> bool:
        """Whether the path is kzproxy's own; decided before policy."""
        return info.is_own

    async def serve(
        self,
        exchange: Exchange,
        request: RequestHead,
        info: RequestInfo,
        case: Case,
        leave: OwnLeave,
    ) -> None:
        """Answer a request that ``owns``.

        Args:
            exchange: Its body is read here, within the endpoint's bound.
            request: Its head.
            info: Its reading.
            case: Says who asks.
            leave: Had before anything is done.

        Raises:
            ProxyError: It is refused, or cannot be written down; nothing was done.
            DownstreamClosed: The client has gone.
        """
        endpoint, rest = self._endpoint(info)
        if case.identity is None:  # never: whoever is not known has been refused
            raise InternalError("nobody asks")
        asked = Asked(
            identity=case.identity,
            session_id=case.session_id,
            method=info.method,
            rest=rest,
            query=info.query,
            body=await _body(exchange, request, endpoint.max_body_bytes),
            received_at=case.received_at,
            audit_id=case.audit_id,
            device=case.device or NO_DEVICE,
        )
        plan = endpoint.plan(asked)
        if endpoint.judged:
            await leave.ask_policy()
        else:
            await leave.write_down(plan)
        answer = await endpoint.answer(asked)
        if asked.method == "GET":
            # What was done is done, also where it ended its caller's own leave.
            leave.check()
        await _send_json(exchange, case, answer)

    def _endpoint(self, info: RequestInfo) -> tuple[OwnEndpoint, str]:
        """Return the endpoint that is asked, and the rest of the path."""
        name, _, rest = info.path.removeprefix(_PREFIX).partition("/")
        found = self._by_name.get(name) if info.path.startswith(_PREFIX) else None
        if found is None:
            raise NotServed(f"kzproxy has no endpoint {info.path}")
        if info.method not in found.methods:
            served = ", ".join(sorted(found.methods))
            raise MethodNotAllowed(f"{info.path} serves {served}, not {info.method}")
        return found, rest


async def _body(exchange: Exchange, request: RequestHead, limit_bytes: int) -> bytes:
    if request.method in _METHODS_WITH_BODY:
        _check_media_type(request)
        return await read_body(exchange, request, min(limit_bytes, MAX_OWN_BODY_BYTES))
    if request.body not in (NoBody(), Length(0)):
        raise BadRequest(f"{request.method} of kzproxy's own endpoints takes no body")
    return b""


def _check_media_type(request: RequestHead) -> None:
    types = request.values("content-type")
    if len(types) != 1 or types[0].partition(";")[0].strip().lower() != _JSON:
        raise UnsupportedMediaType(f"kzproxy's own endpoints take {_JSON}")
    if request.values("content-encoding"):
        raise UnsupportedMediaType("kzproxy's own endpoints take no Content-Encoding")


async def read_body(exchange: Exchange, request: RequestHead, limit_bytes: int) -> bytes:
    """Read a whole body, which is refused as soon as it is known to be over ``limit_bytes``.

    Raises:
        PayloadTooLarge: It is.
        DownstreamClosed: It did not come, or too slowly.
    """
    if isinstance(request.body, Length) and request.body.size_bytes > limit_bytes:
        raise _too_large(limit_bytes)
    body = bytearray()
    while data := await exchange.receive_body():
        body += data
        if len(body) > limit_bytes:
            raise _too_large(limit_bytes)
    return bytes(body)


def _too_large(limit_bytes: int) -> PayloadTooLarge:
    return PayloadTooLarge(f"the request's body is over {limit_bytes} bytes")


async def _send_json(exchange: Exchange, case: Case, value: object) -> None:
    body = msgspec.json.encode(value)
    case.status_code = 200
    head = ResponseHead(
        status=200,
        reason="OK",
        headers=(
            ("audit-id", case.audit_id),
            ("cache-control", "no-store"),
            ("content-type", _JSON),
        ),
        body=Length(len(body)),
    )
    await exchange.respond(head, body)
