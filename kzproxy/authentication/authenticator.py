"""Who calls, whichever of the two kinds of token it is shown by.

A token says of what kind it is, and is judged as that and nothing else: what is wrong with it is
said, and never covered up by what another kind would have made of it.
"""

from collections.abc import Sequence

from kzproxy.attributes.identity import Identity
from kzproxy.authentication.keys import IssuerKeys
from kzproxy.authentication.oidc import OidcAuthenticator
from kzproxy.authentication.session_authenticator import SessionAuthenticator
from kzproxy.authentication.session_token import is_session_token, is_spelt_as_ours
from kzproxy.authentication.settings import JwtIssuerSettings


class Authenticator:
    """Turns ID tokens and session tokens into identities; see ``OidcAuthenticator``.

    Attributes:
        oidc: For the former.
        sessions: For the latter.
    """

    def __init__(self, oidc: OidcAuthenticator, sessions: SessionAuthenticator) -> None:
        """Ask one or the other."""
        self.oidc = oidc
        self.sessions = sessions

    def remembered(self, token: str) -> Identity | None:
        """Return whose token it is if it was accepted before and still holds; never waits."""
        # In any other spelling a session token never was accepted.
        if is_spelt_as_ours(token):
            return self.sessions.remembered(token)
        return self.oidc.remembered(token)

    def remembered_by(self, digest: bytes) -> Identity | None:
        """Return the same for the token of a ``token_digest``: only one of the two knows it."""
        return self.sessions.remembered_by(digest) or self.oidc.remembered_by(digest)

    @property
    def vouchers(self) -> frozenset[str]:
        """What an identity may have as ``vouched_by``."""
        return self.oidc.vouchers

    def keys_of(self, issuer: str) -> IssuerKeys | None:
        """Return the keys of an issuer, which ``run`` keeps fresh; None for one not known here."""
        return self.oidc.keys_of(issuer)

    def successor(self, issuers: Sequence[JwtIssuerSettings]) -> "Authenticator":
        """Make the authenticator for other settings; see ``OidcAuthenticator``."""
        return Authenticator(self.oidc.successor(issuers), self.sessions.successor(issuers))

    async def authenticate(self, token: str) -> Identity:
        """Judge a token.

        Raises:
            Unauthenticated: It does not hold; the message says why and what to do.
            ServiceUnavailable: It cannot be judged now.
        """
        if is_session_token(token):
            return await self.sessions.authenticate(token)
        return await self.oidc.authenticate(token)

    async def run(self) -> None:
        """Keep the keys of all issuers fresh until cancelled."""
        await self.oidc.run()

    def ready(self) -> str | None:
        """Say why no token can be judged; None where those of one kind can."""
        return None if self.sessions.ready() is None else self.oidc.ready()
