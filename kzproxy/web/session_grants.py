"""Begin sessions, renew them, and say what a client gets for it."""

import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import msgspec
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec

from kzproxy.administrator.provider_check import refresh_context
from kzproxy.administrator.session import SessionEnd, SessionRecord
from kzproxy.administrator.session_directory import SessionDirectory
from kzproxy.administrator.session_end import why_over
from kzproxy.attributes.device import DevicePosture
from kzproxy.audit.events import Event
from kzproxy.authentication.session_token import SessionTokens
from kzproxy.devices.issuing import IssuedCertificate
from kzproxy.devices.names import key_thumbprint
from kzproxy.errors.kinds import BadRequest, ServiceUnavailable, Unauthenticated
from kzproxy.store.nonces import Nonces
from kzproxy.store.sealing import Sealer
from kzproxy.store.store import Put
from kzproxy.web.client_certificates import ClientCertificates
from kzproxy.web.oauth_errors import OAuthError
from kzproxy.web.renewal_token import RenewalToken, rotated
from kzproxy.web.sign_in_desk import (
    SignInDesk,
    address_of,
    client_details,
    port_of,
    remote,
)
from kzproxy.web.sign_in_flows import Person

_SESSION_ID_BYTES = 16
_MAX_USER_AGENT = 256
_ASK_AGAIN_SECONDS = 5
BY = "sign-in"


