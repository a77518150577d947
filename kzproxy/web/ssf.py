"""Security events by push (RFC 8935), as the Shared Signals Framework has them delivered.

``POST /ssf/v1/events/{stream}``: 202 once what the event says is done and kept, 400 with a code
where it is not taken, 503 where it should be sent again.
"""

import hmac
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from aiohttp import web

from kzproxy.administrator.caep import NotForUs, read_signal
from kzproxy.administrator.signal import SignalKind, SignalSource
from kzproxy.administrator.signal_streams import SignalStreams
from kzproxy.administrator.signals import Outcome, Signals
from kzproxy.audit.decision_log import DecisionLog
from kzproxy.audit.records import signal_record
from kzproxy.audit.schema import SignalReceivedRecord, SignalRefusedRecord
from kzproxy.authentication.security_event import (
    SecurityEvent,
    SecurityEventVerifier,
    SetError,
    SetRefused,
)
from kzproxy.clock.system import Clock
from kzproxy.errors.kinds import BadRequest, PayloadTooLarge, ProxyError
from kzproxy.metrics.registry import Metrics
from kzproxy.web.bounded_body import bounded_body, media_type
from kzproxy.web.refused_signals import RefusedSignals

PATH = "/ssf/v1/events/{stream}"
MAX_BODY_BYTES = 64 * 1024
"""Events in use are a few kilobytes."""

_log = logging.getLogger(__name__)

_MEDIA_TYPE = "application/secevent+jwt"
_STREAM_EVENTS = (
    "https://schemas.openid.net/secevent/ssf/event-type/",
    "https://schemas.openid.net/secevent/sse/event-type/",
)
_BAD_REQUEST, _NOT_FOUND, _UNAVAILABLE = 400, 404, 503
_UNKNOWN_STREAM = "-"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """One transmitter's events.

    Attributes:
        source: Who, and whom it may speak of.
        verifier: Of its events.
        authorization: The value of ``Authorization`` that it was given.
        said: Where it is noted what they say of the stream itself.
        critical_members: Those members of complex subjects that it calls critical.
        state: What a verification event must say; empty where nothing was asked for.
    """

    source: SignalSource
    verifier: SecurityEventVerifier
    authorization: str = field(repr=False)
    said: SignalStreams
    critical_members: frozenset[str] = frozenset()
    state: str = field(default="", repr=False)


