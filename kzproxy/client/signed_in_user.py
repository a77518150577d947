"""Who the cached token says the user is.

What kzproxy makes of it is the business of its configuration: ``kubectl auth whoami`` asks it.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime

from kzproxy.client.device_files import read_device_files
from kzproxy.client.held_session import HeldSession
from kzproxy.client.id_token import Claims, read_claims
from kzproxy.client.plugin_settings import PluginSettings
from kzproxy.client.token_cache import CacheEntry

NAMING_CLAIMS = ("preferred_username", "email", "name", "sub")


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedInUser:
    """One sign-in as shown to its user.

    Attributes:
        name: The most telling of the naming claims.
        claims: Those that name the user, their groups, and the sign-in.
        expires_at: End of the token; aware, UTC.
        has_renewal: Whether there is what the next one is had with.
        ends_at: When the session, or the certificate that it needs, ends; None: not known here.
    """

    name: str
    claims: Claims = field(default_factory=dict)
    expires_at: datetime
    has_renewal: bool
    ends_at: datetime | None = None

    def refreshable(self, now: datetime) -> bool:
        """Return whether the next token is had without asking."""
        return self.has_renewal and self._goes_on(now)

    def holds(self, now: datetime) -> bool:
        """Return whether kubectl can go on without asking, as far as is known here."""
        return self.refreshable(now) or (now < self.expires_at and self._goes_on(now))

    def _goes_on(self, now: datetime) -> bool:
        return self.ends_at is None or now < self.ends_at


def signed_in_user(entry: CacheEntry, settings: PluginSettings) -> SignedInUser:
    """Read the user off a cache entry.

    Raises:
        ClientFailure: The device's certificate cannot be read, and the session needs it.
    """
    expires_at = datetime.fromtimestamp(entry.expires_at, UTC)
    has_renewal = bool(entry.refresh_token)
    if entry.session is not None:  # its token is for kzproxy to read
        return SignedInUser(
            name=entry.session.username or "somebody",
            expires_at=expires_at,
            has_renewal=has_renewal,
            ends_at=datetime.fromtimestamp(_end(entry.session, settings), UTC),
        )
    claims = read_claims(entry.id_token)
    shown = (*NAMING_CLAIMS, "groups", "iss", "aud", "auth_time")
    return SignedInUser(
        name=display_name(claims),
        claims={name: claims[name] for name in shown if name in claims},
        expires_at=expires_at,
        has_renewal=has_renewal,
    )


def _end(session: HeldSession, settings: PluginSettings) -> int:
    if not settings.device_certificate:
        return min(session.ends_at, session.certificate_ends_at)
    # Somebody else renews it: what a renewal shows is in the file by now.
    files = read_device_files(settings.device_certificate, settings.device_key)
    return min(session.ends_at, files.ends_at)


def display_name(claims: Claims) -> str:
    """Return what to call the user."""
    names = (claims.get(name) for name in NAMING_CLAIMS)
    return next((name for name in names if isinstance(name, str) and name), "nobody")
