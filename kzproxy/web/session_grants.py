"""Begin sessions, end them, and say what a client gets."""

import secrets
from collections.abc import Callable
from datetime import timedelta

import msgspec
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec

from kzproxy.administrator.provider_check import refresh_context
from kzproxy.administrator.session import SessionEnd, SessionRecord
from kzproxy.audit.visible import visible
from kzproxy.devices.names import key_thumbprint
from kzproxy.errors.kinds import Forbidden, Unauthenticated
from kzproxy.store.store import Put
from kzproxy.web.granted import Bound, Granted, GrantSources
from kzproxy.web.renewal_token import RenewalToken
from kzproxy.web.session_events import BY, SessionEvents
from kzproxy.web.session_renewal import SessionRenewal
from kzproxy.web.sign_in_desk import SignInDesk, remote
from kzproxy.web.sign_in_flows import Person

_SESSION_ID_BYTES = 16
_MAX_USER_AGENT = 256
# Of a session that ends this very moment. A token opens nothing once its session is over, and who
# comes back with it is told why.
_SHORTEST = timedelta(seconds=1)
_SOMEBODY_ELSE = "somebody else signed in on this client"
_TOO_MANY = "its user has signed in more often than `sessions.perUser` allows"
_REVOKED = "its sign-in was revoked while it began"

Used = Callable[[str], Put]
"""Returns the write that says that a code gave the session of this id."""


class RevokedMeanwhile(Exception):
    """The sign-in was revoked while it was under way; says why, and what to do."""


