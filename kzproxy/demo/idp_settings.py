"""How the demo identity provider is set up."""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from ipaddress import ip_address

from kzproxy.demo.idp_clients import Client
from kzproxy.errors.configuration import ConfigurationError, Mistake


class SigningAlgorithm(StrEnum):
    """What ID tokens are signed with. OpenID Connect Core 15.1 makes RS256 the common ground."""

    RS256 = "RS256"
    ES256 = "ES256"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifetimes:
    """How long things hold. The defaults are a demo's: short enough to watch them end.

    Attributes:
        code: From authorization to token (RFC 6749 section 4.1.2 wants at most ten minutes).
        sign_in: How long a person may look at a sign-in page.
        device_code: RFC 8628 ``expires_in``.
        id_token: ``exp`` minus ``iat``.
        access_token: For userinfo only.
        grant: How long refreshing goes on, from the sign-in; rotation does not prolong it.
        signing_key: How long a key signs before the next one does.
        key_overlap: How long a key that signs no more is still published; at least ``id_token``.
    """

    code: timedelta = timedelta(seconds=60)
    sign_in: timedelta = timedelta(minutes=10)
    device_code: timedelta = timedelta(minutes=10)
    id_token: timedelta = timedelta(minutes=5)
    access_token: timedelta = timedelta(minutes=5)
    grant: timedelta = timedelta(hours=12)
    signing_key: timedelta = timedelta(hours=24)
    key_overlap: timedelta = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityProviderSettings:
    """What can be chosen.

    Attributes:
        address: A loopback address; anything else is refused.
        port: 0 picks a free one.
        poll_interval_seconds: RFC 8628 ``interval``.
        confidential_clients: Servers that sign people in here, besides kzproxy's native client.
    """

    address: str = "127.0.0.1"
    port: int = 0
    algorithm: SigningAlgorithm = SigningAlgorithm.RS256
    lifetimes: Lifetimes = Lifetimes()
    poll_interval_seconds: int = 5
    confidential_clients: tuple[Client, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what would put a sign-in without passwords within reach of others.

        Raises:
            ConfigurationError: ``address`` is not a loopback address, or keys would be withdrawn
                before the tokens that they signed have ended.
        """
        require_loopback(self.address)
        if self.lifetimes.key_overlap < self.lifetimes.id_token:
            raise _mistake("key_overlap is shorter than id_token: tokens would outlive their key")


def require_loopback(address: str) -> None:
    """Refuse any address that another machine could reach.

    A name is refused as well: what it resolves to is not ours to say.

    Raises:
        ConfigurationError: ``address`` is not the literal of a loopback address.
    """
    try:
        loopback = ip_address(address).is_loopback
    except ValueError:
        loopback = False
    if not loopback:
        raise _mistake(
            f"refuses to listen on {address!r}: anyone who reaches it can sign in as anyone;"
            " only a loopback address such as 127.0.0.1 is allowed"
        )


def _mistake(message: str) -> ConfigurationError:
    return ConfigurationError([Mistake(source="the demo identity provider", message=message)])
