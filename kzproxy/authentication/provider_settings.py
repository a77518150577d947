"""What an operator says about an identity provider that kzproxy itself signs people in at."""

from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum

import msgspec
from msgspec.structs import replace

from kzproxy.authentication.settings import MEBIBYTE, JwtIssuerSettings

USUAL_SCOPES = ("profile", "email", "groups", "offline_access")
"""Asked for where the operator names none: what names people, and a refresh token."""


class Reverify(StrEnum):
    """How kzproxy asks whether a sign-in still holds, and what it notices by that.

    Attributes:
        REFRESH: By redeeming the refresh token; the answer's ID token says who the person is now.
        USERINFO: Likewise, but who the person is now is asked of userinfo: for providers that give
            no ID token at a refresh, or a stale one.
        INTROSPECTION: By RFC 7662; says only whether the sign-in holds, not who the person is now.
    """

    REFRESH = "refresh"
    USERINFO = "userinfo"
    INTROSPECTION = "introspection"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderSettings:
    """One provider, and who kzproxy is there.

    Attributes:
        issuer: Whose claim mappings give the identity. Its ``audiences`` are for tokens that come
            with requests; an ID token that kzproxy asks for must be for ``client_id`` and no other.
        client_id: Of the confidential client that kzproxy is.
        client_secret: Its secret.
        scopes: To ask for, ``openid`` among them; none for the usual ones that it knows.
        certificate_authority_pem: Who vouches for the provider's TLS; empty for the system's trust.
        reverify: How a sign-in is confirmed.
        parameters: What this provider wants in an authorization request besides the standard ones.
            A ``prompt`` among them, which may be empty, is asked for in place of ``consent``.
        callback: Ends the address that its answers come to; empty for the usual one.
        shares_callback: Whether answers of other providers come there, too. Then each must say
            whose it is, or one provider could have another's codes brought to itself.
    """

    issuer: JwtIssuerSettings
    client_id: str
    client_secret: str = field(repr=False)
    scopes: tuple[str, ...] = ()
    certificate_authority_pem: str = ""
    reverify: Reverify = Reverify.REFRESH
    parameters: tuple[tuple[str, str], ...] = ()
    callback: str = ""
    shares_callback: bool = False

    @property
    def own_issuer(self) -> JwtIssuerSettings:
        """Return the issuer as it is for what kzproxy asks for itself: for this client alone.

        So that what was made for another client of the issuer is never taken for an answer to us,
        and being a client here opens no way for our ID tokens to be sent with requests.
        """
        return replace(self.issuer, audiences=(self.client_id,))


class ProviderLimits(msgspec.Struct, frozen=True, kw_only=True):
    """How long and how much kzproxy listens to a provider.

    Attributes:
        answer_timeout: For one question, from connecting to the answer's last byte.
        answer_bytes: For one answer.
        connections: At a time, to one provider.
        discovery_lifetime: After which the discovery document is fetched again.
        discovery_kept: How long the last good one serves where it cannot be.
        discovery_cool_down: Between two attempts to fetch it.
    """

    answer_timeout: timedelta = timedelta(seconds=10)
    answer_bytes: int = MEBIBYTE
    connections: int = 32
    discovery_lifetime: timedelta = timedelta(hours=1)
    discovery_kept: timedelta = timedelta(hours=12)
    discovery_cool_down: timedelta = timedelta(seconds=5)


DEFAULT_PROVIDER_LIMITS = ProviderLimits()
