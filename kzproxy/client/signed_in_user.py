"""Who the cached token says the user is.

What kzproxy makes of it is the business of its configuration: ``kubectl auth whoami`` asks it.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime

from kzproxy.client.id_token import Claims, read_claims
from kzproxy.client.token_cache import CacheEntry

NAMING_CLAIMS = ("preferred_username", "email", "name", "sub")


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedInUser:
    """One sign-in as shown to its user.

    Attributes:
        name: The most telling of the naming claims.
        claims: Those that name the user, their groups, and the sign-in.
        expires_at: End of the ID token; aware, UTC.
        refreshable: Whether the next one is had without asking.
    """

    name: str
    claims: Claims = field(default_factory=dict)
    expires_at: datetime
    refreshable: bool

    def holds(self, now: datetime) -> bool:
        """Return whether kubectl can go on without asking, as far as is known here."""
        return self.refreshable or now < self.expires_at


def signed_in_user(entry: CacheEntry) -> SignedInUser:
    """Read the user off a cache entry."""
    expires_at = datetime.fromtimestamp(entry.expires_at, UTC)
    refreshable = bool(entry.refresh_token)
    if entry.session is not None:  # its token is for kzproxy to read
        name = entry.session.username or "somebody"
        return SignedInUser(name=name, expires_at=expires_at, refreshable=refreshable)
    claims = read_claims(entry.id_token)
    shown = (*NAMING_CLAIMS, "groups", "iss", "aud", "auth_time")
    return SignedInUser(
        name=display_name(claims),
        claims={name: claims[name] for name in shown if name in claims},
        expires_at=expires_at,
        refreshable=refreshable,
    )


def display_name(claims: Claims) -> str:
    """Return what to call the user."""
    names = (claims.get(name) for name in NAMING_CLAIMS)
    return next((name for name in names if isinstance(name, str) and name), "nobody")
