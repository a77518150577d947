"""A small certificate authority for the demo and the tests: its key lies beside what it signs."""

from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID

from kzproxy.clock.system import Clock
from kzproxy.demo.certificate_parts import (
    as_authority,
    as_end,
    host_name,
    key_pem,
    new_key,
    signed,
    subject,
    unsigned,
)
from kzproxy.demo.private_file import write_private_file
from kzproxy.devices.names import DEVICE_URN

# A certificate begins a little before now, for machines whose clocks differ.
CLOCK_SKEW = timedelta(minutes=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateAndKey:
    """A certificate and its private key, both PEM.

    Attributes:
        certificate_pem: The certificate, then its intermediate authorities, if any.
    """

    certificate_pem: bytes
    private_key_pem: bytes = field(repr=False)

    def write(self, certificate: Path, private_key: Path) -> None:
        """Write both files; the key's is 0600."""
        write_private_file(private_key, self.private_key_pem)
        certificate.write_bytes(self.certificate_pem)


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaf:
    """What an end certificate says. Nothing is checked: tests ask for bad ones too.

    Attributes:
        validity: How long from now; a negative one has expired already.
        begins_in: How long from now it begins to hold; not yet valid if positive.
        usages: The extended key usages; with none the extension is left out.
        hosts: DNS names and IP addresses, for the subject alternative names.
        uris: URI subject alternative names.
    """

    common_name: str
    validity: timedelta
    organizations: tuple[str, ...] = ()
    usages: tuple[x509.ObjectIdentifier, ...] = ()
    hosts: tuple[str, ...] = ()
    uris: tuple[str, ...] = ()
    begins_in: timedelta = -CLOCK_SKEW


class CertificateAuthority:
    """Issues certificates; make one with ``create`` or ``load``."""

    def __init__(
        self,
        certificate: x509.Certificate,
        private_key: ec.EllipticCurvePrivateKey,
        clock: Clock,
        intermediates: tuple[x509.Certificate, ...] = (),
    ) -> None:
        self._certificate = certificate
        self._private_key = private_key
        self._clock = clock
        self._intermediates = intermediates

    @classmethod
    def create(cls, common_name: str, *, validity: timedelta, clock: Clock) -> Self:
        """Make a new self-signed authority."""
        key = new_key()
        builder = _authority(common_name, key, validity, clock)
        certificate = signed(builder, issuer_name=subject([common_name]), issuer_key=key)
        return cls(certificate, key, clock)

    @classmethod
    def load(cls, files: CertificateAndKey, *, clock: Clock) -> Self:
        """Take an authority that was made before.

        Raises:
            ValueError: It is not PEM.
            TypeError: The key is of another kind.
        """
        key = load_pem_private_key(files.private_key_pem, password=None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise TypeError("the authority's key is not an elliptic-curve key")
        return cls(x509.load_pem_x509_certificate(files.certificate_pem), key, clock)

    @property
    def certificate_pem(self) -> bytes:
        """The authority's own certificate."""
        return self._certificate.public_bytes(Encoding.PEM)

    @property
    def files(self) -> CertificateAndKey:
        """The authority's own certificate and key."""
        return CertificateAndKey(
            certificate_pem=self.certificate_pem, private_key_pem=key_pem(self._private_key)
        )

    def intermediate(self, common_name: str, *, validity: timedelta) -> "CertificateAuthority":
        """Issue an authority below this one; what it issues carries its certificate along."""
        key = new_key()
        certificate = self._signed(_authority(common_name, key, validity, self._clock))
        return CertificateAuthority(
            certificate, key, self._clock, (certificate, *self._intermediates)
        )

    def server(self, *hosts: str, validity: timedelta, common_name: str = "") -> CertificateAndKey:
        """Issue a server's certificate for DNS names and IP addresses."""
        return self.issue(
            Leaf(
                common_name=common_name or hosts[0],
                validity=validity,
                usages=(ExtendedKeyUsageOID.SERVER_AUTH,),
                hosts=hosts,
            )
        )

    def client(
        self, common_name: str, *organizations: str, validity: timedelta
    ) -> CertificateAndKey:
        """Issue a client's certificate: to Kubernetes a user in some groups."""
        return self.issue(
            Leaf(
                common_name=common_name,
                organizations=organizations,
                validity=validity,
                usages=(ExtendedKeyUsageOID.CLIENT_AUTH,),
            )
        )

    def device(self, device_id: str, *, validity: timedelta) -> CertificateAndKey:
        """Issue a device's certificate, as kzproxy reads it."""
        return self.issue(
            Leaf(
                common_name=device_id,
                validity=validity,
                usages=(ExtendedKeyUsageOID.CLIENT_AUTH,),
                uris=(f"{DEVICE_URN}{device_id}",),
            )
        )

    def issue(self, leaf: Leaf) -> CertificateAndKey:
        """Issue what ``leaf`` says, with a new key."""
        key = new_key()
        chain = (self._signed(_leaf(leaf, key, self._clock)), *self._intermediates)
        return CertificateAndKey(
            certificate_pem=b"".join(each.public_bytes(Encoding.PEM) for each in chain),
            private_key_pem=key_pem(key),
        )

    def _signed(self, builder: x509.CertificateBuilder) -> x509.Certificate:
        return signed(builder, issuer_name=self._certificate.subject, issuer_key=self._private_key)


def signing_key_pem() -> bytes:
    """Return a new P-256 private key for service account tokens.

    In the older form (SEC 1): kube-apiserver takes the public half from it, and finds none in a
    PKCS 8 file (client-go util/keyutil ParsePublicKeysPEM).
    """
    key = new_key()
    return key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())


def _authority(
    common_name: str, key: ec.EllipticCurvePrivateKey, validity: timedelta, clock: Clock
) -> x509.CertificateBuilder:
    return as_authority(_certificate(subject([common_name]), key, clock, -CLOCK_SKEW, validity))


def _leaf(leaf: Leaf, key: ec.EllipticCurvePrivateKey, clock: Clock) -> x509.CertificateBuilder:
    name = subject([leaf.common_name], leaf.organizations)
    builder = as_end(_certificate(name, key, clock, leaf.begins_in, leaf.validity))
    if leaf.usages:
        builder = builder.add_extension(x509.ExtendedKeyUsage(leaf.usages), critical=False)
    names: list[x509.GeneralName] = [host_name(host) for host in leaf.hosts]
    names += [x509.UniformResourceIdentifier(uri) for uri in leaf.uris]
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder


def _certificate(
    name: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    clock: Clock,
    begins_in: timedelta,
    ends_in: timedelta,
) -> x509.CertificateBuilder:
    now = clock.now()
    ends = now + ends_in
    # An expired certificate has to have begun before it ended.
    return unsigned(name, key, min(now + begins_in, ends - CLOCK_SKEW), ends)
