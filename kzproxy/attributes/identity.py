"""Who calls."""

from dataclasses import dataclass
from datetime import datetime

ExtraValues = tuple[tuple[str, tuple[str, ...]], ...]

# What an operator maps a workload's SPIFFE ID to, in `claimMappings.extra` of the issuer that may
# vouch for it. A `sub` that only looks like one is none: any issuer could write it.
SPIFFE_ID_EXTRA = "kzproxy.dev/spiffe-id"


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """A subject as Kubernetes knows it, and the credential that vouches for it.

    Made only by an authenticator, which has checked that ``username`` is not blank, that no name
    holds a control byte and that no ``system:`` name came from outside.

    Attributes:
        username: After claim mapping and prefix.
        groups: In the order of the claim; ``system:authenticated`` is not in it.
        uid: Empty where none is mapped.
        extra: Lower-case keys ``domain/name`` with their values, sorted by key.
        method: How it was shown: ``oidc``.
        issuer: The token's ``iss``.
        subject: The token's ``sub``.
        sign_in: What stays the same over the refreshes of one sign-in: ``sid`` or ``auth_time``.
        expires_at: End of the credential; a stream may not outlive it.
        confirmation: SHA-256 thumbprint, hex, of the certificate that must come with the token
            (``cnf`` ``x5t#S256``, RFC 8705 section 3.1); empty where the token is not bound.
        vouched_by: The issuer as it was configured when it was believed, as
            ``JwtIssuerSettings.revision`` names it.
        authenticated_at: When the person last showed who they are (``auth_time``); None where the
            issuer does not say.
        authentication_class: ``acr``; empty where the issuer does not say.
        authentication_methods: ``amr``; empty where the issuer does not say.
        issued_at: The token's ``iat``; None where it has none.
    """

    username: str
    groups: tuple[str, ...] = ()
    uid: str = ""
    extra: ExtraValues = ()
    method: str
    issuer: str
    subject: str
    sign_in: str = ""
    expires_at: datetime
    confirmation: str = ""
    vouched_by: str = ""
    authenticated_at: datetime | None = None
    authentication_class: str = ""
    authentication_methods: tuple[str, ...] = ()
    issued_at: datetime | None = None

    @property
    def spiffe_id(self) -> str:
        """The SPIFFE ID that an issuer's mapping gives to a workload; empty where none."""
        return next((values[0] for key, values in self.extra if key == SPIFFE_ID_EXTRA), "")
