"""Renew sessions: a new token for the holder of the session's key, and of its renewal token."""

from datetime import datetime

import msgspec
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec

from kzproxy.administrator.session import SessionRecord
from kzproxy.administrator.session_directory import Change
from kzproxy.administrator.session_end import ENDED, why_over
from kzproxy.attributes.device import DevicePosture
from kzproxy.devices.names import key_thumbprint
from kzproxy.errors.kinds import BadRequest, ServiceUnavailable, Unauthenticated
from kzproxy.web.granted import Bound, Granted, GrantSources
from kzproxy.web.oauth_errors import OAuthError
from kzproxy.web.renewal_token import RenewalToken, Replayed, overtaken, rotated
from kzproxy.web.session_events import SessionEvents
from kzproxy.web.sign_in_desk import SignInDesk

_ASK_AGAIN_SECONDS = 5


class SessionRenewal:
    """Renews."""

    def __init__(self, desk: SignInDesk, sources: GrantSources) -> None:
        self._clock = desk.clock
        self._events = SessionEvents(desk.events)
        self._directory = sources.directory
        self._certificates = sources.certificates
        self._catch_up = sources.catch_up

    async def renew(
        self, request: web.Request, token: RenewalToken, key: ec.EllipticCurvePublicKey | None
    ) -> Granted:
        """Renew a session.

        Args:
            request: The client's; comes with a certificate of the session's key.
            token: What it renews with.
            key: The client's where it wants a new certificate.

        Raises:
            Replayed: The token was used before.
            OAuthError: Another sign-in is wanted.
            ProxyError: It is refused.
        """
        presented = self._certificates.presented(request)
        try:
            return await self._renewed(request, token, presented, key)
        except Unauthenticated as error:
            await self._catch_up()
            raise self._why_ended(token, presented, error) from error

    async def write_refusal(self, request: web.Request, token: RenewalToken, message: str) -> None:
        """Have it in the log that a session was not renewed: whose, and with what certificate.

        Raises:
            ServiceUnavailable: It cannot be written.
        """
        record = self._directory.find(token.session_id)
        await self._events.not_renewed(request, token.session_id, record, message)

    async def _renewed(
        self,
        request: web.Request,
        token: RenewalToken,
        presented: DevicePosture,
        key: ec.EllipticCurvePublicKey | None,
    ) -> Granted:
        """Do all that may fail, then have the next token take the place of this one.

        The client of a renewal that fails comes back with the token that it has, in an hour maybe:
        had that been used up, it would be taken for a thief's.
        """
        following = RenewalToken.new(token.session_id)
        renewed = self._change(request, token, following, key)
        seen = await self._seen(token)
        planned = renewed(seen)
        if seen.step_up:
            await self._told(token)
            raise _step_up(seen.step_up)
        bound = Bound(thumbprint=presented.thumbprint)
        if key is not None:
            bound = Bound.to(key, self._certificates, request)
        shown = key or self._certificates.key(request)
        if seen.renewed_at is None:
            await self._events.renewed(request, planned, bound.thumbprint)
        try:
            record = await self._directory.update(token.session_id, renewed)
        except Replayed:
            # It was good when this was planned: its own client has renewed twice in between.
            raise overtaken() from None
        return Granted(record=record, renewal=following, bound=bound, key=shown)

    async def _seen(self, token: RenewalToken) -> SessionRecord:
        """Return the session as the store has it."""
        await self._catch_up()
        record = self._directory.find(token.session_id)
        if record is None:
            raise Unauthenticated(ENDED)
        return record

    async def _told(self, token: RenewalToken) -> None:
        """Note that the client is told of a stronger sign-in: once, it renews with what it has."""
        now = self._clock.now()

        def told(record: SessionRecord) -> SessionRecord:
            return msgspec.structs.replace(record, seen_at=now, step_up="")

        await self._directory.update(token.session_id, told)

    def _change(
        self,
        request: web.Request,
        token: RenewalToken,
        following: RenewalToken,
        key: ec.EllipticCurvePublicKey | None,
    ) -> Change:
        """Return what checks a session and gives it the next token.

        A stronger sign-in that comes to be wanted between the two is told at the next renewal.
        """
        asked_at = self._clock.now()

        def renewed(record: SessionRecord) -> SessionRecord:
            now = self._clock.now()  # Of each try: another renewal may have come in between.
            certificate = self._certificates.good(request, record.key_thumbprint)
            self._check_holds(record, now)
            _check_same_key(key, record)
            changed = rotated(record, token, following, now, asked_at=asked_at)
            device_id = self._certificates.device_id(record.key_thumbprint, certificate)
            return msgspec.structs.replace(changed, device_id=device_id, seen_at=now)

        return renewed

    def _check_holds(self, record: SessionRecord, now: datetime) -> None:
        over = why_over(record, self._directory.settings, now)
        if not over:
            return
        idle_at = record.seen_at + self._directory.settings.idle
        if record.ended_at is None and now < min(record.ends_at, idle_at):
            # The provider is silent: a new sign-in would not help, and waiting may.
            raise ServiceUnavailable(over, retry_after_seconds=_ASK_AGAIN_SECONDS)
        raise Unauthenticated(over)

    def _why_ended(
        self, token: RenewalToken, presented: DevicePosture, error: Unauthenticated
    ) -> Unauthenticated:
        """Say more to the client whose session it was."""
        record = self._directory.find(token.session_id)
        if record is None or record.key_thumbprint != presented.key_thumbprint:
            return error
        over = why_over(record, self._directory.settings, self._clock.now())
        return Unauthenticated(over) if over else error


def _check_same_key(key: ec.EllipticCurvePublicKey | None, record: SessionRecord) -> None:
    if key is not None and key_thumbprint(key) != record.key_thumbprint:
        raise BadRequest("csr is for another key than the session's")


def _step_up(wanted: str) -> OAuthError:
    """Return the answer that has a client sign in again, more strongly.

    It says how by the members that RFC 9470 section 3 has for it.
    """
    try:
        said = msgspec.json.decode(wanted, type=dict[str, str | int])
    except msgspec.DecodeError:
        said = {}
    description = said.pop("error_description", "") or "a stronger sign-in is wanted"
    return OAuthError("invalid_grant", str(description), further=said)
