"""Who calls in a session that kzproxy keeps, by session tokens.

A token is verified once and remembered by its digest. Whether its session still holds is asked of
the sessions with every request, which costs a look into memory.
"""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Protocol

import msgspec
from msgspec.structs import replace

from kzproxy.attributes.identity import Identity
from kzproxy.authentication.session_token import SessionToken, SessionTokens
from kzproxy.authentication.settings import JwtIssuerSettings
from kzproxy.authentication.token_memory import TokenMemory, token_digest
from kzproxy.clock.system import Clock
from kzproxy.errors.kinds import ProxyError, ServiceUnavailable, Unauthenticated

MAX_REMEMBERED_TOKENS = 10_000
_ASK_AGAIN_SECONDS = 5
# Longer than it takes until every worker has heard of what one has written.
_JUST_NOW = timedelta(seconds=5)


class SessionIdentities(Protocol):
    """Knows who calls in a session."""

    def find(self, session_id: str) -> object | None:
        """Return a session that is known, whether or not it holds."""

    def identity(self, session_id: str, now: datetime) -> Identity:
        """Return who calls; the same object for as long as the session is the same.

        Raises:
            Unauthenticated: The session does not hold.
            ServiceUnavailable: Nobody can tell.
        """


class SessionSource(msgspec.Struct, frozen=True, kw_only=True):
    """Where sessions and their tokens are known.

    Attributes:
        tokens: Verifies.
        sessions: Knows who calls.
        catch_up: Has ``sessions`` know what other workers have written.
    """

    tokens: SessionTokens
    sessions: SessionIdentities
    catch_up: Callable[[], Awaitable[None]]


class _Known(msgspec.Struct, frozen=True, kw_only=True):
    """A token that held, and who called with it.

    Attributes:
        token: What it says.
        session: Who calls, as the session has it.
        identity: The same, bound to the token's certificate.
    """

    token: SessionToken
    session: Identity
    identity: Identity


class SessionAuthenticator:
    """Turns session tokens into identities."""

    def __init__(
        self, source: SessionSource, issuers: Sequence[JwtIssuerSettings], clock: Clock
    ) -> None:
        """Take sessions whose identity was mapped as ``issuers`` are configured, and no others."""
        self._source = source
        self._vouchers = frozenset(issuer.revision for issuer in issuers)
        self._urls = frozenset(issuer.url for issuer in issuers)
        self._clock = clock
        self._known: TokenMemory[_Known] = TokenMemory(MAX_REMEMBERED_TOKENS)
        # Of one session with one certificate, whatever its token: what was judged for the last
        # token need not be judged again for the next one.
        self._latest: TokenMemory[_Known] = TokenMemory(MAX_REMEMBERED_TOKENS)

    def remembered(self, token: str) -> Identity | None:
        """Return who calls if the token was verified before and everything holds; never waits."""
        return self.remembered_by(token_digest(token))

    def remembered_by(self, digest: bytes) -> Identity | None:
        """Return the same for the token of a ``token_digest``."""
        known = self._known.recall(digest)
        if known is None:
            return None
        now = self._clock.now()
        try:
            if now < known.token.expires_at and self._is_signed(known.token):
                session = self._source.sessions.identity(known.token.session_id, now)
                if session is known.session:
                    return known.identity
                return self._present(digest, known.token, session)
        except ProxyError:
            pass  # said again, to whom it concerns, where the token is judged
        self._known.forget(digest)
        return None

    async def authenticate(self, token: str) -> Identity:
        """Judge a token; waits only for what another worker has just written.

        Raises:
            Unauthenticated: It does not hold, or its session does not.
            ServiceUnavailable: Nobody can tell.
        """
        verified = self._source.tokens.verify(token)
        await self._hear_of(verified)
        session = self._source.sessions.identity(verified.session_id, self._clock.now())
        return self._present(token_digest(token), verified, session)

    async def _hear_of(self, token: SessionToken) -> None:
        """Have what another worker has written before it gave a token be known here.

        The client comes at once with a token of a sign-in or a renewal, here as well as there: by
        the session as it was before, it would be refused what it has just signed in for.

        Raises:
            ServiceUnavailable: The session is not known, and nobody can be asked.
        """
        if self._source.sessions.find(token.session_id) is None:
            await self._source.catch_up()
        elif self._clock.now() - token.issued_at < _JUST_NOW:
            with suppress(ServiceUnavailable):  # what is known counts, while it is not too old
                await self._source.catch_up()

    def ready(self) -> str | None:
        """Say why no session token can be judged; None where they can."""
        if self._source.tokens.keys.signer(self._clock.now()) is None:
            return "there is no key for session tokens yet"
        return None

    def successor(self, issuers: Sequence[JwtIssuerSettings]) -> "SessionAuthenticator":
        """Make the one for other settings."""
        return SessionAuthenticator(self._source, issuers, self._clock)

    def _is_signed(self, token: SessionToken) -> bool:
        return self._source.tokens.keys.find(token.key_id) is not None

    def _present(self, digest: bytes, token: SessionToken, session: Identity) -> Identity:
        """Return who calls with ``token``: the same object while session and token hold.

        Raises:
            ProxyError: See ``authenticate``.
        """
        known = self._known.recall(digest)
        if known is not None and known.session is session:
            return known.identity
        self._check_voucher(session)
        place = f"{token.session_id}/{token.confirmation}".encode()
        latest = self._latest.recall(place)
        identity = (
            latest.identity
            if latest is not None and latest.session is session
            else replace(session, confirmation=token.confirmation)
        )
        entry = _Known(token=token, session=session, identity=identity)
        self._known.keep(digest, entry)
        self._latest.keep(place, entry)
        return identity

    def _check_voucher(self, session: Identity) -> None:
        if session.vouched_by in self._vouchers:
            return
        if session.issuer in self._urls:
            raise ServiceUnavailable(
                "the configuration of your identity provider has changed; kzproxy asks it again"
                " who you are: try again in a minute",
                retry_after_seconds=_ASK_AGAIN_SECONDS,
            )
        raise Unauthenticated(
            "your identity provider is no longer configured here; ask whoever runs kzproxy"
        )