class PostureIntake(Protocol):
    """Takes what a client reports of its device."""

    async def take(
        self, report: str, key: ec.EllipticCurvePublicKey, *, device_id: str, session: str
    ) -> str:
        """Take a report signed with ``key``; return why it was not taken, empty where it was."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GrantSources:
    """What sessions are made and renewed with.

    Attributes:
        directory: Keeps sessions.
        tokens: Issues session tokens.
        sealer: For the provider's refresh token.
        certificates: Of clients.
        nonces: For the next posture report.
        posture: Takes reports.
        catch_up: Has ``directory`` know what other workers have written.
        superseded: Told of a session as it was before the same person signed in anew on the same
            client: what the provider has of it is given back.
    """

    directory: SessionDirectory
    tokens: SessionTokens
    sealer: Sealer
    certificates: ClientCertificates
    nonces: Nonces
    posture: PostureIntake
    catch_up: Callable[[], Awaitable[None]]
    superseded: Callable[[SessionRecord], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """The certificate that a session token will be good with.

    Attributes:
        thumbprint: Its SHA-256, hex.
        issued: Where it has just been issued.
    """

    thumbprint: str
    issued: IssuedCertificate | None = None


class SessionGrants:
    """Makes the answers of the token endpoint."""

    def __init__(self, desk: SignInDesk, sources: GrantSources) -> None:
        self._desk = desk
        self._directory = sources.directory
        self._certificates = sources.certificates
        self._sources = sources

    async def begin(
        self,
        request: web.Request,
        person: Person,
        key: ec.EllipticCurvePublicKey,
        used: Callable[[str], Put],
    ) -> "Granted":
        """Begin a session for somebody who has signed in.

        Where the same person has one with the same key already, it goes on with what is new, so
        that what is under way in it goes on, too.

        Args:
            request: The client's.
            person: Who.
            key: The client's, which it has shown.
            used: Returns the write that says that the code gave the session of this id.

        Raises:
            Conflict: The code was used by somebody else meanwhile.
            ProxyError: It is refused.
        """
        await self._sources.catch_up()
        thumbprint = key_thumbprint(key)
        presented = self._certificates.presented(request)
        device_id = self._certificates.device_id(thumbprint, presented)
        bound = self._bound(key, thumbprint, presented)
        before = self._of_same_client(person, thumbprint)
        session_id = secrets.token_hex(_SESSION_ID_BYTES) if before is None else before.id
        renewal = RenewalToken.new(session_id)
        record = self._record(session_id, person, renewal)
        record = msgspec.structs.replace(
            record,
            key_thumbprint=thumbprint,
            device_id=device_id,
            address=remote(request),
            user_agent=request.headers.get("User-Agent", "")[:_MAX_USER_AGENT],
        )
        await self._write_down(request, "auth.sign-in", record, bound, again=before is not None)
        record = await self._kept(record, before, used(session_id))
        await self._end_others_of(person, thumbprint)
        return Granted(record=record, renewal=renewal, bound=bound, key=key)

    async def renew(
        self,
        request: web.Request,
        presented_token: RenewalToken,
        key: ec.EllipticCurvePublicKey | None,
    ) -> "Granted":
        """Renew a session.

        Args:
            request: The client's; comes with a certificate of the session's key.
            presented_token: What it renews with.
            key: The client's where it wants a new certificate.

        Raises:
            Replayed: The token was used before.
            ProxyError: It is refused.
        """
        now = self._desk.clock.now()
        presented = self._certificates.presented(request)
        following = RenewalToken.new(presented_token.session_id)
        was: list[SessionRecord] = []

        def renewed(record: SessionRecord) -> SessionRecord:
            was[:] = [record]
            certificate = self._certificates.good(request, record.key_thumbprint)
            self._check_holds(record, now)
            _check_same_key(key, record)
            changed = rotated(record, presented_token, following, now)
            if record.step_up:  # the client is told so, once, and renews with what it has
                return msgspec.structs.replace(record, seen_at=now, step_up="")
            device_id = self._certificates.device_id(record.key_thumbprint, certificate)
            return msgspec.structs.replace(changed, device_id=device_id, seen_at=now)

        try:
            record = await self._directory.update(presented_token.session_id, renewed)
        except Unauthenticated as error:
            await self._sources.catch_up()
            raise self._why_ended(presented_token, presented, error) from error
        if was[0].step_up:
            raise _step_up(was[0].step_up)
        bound = Bound(thumbprint=presented.thumbprint)
        if key is not None:
            bound = self._bound(key, record.key_thumbprint, presented)
        if was[0].renewed_at is None:
            await self._write_down(request, "auth.renewal", record, bound)
        return Granted(
            record=record,
            renewal=following,
            bound=bound,
            key=key or self._certificates.key(request),
        )

    async def answer(self, granted: "Granted", posture: str) -> dict[str, object]:
        """Return what the token endpoint answers (RFC 6749 section 5.1)."""
        record, now = granted.record, self._desk.clock.now()
        issued = self._sources.tokens.issue(
            record.id,
            granted.bound.thumbprint,
            life=min(self._directory.settings.token, record.ends_at - now),
        )
        answer: dict[str, object] = {
            "access_token": issued.text,
            "token_type": "Bearer",
            "expires_in": int((issued.expires_at - now).total_seconds()),
            "refresh_token": granted.renewal.text,
            "session_id": record.id,
            "session_ends_at": f"{record.ends_at:%Y-%m-%dT%H:%M:%SZ}",
            "username": record.username,
            "nonce": self._sources.nonces.new(),
        }
        if granted.bound.issued is not None:
            answer["certificate"] = granted.bound.issued.pem
        if posture:
            error = await self._sources.posture.take(
                posture, granted.key, device_id=record.device_id, session=record.id
            )
            if error:
                answer["posture_error"] = error
        return answer

    async def end_replayed(self, request: web.Request, session_id: str, what: str) -> None:
        """End a session because ``what`` it began or was renewed with came a second time."""
        record = self._directory.find(session_id)
        message = f"{what} was used a second time, so somebody else may have it"
        await self._desk.events.record_event(
            Event(
                name="auth.session-ended",
                message=message,
                by=BY,
                user=("", "", "")
                if record is None
                else (record.username, record.issuer, record.subject),
                session=session_id,
                device_id="" if record is None else record.device_id,
                address=address_of(request),
                port=port_of(request),
                details=client_details(request),
            )
        )
        await self._directory.end(session_id, SessionEnd.REVOKED, message, by=BY)

    async def sign_out(self, request: web.Request, token: RenewalToken) -> None:
        """End the session that a renewal token is of, if it is one's (RFC 7009)."""
        await self._sources.catch_up()  # it may have been renewed at another worker just now
        record = self._directory.find(token.session_id)
        if record is None or record.ended_at is not None or not token.is_of(record):
            return
        await self._write_down(request, "auth.sign-out", record, Bound(thumbprint=""))
        await self._directory.end(record.id, SessionEnd.SIGNED_OUT, "", by=record.username)

    def _record(self, session_id: str, person: Person, renewal: RenewalToken) -> SessionRecord:
        now = self._desk.clock.now()
        return SessionRecord(
            id=session_id,
            username=person.username,
            groups=person.groups,
            uid=person.uid,
            extra=person.extra,
            issuer=person.issuer,
            subject=person.subject,
            email=person.email,
            idp_session=person.idp_session,
            vouched_by=person.vouched_by,
            authenticated_at=person.authenticated_at,
            authentication_class=person.authentication_class,
            authentication_methods=person.authentication_methods,
            began_at=now,
            ends_at=now + self._directory.settings.absolute,
            seen_at=now,
            verified_at=person.signed_in_at,
            key_thumbprint="",
            refresh=self._sources.sealer.seal(
                person.refresh_token.encode(), refresh_context(session_id)
            ),
            renewal_digest=renewal.digest,
        )

    async def _kept(
        self, record: SessionRecord, before: SessionRecord | None, used: Put
    ) -> SessionRecord:
        if before is None:
            await self._directory.begin(record, used)
            return record
        was: list[SessionRecord] = []

        def anew(present: SessionRecord) -> SessionRecord:
            was[:] = [present]
            return msgspec.structs.replace(record, risk=present.risk)

        kept = await self._directory.update(before.id, anew, used)
        self._sources.superseded(was[0])
        return kept

    def _of_same_client(self, person: Person, thumbprint: str) -> SessionRecord | None:
        user = (person.issuer, person.subject)
        return next((one for one in self._directory.of_key(thumbprint) if one.user == user), None)

    async def _end_others_of(self, person: Person, thumbprint: str) -> None:
        """A client is signed in as one person: what it was as another ends."""
        for one in self._directory.of_key(thumbprint):
            if one.user != (person.issuer, person.subject):
                await self._directory.end(
                    one.id, SessionEnd.SIGNED_OUT, "somebody else signed in on this client", by=BY
                )

    def _bound(
        self, key: ec.EllipticCurvePublicKey, thumbprint: str, presented: DevicePosture
    ) -> Bound:
        issued = self._certificates.issued(key)
        if issued is not None:
            return Bound(thumbprint=issued.thumbprint, issued=issued)
        if not presented.thumbprint or presented.key_thumbprint != thumbprint:
            raise Unauthenticated(
                "this kzproxy issues no certificates: sign in with your device's certificate and"
                " its key (`--device-cert` and `--device-key`)"
            )
        return Bound(thumbprint=presented.thumbprint)

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
        over = why_over(record, self._directory.settings, self._desk.clock.now())
        return Unauthenticated(over) if over else error

    async def _write_down(
        self,
        request: web.Request,
        name: str,
        record: SessionRecord,
        bound: Bound,
        *,
        again: bool = False,
    ) -> None:
        details = client_details(request)
        if bound.thumbprint:
            details["certificate"] = bound.thumbprint
        if record.authentication_class:
            details["acr"] = record.authentication_class
        if again:
            details["again"] = "true"
        await self._desk.events.record_event(
            Event(
                name=name,
                by=record.username,
                user=(record.username, record.issuer, record.subject),
                session=record.id,
                device_id=record.device_id,
                key_thumbprint=record.key_thumbprint,
                address=address_of(request),
                port=port_of(request),
                details=details,
            )
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Granted:
    """A session that was begun or renewed.

    Attributes:
        record: As it is now.
        renewal: What it is renewed with next.
        bound: What its token is good with.
        key: The client's, which it has shown.
    """

    record: SessionRecord
    renewal: RenewalToken
    bound: Bound
    key: ec.EllipticCurvePublicKey


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
