"""What one reading of the files gives: everything that can be wrong in a file, and is said."""

import ssl
from typing import TYPE_CHECKING

import msgspec

from kzproxy.administrator.shadow import Shadow
from kzproxy.clock.system import Clock
from kzproxy.config.proxy import ProxySettings
from kzproxy.devices.device_certificate import DeviceAuthority
from kzproxy.errors.configuration import ConfigurationError, Mistake
from kzproxy.location.settings import LocationSettings
from kzproxy.policy.engine import PolicyEngine
from kzproxy.policy.network import Addresses
from kzproxy.policy.rules import AccessPolicySet
from kzproxy.server.device_authorities import certificate_issuer, device_authority
from kzproxy.transport.tls import ListenerTls, listener_context
from kzproxy.upstream.account import Account, UpstreamSettings

if TYPE_CHECKING:
    from kzproxy.devices.issuing import CertificateIssuer
    from kzproxy.location.locations import Locations


class Parts(msgspec.Struct, frozen=True, kw_only=True):
    """What needs neither a socket nor kube-apiserver to be made.

    Attributes:
        listener_tls: The API listener's context.
        account: kzproxy's own at kube-apiserver.
        devices: Who vouches for devices; None where the operator names nobody.
        issuer: Issues certificates for them; None where kzproxy does not.
        engine: The policy.
        shadow: Another one that is asked too; None where there is none.
        locations: Say where addresses are; None where nobody does.
        proxies: Who alone connects, with PROXY headers; None where clients do themselves.
        sign_in_tls: The sign-in listener's context; None where nobody signs in here.
    """

    listener_tls: ssl.SSLContext
    account: Account
    devices: DeviceAuthority | None
    issuer: "CertificateIssuer | None" = None
    engine: PolicyEngine
    shadow: Shadow | None = None
    locations: "Locations | None" = None
    proxies: Addresses | None = None
    sign_in_tls: ssl.SSLContext | None = None

    @property
    def needs_namespace_labels(self) -> bool:
        """Whether a rule looks at the labels of namespaces."""
        shadow = self.shadow
        return self.engine.needs_namespace_labels or (
            shadow is not None and shadow.needs_namespace_labels
        )

    @property
    def device_authorities(self) -> frozenset[str]:
        """Fingerprints of those who vouch for devices."""
        return frozenset() if self.devices is None else self.devices.fingerprints

    @property
    def managed_authorities(self) -> frozenset[str]:
        """Fingerprints of those of them whose devices are managed."""
        return frozenset() if self.devices is None else self.devices.managed


def build_parts(settings: ProxySettings, clock: Clock, known: "Locations | None" = None) -> Parts:
    """Make everything that can be wrong in a file, and say what is.

    ``known`` are the databases that were read before.

    Raises:
        ConfigurationError: A certificate, key or database is not what it should be.
    """
    _check_libraries(settings)
    devices = device_authority(settings.devices)  # first: TLS says less about the same file
    return Parts(
        listener_tls=_listener_tls(settings.tls),
        account=_account(settings.upstream, clock),
        devices=devices,
        issuer=certificate_issuer(settings.devices.issuing, devices, clock),
        engine=PolicyEngine(settings.policy),
        shadow=_shadow(settings.shadow_policy),
        locations=_locations(settings.location, known),
        proxies=settings.client_address.proxy_addresses,
        # One of its own even where it shows the same: it asks at each handshake which is in force.
        sign_in_tls=None if settings.sign_in is None else _listener_tls(settings.sign_in.tls),
    )


def _check_libraries(settings: ProxySettings) -> None:
    if settings.sign_in is None and not settings.posture.providers:
        return
    # aiohttp weighs 11 MiB: it is for those who sign people in, or ask others about devices.
    from kzproxy.server.http_library import check_parser

    check_parser()
    if settings.posture.providers:
        from kzproxy.posture import provider  # noqa: F401 - what asks them


def _shadow(policy: AccessPolicySet | None) -> Shadow | None:
    return Shadow(PolicyEngine(policy)) if policy is not None else None


def _locations(settings: LocationSettings | None, known: "Locations | None") -> "Locations | None":
    if settings is None:
        return None
    # The reader of databases is for those who name one.
    from kzproxy.location.locations import LocationRefused, Locations

    try:
        return Locations.load(settings, known)
    except LocationRefused as error:
        raise _mistake(str(error.path), str(error)) from error


def _listener_tls(settings: ListenerTls) -> ssl.SSLContext:
    source = f"{settings.certificate_file}, {settings.private_key_file}"
    try:
        return listener_context(settings)
    except (OSError, ValueError) as error:
        raise _mistake(source, f"do not serve for TLS: {_words(error)}") from error


def _account(settings: UpstreamSettings, clock: Clock) -> Account:
    try:
        return Account.of(settings, clock)
    except (OSError, ValueError, TypeError) as error:  # The last of a PEM that is not ASCII.
        raise _mistake("upstream", f"certificates do not serve: {_words(error)}") from error


def _mistake(source: str, message: str) -> ConfigurationError:
    return ConfigurationError([Mistake(source=source, message=message)])


def _words(error: Exception) -> str:
    if isinstance(error, ssl.SSLError) and error.reason:
        return error.reason.replace("_", " ").lower()
    return str(error)
