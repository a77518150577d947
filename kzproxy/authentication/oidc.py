"""Who calls, by the tokens of one or more OpenID Connect issuers.

Direct mode: the issuer's own token comes with every request, so what was judged once is
remembered by the token's digest until the token ends, its key is withdrawn, or a few minutes pass.
"""

import asyncio
from collections.abc import Sequence
from typing import Protocol

from kzproxy.attributes.identity import Identity
from kzproxy.authentication.keys import IssuerKeys
from kzproxy.authentication.settings import JwtIssuerSettings
from kzproxy.authentication.signed_token import SignedToken, read_signed_token
from kzproxy.authentication.token_memory import Accepted, Refused, TokenMemory, token_digest
from kzproxy.authentication.validity import MayHoldLater
from kzproxy.authentication.verifier import Judgement, TokenVerifier
from kzproxy.clock.system import Clock
from kzproxy.errors.kinds import Unauthenticated

MAX_REMEMBERED_TOKENS = 10_000
"""Accepted and refused each; about 2 KB an entry."""

_VERIFY_AGAIN_SECONDS = 600.0  # bounds what a slip in the rules below could cost
_REMEMBER_REFUSAL_SECONDS = 60.0


class Authenticates(Protocol):
    """Turns bearer tokens into identities; what each does is said at ``OidcAuthenticator``."""

    @property
    def vouchers(self) -> frozenset[str]:
        """What an identity may have as ``vouched_by``."""

    def remembered(self, token: str) -> Identity | None:
        """Return whose token it is if it was accepted before and still holds."""

    def remembered_by(self, digest: bytes) -> Identity | None:
        """Return the same for the token of a ``token_digest``."""

    async def authenticate(self, token: str) -> Identity:
        """Judge a token."""

    def ready(self) -> str | None:
        """Say why no token can be judged; None where one can."""

    async def run(self) -> None:
        """Keep keys fresh until cancelled."""

    def successor(self, issuers: Sequence[JwtIssuerSettings]) -> "Authenticates":
        """Make the authenticator for other settings."""

    def keys_of(self, issuer: str) -> IssuerKeys | None:
        """Return the keys of an issuer."""


