"""kzproxy's own certificate authority: short certificates for clients and enrolled devices.

A certificate says one thing, a URI that names its holder, and its subject is empty: to
kube-apiserver, should it ever be made to trust the same authority, it is nobody.
"""

import hashlib
from datetime import datetime, timedelta

import msgspec
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID

from kzproxy.devices.names import ClientName, DeviceName, key_thumbprint
from kzproxy.devices.serial_numbers import new_serial_number
from kzproxy.devices.signing_request import is_p256
from kzproxy.errors.kinds import ServiceUnavailable

DEFAULT_LIFETIME = timedelta(hours=24)

# For machines whose clocks are behind.
CLOCK_SKEW = timedelta(minutes=5)

_MIN_RSA_BITS = 2048


class IssuedCertificate(msgspec.Struct, frozen=True, kw_only=True):
    """A certificate that was issued.

    Attributes:
        pem: The certificate, then the authorities between it and the root, if any.
        thumbprint: SHA-256 of the certificate, hex.
        serial: Its serial number, hex.
        uri: What it names.
        not_before: Aware, UTC.
        not_after: Aware, UTC.
    """

    pem: str
    thumbprint: str
    serial: str
    uri: str
    not_before: datetime
    not_after: datetime


class CertificateIssuer:
    """Issues certificates with the key of one authority.

    Attributes:
        lifetime: How long a certificate holds, if the authority does.
    """

    def __init__(
        self,
        certificate_pem: bytes,
        private_key_pem: bytes,
        *,
        lifetime: timedelta = DEFAULT_LIFETIME,
    ) -> None:
        """Take the authority's certificate, the authorities above it if any, and its key.

        Raises:
            ValueError: They are not what an authority needs; the message says why.
        """
        self.lifetime = lifetime
        self._chain = tuple(x509.load_pem_x509_certificates(certificate_pem))
        self._authority = self._chain[0]
        self._key = _private_key(private_key_pem)
        _check_authority(self._authority)
        if key_thumbprint(self._key.public_key()) != key_thumbprint(self._authority.public_key()):
            raise ValueError("the key is not that of the authority's certificate")

    @property
    def ends_at(self) -> datetime:
        """Until when any certificate of this authority can hold."""
        return min(certificate.not_valid_after_utc for certificate in self._chain)

    @property
    def begins_at(self) -> datetime:
        """Return from when on any certificate of this authority can hold."""
        return max(certificate.not_valid_before_utc for certificate in self._chain)

    def sample(self, now: datetime) -> tuple[bytes, ...]:
        """Return a chain, DER, as a client would show it, of a certificate that nobody has.

        Raises:
            ValueError: The authority's own certificate has ended, or does not hold yet.
        """
        if self.ends_at <= now:
            raise ValueError(f"the certificate ended at {self.ends_at:%Y-%m-%dT%H:%M:%SZ}")
        if now < self.begins_at:
            begins = f"{self.begins_at:%Y-%m-%dT%H:%M:%SZ}"
            raise ValueError(f"the certificate is valid only from {begins} on; compare the clocks")
        key = ec.generate_private_key(ec.SECP256R1()).public_key()
        issued = self.issue(key, DeviceName(device_id="sample"), now=now)
        certificates = x509.load_pem_x509_certificates(issued.pem.encode("ascii"))
        return tuple(certificate.public_bytes(Encoding.DER) for certificate in certificates)

    def issue(
        self,
        public_key: ec.EllipticCurvePublicKey,
        name: DeviceName | ClientName,
        *,
        now: datetime,
        not_after: datetime | None = None,
    ) -> IssuedCertificate:
        """Issue a certificate that holds from a little before ``now`` on.

        Args:
            public_key: P-256; its holder has shown that they have the private half.
            name: All that it says.
            now: Aware, UTC.
            not_after: Ends it before its lifetime is over; None where nothing does.

        Raises:
            ValueError: The key is of another kind, or ``not_after`` has passed.
            ServiceUnavailable: The authority's own certificate has ended, or does not hold yet.
        """
        if not is_p256(public_key):
            raise ValueError("certificates are issued for P-256 keys alone")
        self._check_holds(now)
        ends = min(now + self.lifetime, self.ends_at, not_after or self.ends_at)
        if ends <= now:
            raise ValueError("the certificate would have ended already")
        begins = max(now - CLOCK_SKEW, self.begins_at)
        builder = _unsigned(public_key, name, begins, ends)
        certificate = (
            builder.issuer_name(self._authority.subject)
            .add_extension(_authority_key_identifier(self._authority), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        return self._issued(certificate, name)

    def _check_holds(self, now: datetime) -> None:
        if self.ends_at <= now:
            raise ServiceUnavailable(
                "kzproxy's certificate authority has expired; tell whoever runs kzproxy",
                detail=f"the issuing certificate ended at {self.ends_at:%Y-%m-%dT%H:%M:%SZ}",
            )
        if now < self.begins_at:
            raise ServiceUnavailable(
                "kzproxy's certificate authority is not valid yet; have whoever runs kzproxy"
                " compare its clock",
                detail=f"the issuing certificate begins at {self.begins_at:%Y-%m-%dT%H:%M:%SZ}",
            )

    def _issued(
        self, certificate: x509.Certificate, name: DeviceName | ClientName
    ) -> IssuedCertificate:
        # A root is known to whoever verifies, or counts for nothing.
        between = (each for each in self._chain if each.issuer != each.subject)
        pems = [each.public_bytes(Encoding.PEM) for each in (certificate, *between)]
        return IssuedCertificate(
            pem=b"".join(pems).decode("ascii"),
            thumbprint=hashlib.sha256(certificate.public_bytes(Encoding.DER)).hexdigest(),
            serial=f"{certificate.serial_number:x}",
            uri=name.uri,
            not_before=certificate.not_valid_before_utc,
            not_after=certificate.not_valid_after_utc,
        )


def _unsigned(
    key: ec.EllipticCurvePublicKey,
    name: DeviceName | ClientName,
    begins: datetime,
    ends: datetime,
) -> x509.CertificateBuilder:
    names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(name.uri)])
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .public_key(key)
        .serial_number(new_serial_number(key_thumbprint(key)))
        .not_valid_before(begins)
        .not_valid_after(ends)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_SIGNATURES_ALONE, critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        # Critical, because the subject is empty (RFC 5280 section 4.2.1.6).
        .add_extension(names, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


_SIGNATURES_ALONE = x509.KeyUsage(
    digital_signature=True,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=False,
    crl_sign=False,
    encipher_only=False,
    decipher_only=False,
)


def _authority_key_identifier(authority: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    try:
        known = authority.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    except x509.ExtensionNotFound:
        key = authority.public_key()
        assert isinstance(key, ec.EllipticCurvePublicKey | rsa.RSAPublicKey)  # noqa: S101 - checked
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(key)
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(known)


def _private_key(pem: bytes) -> ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey:
    try:
        key = load_pem_private_key(pem, password=None)
    except TypeError as error:
        raise ValueError("the key is encrypted, and kzproxy is given no password") from error
    except UnsupportedAlgorithm as error:
        raise ValueError("the key is of a kind that cannot be used") from error
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return key
    if isinstance(key, rsa.RSAPrivateKey) and key.key_size >= _MIN_RSA_BITS:
        return key
    raise ValueError(f"the key must be an elliptic-curve or an RSA key of {_MIN_RSA_BITS} bits")


def _check_authority(certificate: x509.Certificate) -> None:
    extensions = certificate.extensions
    try:
        is_authority = extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        is_authority = False
    if not is_authority:
        raise ValueError("the certificate is not an authority's (basicConstraints CA:TRUE)")
    try:
        usage = extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return
    if not usage.key_cert_sign:
        raise ValueError("the authority may not sign certificates (keyUsage keyCertSign)")
