"""OpenID Connect Back-Channel Logout 1.0: an identity provider tells that somebody signed out.

``POST /backchannel_logout`` with ``logout_token`` in a form: 200 once their sessions here are over.
"""

import json
import logging
from collections.abc import Callable, Sequence

from aiohttp import web

from kzproxy.administrator.signal import Signal, SignalKind, SignalSource, SignalSubject
from kzproxy.administrator.signals import Signals
from kzproxy.audit.schema import SignalRefusedRecord
from kzproxy.authentication.keys import KeyNotYetKnown
from kzproxy.authentication.logout_token import LOGOUT_TYPES, LogoutToken, LogoutTokenVerifier
from kzproxy.authentication.signed_token import SignedToken, read_signed_token
from kzproxy.clock.system import Clock
from kzproxy.errors.kinds import BadRequest, PayloadTooLarge, ProxyError, Unauthenticated
from kzproxy.metrics.registry import Metrics
from kzproxy.web.bounded_form import bounded_form
from kzproxy.web.refused_signals import RefusedSignals

PATH = "/backchannel_logout"
STREAM = "back-channel-logout"
MAX_BODY_BYTES = 64 * 1024

_log = logging.getLogger(__name__)

_NO_STORE = {"Cache-Control": "no-store"}
_BAD_REQUEST, _UNAVAILABLE = 400, 503

Verifiers = Callable[[str], LogoutTokenVerifier | None]


class LogoutReceiver:
    """Takes logout tokens of all identity providers."""

    def __init__(
        self,
        *,
        verifiers: Verifiers,
        signals: Signals,
        refused: RefusedSignals,
        metrics: Metrics,
        clock: Clock,
    ) -> None:
        """Take over the collaborators; ``verifiers`` finds one by its ``iss``."""
        self._verifiers = verifiers
        self._signals = signals
        self._refused = refused
        self._metrics = metrics
        self._clock = clock
        metrics.expect_signals(STREAM, SignalKind.SIGNED_OUT.value, ("refused", "unavailable"))

    def routes(self) -> Sequence[web.RouteDef]:
        """Return what is to be served."""
        return [web.post(PATH, self._receive)]

    async def _receive(self, request: web.Request) -> web.Response:
        try:
            return await self._answer(request)
        except ProxyError as error:
            self._metrics.count_signal(STREAM, SignalKind.SIGNED_OUT.value, "unavailable")
            return _try_again(error)

    async def _answer(self, request: web.Request) -> web.Response:
        try:
            token = read_signed_token(await _logout_token(request), LOGOUT_TYPES)
            logout = await self._verifier(token).verify(token)
        except (Unauthenticated, BadRequest, PayloadTooLarge) as error:
            return await self._refuse(request, error.message)
        except KeyNotYetKnown as error:
            # Anybody can name a key that nobody knows, so it is counted as what is refused is.
            return await self._refuse(request, error.message, error.retry_after_seconds)
        signal, source = _signal(logout)
        outcome = await self._signals.take(signal, source)
        self._metrics.count_signal(STREAM, signal.kind.value, outcome.value)
        return web.Response(headers=_NO_STORE)

    def _verifier(self, token: SignedToken) -> LogoutTokenVerifier:
        # Unverified here: it only selects whose keys the signature must hold under.
        issuer = token.claims.get("iss")
        verifier = self._verifiers(issuer) if isinstance(issuer, str) else None
        if verifier is None:
            raise Unauthenticated("the logout token's `iss` is not an issuer that is known here")
        return verifier

    async def _refuse(
        self, request: web.Request, why: str, again_after: int | None = None
    ) -> web.Response:
        self._metrics.count_signal(STREAM, SignalKind.SIGNED_OUT.value, "refused")
        record = SignalRefusedRecord(
            ts=self._clock.now(),
            stream=STREAM,
            error="invalid_request",
            message=why,
            address=request.remote or "",
        )
        status, headers = _BAD_REQUEST, dict(_NO_STORE)
        if again_after is not None:
            status, headers["Retry-After"] = _UNAVAILABLE, str(again_after)
        too_many = await self._refused.note(record)
        if too_many is not None:
            status, headers["Retry-After"] = too_many.code, str(too_many.retry_after_seconds)
        return web.Response(
            status=status,
            text=json.dumps({"error": "invalid_request", "error_description": why}),
            content_type="application/json",
            headers=headers,
        )


async def _logout_token(request: web.Request) -> str:
    fields = await bounded_form(request, MAX_BODY_BYTES)
    tokens = [value for name, value in fields if name == "logout_token"]
    if len(tokens) != 1:
        raise Unauthenticated("the form must have `logout_token` once")
    return tokens[0]


def _signal(logout: LogoutToken) -> tuple[Signal, SignalSource]:
    source = SignalSource(name=STREAM, issuer=logout.issuer, users_of=(logout.issuer,))
    subject = SignalSubject(
        issuer=logout.issuer, subject=logout.subject, idp_session=logout.idp_session
    )
    signal = Signal(
        source=logout.issuer,
        id=logout.id,
        subject=subject,
        kind=SignalKind.SIGNED_OUT,
        observed_at=logout.issued_at,
    )
    return signal, source


def _try_again(error: ProxyError) -> web.Response:
    _log.error("a logout token could not be taken: %s %s", error.message, error.detail)
    after = error.retry_after_seconds or 1
    return web.Response(status=_UNAVAILABLE, headers={"Retry-After": str(after)} | _NO_STORE)
