"""Ask the identity provider about one session, and do what follows from its answer."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from functools import partial

import msgspec

from kzproxy.administrator.end_event import end_event
from kzproxy.administrator.session import SessionEnd, SessionRecord
from kzproxy.administrator.session_directory import SessionDirectory
from kzproxy.attributes.identity import Identity
from kzproxy.audit.events import EventLog
from kzproxy.authentication.provider_client import ProviderClient
from kzproxy.authentication.provider_errors import ProviderRefusal, ProviderSilence
from kzproxy.clock.system import Clock
from kzproxy.errors.kinds import ServiceUnavailable, Unauthenticated
from kzproxy.store.sealing import Sealer, Unsealable

log = logging.getLogger(__name__)

Providers = Callable[[str], ProviderClient | None]
"""Finds the provider of an issuer, as the configuration in force has it."""

BY = "identity provider"
"""Who ends a session here, for the log."""


class Outcome(StrEnum):
    """What came of asking; a closed set for metrics."""

    CONFIRMED = "confirmed"
    REFUSED = "refused"
    SILENT = "silent"
    FAILED = "failed"
    OVER = "over"


class _SessionOver(Exception):
    """The session ended while its provider was asked, or its person signed in anew."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Unwritten:
    """A refresh token that must still be written.

    Attributes:
        began_at: Of the session when it was asked about: another sign-in begins it anew.
        token: Its present refresh token.
    """

    began_at: datetime
    token: str = field(repr=False)


class ProviderCheck:
    """Asks about sessions, one at a time for each session."""

    def __init__(
        self,
        directory: SessionDirectory,
        sealer: Sealer,
        providers: Providers,
        events: EventLog,
        clock: Clock,
    ) -> None:
        """Take the collaborators."""
        self._directory = directory
        self._sealer = sealer
        self._providers = providers
        self._events = events
        self._clock = clock
        # New refresh tokens that the store did not take: the old one is spent, so these are all
        # that is left of the sign-in until they can be written.
        self._unwritten: dict[str, _Unwritten] = {}

    async def check(self, record: SessionRecord) -> Outcome:
        """Ask, and keep what comes of it; never raises for what the store does.

        Raises:
            ProviderSilence: No usable answer. Nothing is written then but a new refresh token: the
                directory refuses a session by itself once its confirmation is too old.
        """
        asked_at = self._clock.now()
        try:
            provider = self._provider(record)
            identity = await self._confirmed(record, provider)
            if words := _why_not_taken(record, identity, provider):
                return await self._end(record, words)
            return await self._take(record, identity, asked_at)
        except ProviderRefusal as no:
            words = f"the identity provider no longer confirms it ({no})"
            return await self._end(record, words)
        except Unauthenticated as no:
            words = f"what the identity provider says of you now is not accepted: {no.message}"
            return await self._end(record, words)
        except _SessionOver:
            return Outcome.OVER
        except (Unsealable, ServiceUnavailable) as error:
            log.warning("session %s could not be confirmed: %s", record.id, _words(error))
            return Outcome.FAILED

    async def write_unwritten(self) -> None:
        """Try again to keep what the store did not take."""
        for session_id, unwritten in list(self._unwritten.items()):
            try:
                await self._write(session_id, unwritten)
            except (Unauthenticated, _SessionOver):
                self._give_back(session_id, unwritten)
            except ServiceUnavailable:
                continue

    def _provider(self, record: SessionRecord) -> ProviderClient:
        provider = self._providers(record.issuer)
        if provider is None:
            raise ProviderSilence(f"{record.issuer} is not a provider of `signIn` any more")
        return provider

    async def _confirmed(self, record: SessionRecord, provider: ProviderClient) -> Identity | None:
        return await provider.confirm(
            self._refresh_token(record), record.subject, partial(self._keep, record, provider)
        )

    def _refresh_token(self, record: SessionRecord) -> str:
        unwritten = self._unwritten.get(record.id)
        if unwritten is not None and unwritten.began_at == record.began_at:
            return unwritten.token
        return self._sealer.open(record.refresh, refresh_context(record.id)).decode()

    async def _keep(self, record: SessionRecord, provider: ProviderClient, token: str) -> None:
        unwritten = _Unwritten(began_at=record.began_at, token=token)
        self._unwritten[record.id] = unwritten
        try:
            await self._write(record.id, unwritten)
        except (Unauthenticated, _SessionOver) as error:
            # It ended meanwhile, or its person has signed in anew, and what this sign-in's token
            # was traded for must not outlive it at the provider.
            self._forget(record.id, unwritten)
            if not self._directory.is_signed_in_otherwise(record):
                await provider.revoke(token)
            raise _SessionOver from error

    async def _write(self, session_id: str, unwritten: _Unwritten) -> None:
        sealed = self._sealer.seal(unwritten.token.encode(), refresh_context(session_id))

        def kept(record: SessionRecord) -> SessionRecord:
            # Looked at in each try: it may have been traded for the next one since it was taken up.
            if self._unwritten.get(session_id) is not unwritten:
                return record
            return _with_refresh(record, sealed=sealed, began_at=unwritten.began_at)

        await self._directory.update(session_id, kept)
        self._forget(session_id, unwritten)

    def _give_back(self, session_id: str, unwritten: _Unwritten) -> None:
        """Have a token that nobody needs any more be revoked at its provider, a moment later."""
        self._forget(session_id, unwritten)
        known = self._directory.find(session_id)
        if known is not None:
            sealed = self._sealer.seal(unwritten.token.encode(), refresh_context(session_id))
            ended = msgspec.structs.replace(known, began_at=unwritten.began_at, refresh=sealed)
            self._directory.tell_of_end(ended)

    def _forget(self, session_id: str, unwritten: _Unwritten) -> None:
        """Have a token be none that must be written; does nothing where it is another by now."""
        if self._unwritten.get(session_id) is unwritten:
            del self._unwritten[session_id]

    async def _take(
        self, record: SessionRecord, identity: Identity | None, asked_at: datetime
    ) -> Outcome:
        change = partial(confirmed, before=record, identity=identity, asked_at=asked_at)
        try:
            await self._directory.update(record.id, change)
        except Unauthenticated as error:
            raise _SessionOver from error
        return Outcome.CONFIRMED

    async def _end(self, record: SessionRecord, words: str) -> Outcome:
        def is_the_same(present: SessionRecord | None) -> bool:
            if present is None or present.ended_at is not None:
                return False  # and whoever ended it has written that down
            return present.began_at == record.began_at  # else it is another sign-in's by now

        try:
            await self._directory.catch_up()
            present = self._directory.find(record.id)
            if not is_the_same(present):
                return Outcome.OVER
            log.info("session %s of %s ends: %s", record.id, record.username, words)
            self._unwritten.pop(record.id, None)
            await self._events.record_event(end_event(record.id, present, words, by=BY))
            await self._directory.end(
                record.id, SessionEnd.DISABLED, words, by=BY, still=is_the_same
            )
        except ServiceUnavailable as error:
            log.warning("session %s could not be ended: %s", record.id, _words(error))
            return Outcome.FAILED
        return Outcome.REFUSED