class EventReceiver:
    """Takes the events of all streams."""

    def __init__(
        self,
        *,
        streams: Mapping[str, Stream],
        signals: Signals,
        refused: RefusedSignals,
        decisions: DecisionLog,
        metrics: Metrics,
        clock: Clock,
    ) -> None:
        """Take over the collaborators; ``streams`` are found by the last part of the path."""
        self._streams = streams
        self._signals = signals
        self._refused = refused
        self._decisions = decisions
        self._metrics = metrics
        self._clock = clock
        for name in (*streams, _UNKNOWN_STREAM):
            metrics.expect_signals(name, "-", ("refused", "unavailable"))
        for name in streams:
            for kind in SignalKind:
                metrics.expect_signals(name, kind.value, (Outcome.NOT_ALLOWED.value,))

    def routes(self) -> Sequence[web.RouteDef]:
        """Return what is to be served."""
        return [web.post(PATH, self._receive)]

    async def _receive(self, request: web.Request) -> web.Response:
        name = request.match_info["stream"]
        stream = self._streams.get(name)
        try:
            if stream is None:
                return await self._refuse(
                    request,
                    _UNKNOWN_STREAM,
                    SetRefused(SetError.INVALID_REQUEST, "there is no such stream here"),
                    status=_NOT_FOUND,
                )
            return await self._answer(request, stream)
        except ProxyError as error:
            known = _UNKNOWN_STREAM if stream is None else name
            self._metrics.count_signal(known, "-", "unavailable")
            return _try_again(error)

    async def _answer(self, request: web.Request, stream: Stream) -> web.Response:
        try:
            _authenticate(request, stream)
            body = await bounded_body(request, MAX_BODY_BYTES)
            event = await stream.verifier.verify(_text(request, body))
            await self._take(event, stream)
        except (BadRequest, PayloadTooLarge) as error:
            refused = SetRefused(SetError.INVALID_REQUEST, error.message)
            return await self._refuse(request, stream.source.name, refused, status=error.code)
        except SetRefused as refused:
            return await self._refuse(request, stream.source.name, refused)
        return web.Response(status=202)

    async def _take(self, event: SecurityEvent, stream: Stream) -> None:
        about_stream = _stream_event(event)
        if about_stream:
            await self._take_stream_event(about_stream, event, stream)
            return
        try:
            signal = read_signal(event, self._clock.now(), stream.critical_members)
        except NotForUs as nothing:
            await self._note(event, stream, "ignored", f"nothing: {nothing}")
            return
        outcome = await self._signals.take(signal, stream.source)
        self._metrics.count_signal(stream.source.name, signal.kind.value, outcome.value)
        if outcome is Outcome.NOT_ALLOWED:
            _log.warning(
                "stream %s: an event about all users was refused: set allowTenantWide for the"
                " stream if it may end all sessions",
                stream.source.name,
            )
            said = "this stream may not speak of all users at once"
            raise SetRefused(SetError.ACCESS_DENIED, said, id=event.id)

    async def _take_stream_event(self, kind: str, event: SecurityEvent, stream: Stream) -> None:
        name = stream.source.name
        if kind == "verification":
            state = event.members.get("state")
            is_expected = state is None or not stream.state or _same(str(state), stream.state)
            if not is_expected:
                raise SetRefused(SetError.INVALID_STATE, "`state` is another", id=event.id)
            self._metrics.stream_verified.labels(name).set(self._clock.now().timestamp())
            await self._note(event, stream, "applied", "shows that the stream works")
            return
        status = str(event.members.get("status", ""))[:32]
        if status != "enabled":
            _log.warning("stream %s: its transmitter says that it is %s", name, status)
        await self._note(event, stream, "applied", f"the stream is {status}")
        await stream.said.note(name, enabled=status == "enabled")

    async def _note(self, event: SecurityEvent, stream: Stream, outcome: str, effect: str) -> None:
        """Write down an event that changes nothing about anybody."""
        kind = event.type.rpartition("/")[2]
        record = SignalReceivedRecord(
            ts=self._clock.now(),
            stream=stream.source.name,
            source=event.issuer,
            id=event.id,
            event=event.type,
            outcome=outcome,
            effect=effect,
        )
        await self._decisions.record_signal(signal_record(record), durable=False)
        known = kind if outcome == "applied" else "other"
        self._metrics.count_signal(stream.source.name, known, outcome)

    async def _refuse(
        self, request: web.Request, stream: str, refused: SetRefused, *, status: int = _BAD_REQUEST
    ) -> web.Response:
        self._metrics.count_signal(stream, "-", "refused")
        headers = {"Content-Language": "en"}
        record = SignalRefusedRecord(
            ts=self._clock.now(),
            stream=request.match_info["stream"],
            error=refused.error.value,
            message=refused.description,
            id=refused.id,
            address=request.remote or "",
        )
        too_many = await self._refused.note(record)
        if too_many is not None:
            status, headers["Retry-After"] = too_many.code, str(too_many.retry_after_seconds)
        body = {"err": refused.error.value, "description": refused.description}
        return web.Response(
            status=status, text=json.dumps(body), content_type="application/json", headers=headers
        )


def _authenticate(request: web.Request, stream: Stream) -> None:
    values = request.headers.getall("Authorization", [])
    if len(values) != 1 or not _same(values[0], stream.authorization):
        said = "`Authorization` is not what the stream was set up with"
        raise SetRefused(SetError.AUTHENTICATION_FAILED, said)


def _same(one: str, other: str) -> bool:
    """Compare two texts in a time that says nothing of where they differ."""
    # A header that is no UTF-8 has surrogates in its text, and any JSON may have.
    return hmac.compare_digest(
        one.encode(errors="surrogatepass"), other.encode(errors="surrogatepass")
    )


def _text(request: web.Request, body: bytes) -> str:
    if media_type(request) != _MEDIA_TYPE:
        raise SetRefused(SetError.INVALID_REQUEST, f"`Content-Type` must be {_MEDIA_TYPE}")
    try:
        return body.decode("ascii").strip()
    except UnicodeDecodeError as error:
        raise SetRefused(SetError.INVALID_REQUEST, "the body is not a SET") from error


def _stream_event(event: SecurityEvent) -> str:
    for prefix in _STREAM_EVENTS:
        name = event.type.removeprefix(prefix)
        if name != event.type and name in ("verification", "stream-updated"):
            return name
    return ""


def _try_again(error: ProxyError) -> web.Response:
    _log.error("an event could not be taken: %s %s", error.message, error.detail)
    after = error.retry_after_seconds or 1
    return web.Response(status=_UNAVAILABLE, headers={"Retry-After": str(after)})