class OidcAuthenticator:
    """Turns bearer tokens into identities. Everything but ``run`` belongs to the request."""

    def __init__(
        self,
        verifiers: Sequence[TokenVerifier],
        clock: Clock,
        *,
        awaited: Sequence[TokenVerifier] | None = None,
    ) -> None:
        """Take one verifier for each issuer.

        Args:
            verifiers: At least one.
            clock: For the age of what is remembered.
            awaited: Those whose issuers must have been asked once before this is ready; all of them
                where nothing is said.

        Raises:
            ValueError: Two verifiers are for the same issuer.
        """
        self._awaited = verifiers if awaited is None else awaited
        self._verifiers = {verifier.issuer.url: verifier for verifier in verifiers}
        if len(self._verifiers) != len(verifiers):
            raise ValueError("two verifiers are for the same issuer")
        self._clock = clock
        self._accepted: TokenMemory[Accepted] = TokenMemory(MAX_REMEMBERED_TOKENS)
        self._refused: TokenMemory[Refused] = TokenMemory(MAX_REMEMBERED_TOKENS)

    def remembered(self, token: str) -> Identity | None:
        """Return whose token it is if it was accepted before and still holds; never waits."""
        return self.remembered_by(token_digest(token))

    def remembered_by(self, digest: bytes) -> Identity | None:
        """Return the same for the token of a ``token_digest``."""
        entry = self._accepted.recall(digest)
        if entry is None:
            return None
        if entry.holds(self._clock.now(), self._clock.monotonic()):
            return entry.identity
        self._accepted.forget(digest)
        return None

    @property
    def vouchers(self) -> frozenset[str]:
        """What an identity of this authenticator may have as ``vouched_by``."""
        return frozenset(verifier.issuer.revision for verifier in self._verifiers.values())

    def keys_of(self, issuer: str) -> IssuerKeys | None:
        """Return the keys of an issuer, which ``run`` keeps fresh; None for one not known here."""
        verifier = self._verifiers.get(issuer)
        return None if verifier is None else verifier.keys

    def successor(self, issuers: Sequence[JwtIssuerSettings]) -> "OidcAuthenticator":
        """Make the authenticator for other settings, which has this one's keys where it can.

        Issuers that have not changed keep their keys, so that nobody has to wait for them, and are
        enough to be ready. What this one remembers of tokens does not go over. The two share
        verifiers, so this one's ``run`` must have ended before the other's begins.
        """
        verifiers = [self._kept(issuer) or _verifier(issuer, self._clock) for issuer in issuers]
        return OidcAuthenticator(verifiers, self._clock, awaited=())

    def _kept(self, issuer: JwtIssuerSettings) -> TokenVerifier | None:
        verifier = self._verifiers.get(issuer.url)
        return verifier if verifier is not None and verifier.issuer == issuer else None

    async def authenticate(self, token: str) -> Identity:
        """Judge a token; waits only while keys are being fetched for it.

        Raises:
            Unauthenticated: It does not hold; the message says why and what to do.
            ServiceUnavailable: The issuer's keys cannot be had.
        """
        identity = self.remembered(token)
        if identity is not None:
            return identity
        digest = token_digest(token)
        self._refuse_again(digest)
        signed = read_signed_token(token)
        verifier = self._verifier(signed)
        try:
            judgement = await verifier.judge(signed)
        except MayHoldLater:
            raise
        except Unauthenticated as refusal:
            self._keep_refusal(digest, refusal.message, verifier.keys)
            raise
        self._keep_judgement(digest, judgement, verifier.keys)
        return judgement.identity

    async def run(self) -> None:
        """Keep the keys of all issuers fresh until cancelled."""
        async with asyncio.TaskGroup() as group:
            for verifier in self._verifiers.values():
                group.create_task(verifier.keys.run())

    def ready(self) -> str | None:
        """Say why no token can be judged; None where at least one issuer's tokens can.

        One issuer of several that is down does not make kzproxy unready, for its neighbours' users
        can still be served; but each has been asked once.
        """
        sources = [verifier.keys for verifier in self._verifiers.values()]
        untried = [v.keys.url for v in self._awaited if not v.keys.tried]
        if untried:
            return "waiting for the keys of issuer " + ", ".join(untried)
        if any(keys.current().keys for keys in sources):
            return None
        return "no issuer's keys can be had: " + "; ".join(
            keys.failure or f"{keys.url} publishes none that can be used" for keys in sources
        )

    def _verifier(self, token: SignedToken) -> TokenVerifier:
        # Unverified here: it only selects which keys the signature must hold under, and the
        # selected verifier trusts nothing else from other issuers.
        issuer = token.claims.get("iss")
        verifier = self._verifiers.get(issuer) if isinstance(issuer, str) else None
        if verifier is None:
            raise Unauthenticated(
                "the token's `iss` is not an issuer that is configured here; sign in with: "
                + ", ".join(self._verifiers)
            )
        return verifier

    def _refuse_again(self, digest: bytes) -> None:
        entry = self._refused.recall(digest)
        if entry is None:
            return
        if entry.stands(self._clock.monotonic()):
            raise Unauthenticated(entry.message)
        self._refused.forget(digest)

    def _keep_refusal(self, digest: bytes, message: str, keys: IssuerKeys) -> None:
        self._refused.keep(
            digest,
            Refused(
                message=message,
                forget_at=self._clock.monotonic() + _REMEMBER_REFUSAL_SECONDS,
                keys=keys,
                key_set=keys.current(),
            ),
        )

    def _keep_judgement(self, digest: bytes, judgement: Judgement, keys: IssuerKeys) -> None:
        check_again_at = min(self._clock.monotonic() + _VERIFY_AGAIN_SECONDS, keys.usable_until)
        self._accepted.keep(
            digest,
            Accepted(
                identity=judgement.identity,
                check_again_at=check_again_at,
                keys=keys,
                fingerprint=judgement.key.fingerprint,
            ),
        )


def oidc_authenticator(issuers: Sequence[JwtIssuerSettings], clock: Clock) -> OidcAuthenticator:
    """Make an authenticator with the default limits for the issuers of a configuration."""
    return OidcAuthenticator([_verifier(issuer, clock) for issuer in issuers], clock)


def _verifier(issuer: JwtIssuerSettings, clock: Clock) -> TokenVerifier:
    return TokenVerifier(issuer, IssuerKeys(issuer, clock), clock)