def confirmed(
    record: SessionRecord, *, before: SessionRecord, identity: Identity | None, asked_at: datetime
) -> SessionRecord:
    """Return a session as the provider confirmed it.

    When and how the person signed in stays as it was: a refresh is nobody's sign-in.

    Args:
        record: As it is now.
        before: As it was when the provider was asked.
        identity: Who the provider says the person is; None where it does not say.
        asked_at: When it was asked.
    """
    if record.began_at != before.began_at:
        return record  # the person has signed in anew, and the answer is about the time before
    # Set back while the answer was under way: what has changed since may not be in it.
    wanted_again = record.verified_at < before.verified_at
    # Else as of when it was asked, even if that is earlier: the clock may have been ahead.
    verified_at = record.verified_at if wanted_again else asked_at
    changed = msgspec.structs.replace(record, verified_at=verified_at)
    if identity is None:
        return changed
    return msgspec.structs.replace(
        changed,
        groups=identity.groups,
        uid=identity.uid,
        extra=identity.extra,
        vouched_by=identity.vouched_by,
    )


def _why_not_taken(
    record: SessionRecord, identity: Identity | None, provider: ProviderClient
) -> str:
    """Return why a session ends although its provider confirms it; empty where it goes on."""
    if identity is not None and identity.username != record.username:
        return f"the identity provider calls you {identity.username} now"
    # Nobody stands behind what an older configuration made of the sign-in, and an answer that
    # names nobody can never be mapped anew.
    if identity is None and record.vouched_by != provider.settings.issuer.revision:
        return (
            "the configuration of your identity provider has changed since you signed in, and by"
            " `reverify: introspection` it is not asked who you are"
        )
    return ""


def refresh_context(session_id: str) -> str:
    """Return what the refresh token of a session is sealed for."""
    return f"session:{session_id}:refresh"


def _with_refresh(record: SessionRecord, sealed: bytes, began_at: datetime) -> SessionRecord:
    if record.began_at != began_at:
        raise _SessionOver
    return msgspec.structs.replace(record, refresh=sealed)


def _words(error: Exception) -> str:
    if isinstance(error, ServiceUnavailable):
        return error.detail or error.message
    return str(error)
