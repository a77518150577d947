"""A certificate authority for tests; it stands in for an organisation's own."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from kzproxy.demo.certificate_parts import (
    as_authority,
    host_name,
    key_pem,
    new_key,
    signed,
    subject,
    unsigned,
)

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
        return key_pem(self.key)

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
        key, named = new_key(), subject([name])
        builder = as_authority(unsigned(named, key, not_before, not_after))
        certificate = signed(builder, issuer_name=named, issuer_key=key)
        return cls(Issued(certificate=certificate, key=key, chain=()))

    @classmethod
    def bare(cls) -> "Authority":
        """Make a root as the clusters of Amazon EKS have one: no key of it has an identifier."""
        key, named = new_key(), subject(["kubernetes"])
        builder = (
            x509.CertificateBuilder()
            .subject_name(named)
            .issuer_name(named)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(NOT_BEFORE)
            .not_valid_after(NOT_AFTER)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        )
        return cls(Issued(certificate=builder.sign(key, hashes.SHA256()), key=key, chain=()))

    def renewed(
        self,
        *,
        not_before: datetime,
        not_after: datetime,
        name: str = "",
        usages: Sequence[x509.ObjectIdentifier] = (),
    ) -> "Authority":
        """Make a root with the same key; with the same name and extensions, if not told others."""
        key = self.issued.key
        named = subject([name]) if name else self.issued.certificate.subject
        builder = as_authority(unsigned(named, key, not_before, not_after))
        if usages:
            builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        certificate = signed(builder, issuer_name=named, issuer_key=key)
        return Authority(Issued(certificate=certificate, key=key, chain=()))

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
        key = new_key()
        builder = unsigned(subject([name]), key, not_before, not_after)
        if authority:
            builder = as_authority(builder)
        return Authority(self._sign(builder, key))

    def server(self, *names: str) -> Issued:
        """Issue a server certificate for DNS names and IP addresses."""
        return self.issue(
            common_names=names[:1],
            alternative_names=[host_name(name) for name in names],
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
        key = new_key()
        builder = unsigned(subject(common_names, organizations), key, not_before, not_after)
        if authority:
            builder = as_authority(builder)
        if usages:
            builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        if alternative_names:
            names = x509.SubjectAlternativeName(alternative_names)
            builder = builder.add_extension(names, critical=not common_names)
        return self._sign(builder, key)

    def _sign(self, builder: x509.CertificateBuilder, key: ec.EllipticCurvePrivateKey) -> Issued:
        issuer = self.issued
        certificate = signed(builder, issuer_name=issuer.certificate.subject, issuer_key=issuer.key)
        chain = (self.issued.certificate, *self.issued.chain)
        return Issued(certificate=certificate, key=key, chain=chain)
