"""Who calls, whichever of the two kinds of token it is shown by.

A token says of what kind it is, and is judged as that and nothing else: what is wrong with it is
said, and never covered up by what another kind would have made of it.
"""

from collections.abc import Sequence

from kzproxy.attributes.identity import Identity
from kzproxy.authentication.oidc import OidcAuthenticator
from kzproxy.authentication.session_authenticator import SessionAuthenticator
from kzproxy.authentication.session_token import is_session_token, is_spelt_as_ours
from kzproxy.authentication.settings import JwtIssuerSettings


class Authenticator:
    """Turns ID tokens and session tokens into identities; see ``OidcAuthenticator``."""

    def __init__(self, oidc: OidcAuthenticator, sessions: SessionAuthenticator) -> None:
        """Ask one or the other."""
        self._oidc = oidc
        self._sessions = sessions

    def remembered(self, token: str) -> Identity | None:
        """Return whose token it is if it was accepted before and still holds; never waits."""
        # In any other spelling a session token never was accepted.
        if is_spelt_as_ours(token):
            return self._sessions.remembered(token)
        return self._oidc.remembered(token)

    @property
    def vouchers(self) -> frozenset[str]:
        """What an identity may have as ``vouched_by``."""
        return self._oidc.vouchers

    def successor(self, issuers: Sequence[JwtIssuerSettings]) -> "Authenticator":
        """Make the authenticator for other settings; see ``OidcAuthenticator``."""
        return Authenticator(self._oidc.successor(issuers), self._sessions.successor(issuers))

    async def authenticate(self, token: str) -> Identity:
        """Judge a token.

        Raises:
            Unauthenticated: It does not hold; the message says why and what to do.
            ServiceUnavailable: It cannot be judged now.
        """
        if is_session_token(token):
            return await self._sessions.authenticate(token)
        return await self._oidc.authenticate(token)

    async def run(self) -> None:
        """Keep the keys of all issuers fresh until cancelled."""
        await self._oidc.run()

    def ready(self) -> str | None:
        """Say why no token can be judged; None where those of one kind can."""
        return None if self._sessions.ready() is None else self._oidc.ready()
