"""A certificate authority for tests; it stands in for an organisation's own."""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

NOT_BEFORE = datetime(2020, 1, 1, tzinfo=UTC)
NOT_AFTER = datetime(2120, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Issued:
    """A certificate with its private key and, leaf first, what vouches for it."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey = field(repr=False)
    chain: tuple[x509.Certificate, ...]

    @property
    def der_chain(self) -> tuple[bytes, ...]:
        return tuple(c.public_bytes(Encoding.DER) for c in (self.certificate, *self.chain))

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    def write_to(self, directory: Path, name: str) -> tuple[Path, Path]:
        """Write certificate chain and key; return the two paths."""
        certificate, key = directory / f"{name}.crt", directory / f"{name}.key"
        pems = [c.public_bytes(Encoding.PEM) for c in (self.certificate, *self.chain[:-1])]
        certificate.write_bytes(b"".join(pems))
        key.write_bytes(self.key_pem)
        return certificate, key


class Authority:
    """Issues certificates; ``root`` makes one of its own, ``intermediate`` one below another."""

    def __init__(self, issued: Issued) -> None:
        self.issued = issued

    @classmethod
    def root(
        cls,
        name: str = "test root",
        *,
        not_before: datetime = NOT_BEFORE,
        not_after: datetime = NOT_AFTER,
    ) -> "Authority":
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        builder = _builder(subject, subject, key, not_before, not_after)
        certificate = _as_authority(builder).sign(key, hashes.SHA256())
        return cls(Issued(certificate=certificate, key=key, chain=()))

    @property
    def pem(self) -> bytes:
        return self.issued.pem

    def intermediate(
        self,
        name: str = "test intermediate",
        *,
        authority: bool = True,
        not_before: datetime = NOT_BEFORE,
        not_after: datetime = NOT_AFTER,
    ) -> "Authority":
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        issuer = self.issued.certificate.subject
        builder = _builder(subject, issuer, key, not_before, not_after)
        if authority:
            builder = _as_authority(builder)
        return Authority(self._sign(builder, key))

    def server(self, *names: str) -> Issued:
        """Issue a server certificate for DNS names and IP addresses."""
        return self.issue(
            common_names=names[:1],
            alternative_names=[_general_name(name) for name in names],
            usages=[ExtendedKeyUsageOID.SERVER_AUTH],
        )

    def device(self, device_id: str) -> Issued:
        """Issue a device certificate that names the device by URI."""
        return self.issue(
            common_names=["a laptop"],
            alternative_names=[x509.UniformResourceIdentifier(f"urn:kzproxy:device:{device_id}")],
        )

    def issue(
        self,
        *,
        common_names: Sequence[str] = (),
        organizations: Sequence[str] = (),
        alternative_names: Sequence[x509.GeneralName] = (),
        usages: Sequence[x509.ObjectIdentifier] = (ExtendedKeyUsageOID.CLIENT_AUTH,),
        authority: bool = False,
        not_before: datetime = NOT_BEFORE,
        not_after: datetime = NOT_AFTER,
    ) -> Issued:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name(
            [
                *(x509.NameAttribute(NameOID.ORGANIZATION_NAME, name) for name in organizations),
                *(x509.NameAttribute(NameOID.COMMON_NAME, name) for name in common_names),
            ]
        )
        issuer = self.issued.certificate.subject
        builder = _builder(subject, issuer, key, not_before, not_after)
        if authority:
            builder = _as_authority(builder)
        if usages:
            builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        if alternative_names:
            names = x509.SubjectAlternativeName(alternative_names)
            builder = builder.add_extension(names, critical=not common_names)
        return self._sign(builder, key)

    def _sign(self, builder: x509.CertificateBuilder, key: ec.EllipticCurvePrivateKey) -> Issued:
        # VERIFY_X509_STRICT, on by default from Python 3.13, wants the key identifier.
        identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(
            self.issued.key.public_key()
        )
        builder = builder.add_extension(identifier, critical=False)
        certificate = builder.sign(self.issued.key, hashes.SHA256())
        chain = (self.issued.certificate, *self.issued.chain)
        return Issued(certificate=certificate, key=key, chain=chain)


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    not_before: datetime,
    not_after: datetime,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(not_before)
        .not_valid_after(not_after)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _as_authority(builder: x509.CertificateBuilder) -> x509.CertificateBuilder:
    usage = x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=True,
        crl_sign=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
    return builder.add_extension(
        x509.BasicConstraints(ca=True, path_length=None), critical=True
    ).add_extension(usage, critical=True)


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