class SessionGrants:
    """Makes what the token endpoint gives.

    Attributes:
        renewal: Renews what this has begun.
    """

    def __init__(self, desk: SignInDesk, sources: GrantSources) -> None:
        self.renewal = SessionRenewal(desk, sources)
        self._clock = desk.clock
        self._events = SessionEvents(desk.events)
        self._directory = sources.directory
        self._certificates = sources.certificates
        self._sources = sources

    async def begin(
        self, request: web.Request, person: Person, key: ec.EllipticCurvePublicKey, used: Used
    ) -> Granted:
        """Begin a session for somebody who has signed in.

        Where the same person has one with the same key already, it goes on with what is new, so
        that what is under way in it goes on, too.

        Args:
            request: The client's.
            person: Who.
            key: The client's, which it has shown.
            used: Has the code be known as used.

        Raises:
            Conflict: The code was used by somebody else meanwhile.
            RevokedMeanwhile: They may have shown who they are before their sign-ins were ended.
            ProxyError: It is refused.
        """
        await self._sources.catch_up()
        bound = Bound.to(key, self._certificates, request)
        before = self._of_same_client(person, key_thumbprint(key))
        try:
            granted = await self._begun(request, person, key, used, bound, before)
        except Unauthenticated:
            if before is None:
                raise
            # It ended while they signed in.
            granted = await self._begun(request, person, key, used, bound, None)
        await self._end_others_of(request, person, granted.record.key_thumbprint)
        return granted

    async def answer(self, granted: Granted, posture: str) -> dict[str, object]:
        """Return what the token endpoint answers (RFC 6749 section 5.1)."""
        record, now = granted.record, self._clock.now()
        life = min(self._directory.settings.token, record.ends_at - now)
        issued = self._sources.tokens.issue(
            record.id, granted.bound.thumbprint, life=max(life, _SHORTEST)
        )
        answer: dict[str, object] = {
            "access_token": issued.text,
            "token_type": "Bearer",
            "expires_in": max(int((issued.expires_at - now).total_seconds()), 1),
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
        message = f"{what} was used a second time, so somebody else may have it"
        record = self._directory.find(session_id)
        await self._events.ended(request, session_id, record, message)
        await self._directory.end(session_id, SessionEnd.REVOKED, message, by=BY)

    async def sign_out(self, request: web.Request, token: RenewalToken) -> None:
        """End the session that a renewal token is of, if it is one's (RFC 7009)."""
        await self._sources.catch_up()  # it may have been renewed at another worker just now
        record = self._directory.find(token.session_id)
        if record is None or record.ended_at is not None or not token.is_of(record):
            return
        await self._events.signed_out(request, record)
        await self._directory.end(record.id, SessionEnd.SIGNED_OUT, "", by=record.username)

    async def _begun(
        self,
        request: web.Request,
        person: Person,
        key: ec.EllipticCurvePublicKey,
        used: Used,
        bound: Bound,
        before: SessionRecord | None,
    ) -> Granted:
        session_id = secrets.token_hex(_SESSION_ID_BYTES) if before is None else before.id
        renewal = RenewalToken.new(session_id)
        record = self._record(request, person, key, renewal)
        self._check(record, person)
        await self._events.signed_in(request, record, bound.thumbprint, again=before is not None)
        if before is None:
            await self._directory.begin(record, used(session_id))
        else:
            record = await self._goes_on(record, used(session_id))
        await self._end_if_refused(request, record, person)
        if before is None:
            await self._end_too_many(request, record)
        return Granted(record=record, renewal=renewal, bound=bound, key=key)

    def _check(self, record: SessionRecord, person: Person) -> None:
        try:
            self._sources.check_sign_in(record, person.begun_at)
        except Unauthenticated as no:
            raise RevokedMeanwhile(no.message) from no

    async def _end_if_refused(
        self, request: web.Request, record: SessionRecord, person: Person
    ) -> None:
        """End a session that was written after whoever would have ended it had looked for it.

        What was done before it was written is known here by now: its sign-in revoked, its device
        blocked. An administrator who does so later finds it. The former is remembered for less time
        than a session may last, and the latter is taken back some day.
        """
        try:
            self._check(record, person)
            self._certificates.device_id(
                record.key_thumbprint, self._certificates.presented(request)
            )
        except RevokedMeanwhile:
            await self._undo(request, record, SessionEnd.REVOKED, _REVOKED)
            raise
        except Forbidden as blocked:
            await self._undo(request, record, SessionEnd.DEVICE, blocked.message)
            raise

    async def _undo(
        self, request: web.Request, record: SessionRecord, cause: SessionEnd, message: str
    ) -> None:
        await self._events.ended(request, record.id, record, message)
        await self._directory.end(record.id, cause, message, by=BY)

    async def _goes_on(self, record: SessionRecord, used: Put) -> SessionRecord:
        """Have a session go on as ``record`` says; what its provider gave before is forgotten."""

        def anew(present: SessionRecord) -> SessionRecord:
            return msgspec.structs.replace(record, risk=present.risk)

        return await self._directory.update(record.id, anew, used)

    def _record(
        self,
        request: web.Request,
        person: Person,
        key: ec.EllipticCurvePublicKey,
        renewal: RenewalToken,
    ) -> SessionRecord:
        now, thumbprint = self._clock.now(), key_thumbprint(key)
        presented = self._certificates.presented(request)
        refresh = person.refresh_token.encode()
        return SessionRecord(
            id=renewal.session_id,
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
            # Not now: what has ended their sign-ins since then ends this one.
            began_at=person.signed_in_at,
            ends_at=now + self._directory.settings.absolute,
            seen_at=now,
            verified_at=person.signed_in_at,
            key_thumbprint=thumbprint,
            device_id=self._certificates.device_id(thumbprint, presented),
            refresh=self._sources.sealer.seal(refresh, refresh_context(renewal.session_id)),
            renewal_digest=renewal.digest,
            address=remote(request),
            user_agent=visible(request.headers.get("User-Agent", ""), _MAX_USER_AGENT),
        )

    def _of_same_client(self, person: Person, thumbprint: str) -> SessionRecord | None:
        user = (person.issuer, person.subject)
        return next((one for one in self._directory.of_key(thumbprint) if one.user == user), None)

    async def _end_too_many(self, request: web.Request, record: SessionRecord) -> None:
        for one in self._directory.too_many(record):
            await self._events.ended(request, one.id, one, _TOO_MANY)
            await self._directory.end(one.id, SessionEnd.EVICTED, "", by=BY)

    async def _end_others_of(self, request: web.Request, person: Person, thumbprint: str) -> None:
        """A client is signed in as one person: what it was as another ends."""
        for one in self._directory.of_key(thumbprint):
            if one.user != (person.issuer, person.subject):
                await self._events.ended(request, one.id, one, _SOMEBODY_ELSE)
                await self._directory.end(one.id, SessionEnd.SIGNED_OUT, _SOMEBODY_ELSE, by=BY)
