"""Grants: one sign-in of one user for one client, and everything that can be revoked with it."""

from dataclasses import dataclass, replace
from datetime import datetime

from kzproxy.clock.system import Clock
from kzproxy.demo.idp_accounts import Accounts
from kzproxy.demo.idp_settings import Lifetimes
from kzproxy.demo.idp_store import ExpiringStore, digest, new_secret
from kzproxy.demo.idp_users import DemoUser

MAX_GRANTS = 4096
MAX_TOKENS = 16384
"""Enough for days of one person's work; a store that is full forgets its oldest."""

PLAIN_CLASS = "0"
"""OpenID Connect Core section 2: no level of assurance at all."""

STRONG_CLASS = "urn:kzproxy:demo:strong"
"""Said of a sign-in that was asked to be strong, so that step-up can be seen; worth no more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """What a user has let a client have.

    Attributes:
        session: The ``sid`` of its ID tokens, and its name here.
        authenticated_at: When the user pressed the button; it stays the same over refreshes.
        ends_at: No refreshing past this.
        authentication_class: What the sign-in is said to be worth.
    """

    session: str
    client_id: str
    user: DemoUser
    scopes: tuple[str, ...]
    authenticated_at: datetime
    ends_at: datetime
    authentication_class: str = PLAIN_CLASS


@dataclass(slots=True)
class _RefreshToken:
    session: str
    used: bool = False


class Grants:
    """The grants that live, and the refresh and access tokens that hang on them.

    Ending a grant ends them all: each token names its grant, and is worth nothing without it.
    """

    def __init__(self, clock: Clock, lifetimes: Lifetimes, accounts: Accounts) -> None:
        self._clock = clock
        self._lifetimes = lifetimes
        self._accounts = accounts
        self._grants = ExpiringStore[Grant](clock, maximum=MAX_GRANTS)
        self._access = ExpiringStore[str](clock, maximum=MAX_TOKENS)
        self._refresh = ExpiringStore[_RefreshToken](clock, maximum=MAX_TOKENS)

    def open(
        self,
        *,
        client_id: str,
        user: DemoUser,
        scopes: tuple[str, ...],
        authenticated_at: datetime,
        authentication_class: str = PLAIN_CLASS,
    ) -> Grant:
        """Begin a grant."""
        grant = Grant(
            session=new_secret(),
            client_id=client_id,
            user=user,
            scopes=scopes,
            authenticated_at=authenticated_at,
            ends_at=self._clock.now() + self._lifetimes.grant,
            authentication_class=authentication_class,
        )
        self._grants.put(grant.session, grant, self._lifetimes.grant)
        return grant

    def end(self, session: str) -> None:
        """End a grant; one that has ended already is no error."""
        self._grants.take(session)

    def live(self, session: str) -> Grant | None:
        """Return the grant while it lives, with its user as they are now.

        That of a disabled user does not live; it does again when they are enabled.
        """
        grant = self._grants.get(session)
        if grant is None or not self._accounts.is_enabled(grant.user.name):
            return None
        return replace(grant, user=self._accounts.present(grant.user))

    def new_access_token(self, grant: Grant) -> str:
        """Return an opaque token that opens userinfo."""
        token = new_secret()
        self._access.put(digest(token), grant.session, self._lifetimes.access_token)
        return token

    def new_refresh_token(self, grant: Grant) -> str:
        """Return a token that is good for one refresh."""
        token = new_secret()
        lifetime = grant.ends_at - self._clock.now()
        self._refresh.put(digest(token), _RefreshToken(grant.session), lifetime)
        return token

    def of_access_token(self, token: str) -> Grant | None:
        """Return the living grant that an access token was made for."""
        session = self._access.get(digest(token))
        return None if session is None else self.live(session)

    def use_refresh_token(self, token: str, *, client_id: str) -> Grant | None:
        """Spend a refresh token and return its living grant.

        One that was spent before ends the grant: one of the two who hold it is a thief, and there
        is no telling which (RFC 9700 section 4.14.2).
        """
        kept = self._refresh.get(digest(token))
        grant = None if kept is None else self.live(kept.session)
        if kept is None or grant is None or grant.client_id != client_id:
            return None
        if kept.used:
            self.end(kept.session)
            return None
        kept.used = True
        return grant

    def introspected(self, token: str, *, client_id: str) -> Grant | None:
        """Return the living grant of an access or refresh token of ``client_id`` that is good."""
        name = digest(token)
        refresh = self._refresh.get(name)
        session = self._access.get(name)
        if refresh is not None and not refresh.used:
            session = refresh.session
        grant = None if session is None else self.live(session)
        return grant if grant is not None and grant.client_id == client_id else None

    def revoke(self, token: str, *, client_id: str) -> None:
        """Revoke a token of ``client_id`` (RFC 7009 section 2); an unknown one is no error.

        A refresh token takes its grant along; an access token goes alone.
        """
        name = digest(token)
        refresh = self._refresh.get(name)
        if refresh is not None and self._is_of(refresh.session, client_id):
            self.end(refresh.session)
        access = self._access.get(name)
        if access is not None and self._is_of(access, client_id):
            self._access.take(name)

    def _is_of(self, session: str, client_id: str) -> bool:
        grant = self.live(session)
        return grant is not None and grant.client_id == client_id
