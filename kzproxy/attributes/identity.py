"""Who calls."""

from datetime import datetime

import msgspec

ExtraValues = tuple[tuple[str, tuple[str, ...]], ...]

# What an operator maps a workload's SPIFFE ID to, in `claimMappings.extra` of the issuer that may
# vouch for it. A `sub` that only looks like one is none: any issuer could write it.
SPIFFE_ID_EXTRA = "kzproxy.dev/spiffe-id"

SESSION_METHOD = "session"


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """A subject as Kubernetes knows it, and the credential that vouches for it.

    Made only by an authenticator, which has checked that ``username`` is not blank, that no name
    holds a control byte and that no ``system:`` name came from outside.

    Attributes:
        username: After claim mapping and prefix.
        groups: In the order of the claim; ``system:authenticated`` is not in it.
        uid: Empty where none is mapped.
        extra: Lower-case keys ``domain/name`` with their values, sorted by key.
        method: How it was shown: ``oidc``, by a token of the issuer's; ``session``, by one of
            a session that kzproxy keeps.
        issuer: The token's ``iss``.
        subject: The token's ``sub``.
        sign_in: What stays the same over the refreshes of one sign-in: ``sid`` or ``auth_time``; of
            a session, its id.
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
        session_began_at: When the session began; None where it is no session that kzproxy keeps.
        signed_in_from: Address that a session was signed in from; empty where nobody knows.
        seen_from: Address that it was last seen at; empty where it was at no other.
        risk: ``LOW``, ``MEDIUM`` or ``HIGH`` as somebody who is believed says; empty where nobody.
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
    session_began_at: datetime | None = None
    signed_in_from: str = ""
    seen_from: str = ""
    risk: str = ""

    @property
    def is_session(self) -> bool:
        """Whether kzproxy keeps a session of it, whose id is ``sign_in``."""
        return self.method == SESSION_METHOD

    @property
    def spiffe_id(self) -> str:
        """The SPIFFE ID that an issuer's mapping gives to a workload; empty where none."""
        return next((values[0] for key, values in self.extra if key == SPIFFE_ID_EXTRA), "")
