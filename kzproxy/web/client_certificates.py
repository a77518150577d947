"""The certificates of clients: the one that came with a request, and the one that it is given."""

import hashlib
from collections.abc import Callable

import msgspec
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from kzproxy.attributes.device import NO_DEVICE, DevicePosture, Fact
from kzproxy.clock.system import Clock
from kzproxy.devices.device_certificate import DeviceAuthority
from kzproxy.devices.device_record import DeviceState
from kzproxy.devices.issuing import CertificateIssuer, IssuedCertificate
from kzproxy.devices.names import ClientName, DeviceName, key_thumbprint
from kzproxy.devices.registered_posture import blocked_words
from kzproxy.devices.registry import DeviceRegistry
from kzproxy.errors.kinds import Forbidden, Unauthenticated
from kzproxy.transport.tls import verified_chain


class CertificateSources(msgspec.Struct, frozen=True, kw_only=True):
    """Who vouches for certificates, by the configuration in force.

    Attributes:
        authority: Reads them; None where there is none.
        issuer: Issues them; None where kzproxy does not.
    """

    authority: DeviceAuthority | None
    issuer: CertificateIssuer | None


class ClientCertificates:
    """Reads, judges and issues them."""

    def __init__(
        self, sources: Callable[[], CertificateSources], registry: DeviceRegistry, clock: Clock
    ) -> None:
        self._sources = sources
        self._registry = registry
        self._clock = clock

    def presented(self, request: web.Request) -> DevicePosture:
        """Return what the certificate says that came with a request.

        Raises:
            Forbidden: It is a blocked device's.
            ServiceUnavailable: Nobody can tell.
        """
        authority = self._sources().authority
        if authority is None:
            return NO_DEVICE
        read = authority.read(presented_chain(request))
        posture = self._registry.stated(authority.assess(read, self._clock.now()))
        if posture.state == DeviceState.BLOCKED.value:
            raise Forbidden(posture.reason)
        return posture

    def good(self, request: web.Request, thumbprint: str) -> DevicePosture:
        """Return what the certificate says, which must be one of the key ``thumbprint``.

        Raises:
            Unauthenticated: There is none, or another's, or it has expired.
            Forbidden: It is a blocked device's.
        """
        posture = self.presented(request)
        if not posture.thumbprint:
            raise Unauthenticated(
                "the client certificate of the session was not presented; it lies beside the token"
                " cache: sign in again with `kzproxy login` if it is lost"
            )
        if posture.key_thumbprint != thumbprint:
            raise Unauthenticated(
                "the client certificate is for another key than the session's;"
                " sign in again with `kzproxy login`"
            )
        if posture.enrolled is Fact.FAILED:
            raise Unauthenticated(posture.reason)
        return posture

    def key(self, request: web.Request) -> ec.EllipticCurvePublicKey:
        """Return the key of the certificate that came with a request, which ``good`` has judged.

        Raises:
            Unauthenticated: There is none, or of another kind.
        """
        chain = presented_chain(request)
        key = x509.load_der_x509_certificate(chain[0]).public_key() if chain else None
        if not isinstance(key, ec.EllipticCurvePublicKey):
            raise Unauthenticated("the client certificate must be for a P-256 key")
        return key

    def device_id(self, thumbprint: str, presented: DevicePosture) -> str:
        """Return which device a key is of; empty where it is none, or none that is approved.

        Raises:
            Forbidden: The device is blocked.
        """
        record = self._registry.of_key(thumbprint)
        if record is not None and record.state is DeviceState.BLOCKED:
            raise Forbidden(blocked_words(record))
        if record is not None and record.state is DeviceState.APPROVED:
            return record.id
        # One of an MDM's CA, which needs no entry.
        if presented.enrolled is Fact.PASSED and presented.key_thumbprint == thumbprint:
            return presented.device_id
        return ""

    def issued(self, key: ec.EllipticCurvePublicKey) -> IssuedCertificate | None:
        """Issue a certificate for a key whose holder has shown it; None where none are issued.

        Raises:
            Forbidden: It is a blocked device's.
            ServiceUnavailable: The authority has ended.
        """
        issuer = self._sources().issuer
        if issuer is None:
            return None
        thumbprint = key_thumbprint(key)
        record = self._registry.of_key(thumbprint)
        if record is not None and record.state is DeviceState.BLOCKED:
            raise Forbidden(blocked_words(record))
        if record is not None and record.state is DeviceState.APPROVED:
            name: DeviceName | ClientName = DeviceName(device_id=record.id)
        else:
            name = ClientName.of_key(thumbprint)
        return issuer.issue(key, name, now=self._clock.now())


def has_certificate(request: web.Request) -> bool:
    """Whether a certificate that TLS has verified came with a request."""
    return bool(presented_chain(request))


def presented_digest(request: web.Request) -> str:
    """Return the SHA-256 of the certificate that came with a request, hex; empty for none."""
    chain = presented_chain(request)
    return hashlib.sha256(chain[0]).hexdigest() if chain else ""


def presented_chain(request: web.Request) -> tuple[bytes, ...]:
    """Return the chain of the client's certificate that TLS has verified, DER, leaf first."""
    transport = request.transport
    tls = None if transport is None else transport.get_extra_info("ssl_object")
    return () if tls is None else verified_chain(tls)
