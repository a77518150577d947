"""What a client certificate says, read strictly; what cannot be read is a ``Fault``."""

from collections.abc import Iterable
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID, NameOID

from kzproxy.devices.names import DEVICE_ID, DEVICE_URN, key_thumbprint

MAX_CHAIN = 8
"""Device CAs have a root and one or two intermediates."""

_Extensions = dict[x509.ObjectIdentifier, x509.Extension[x509.ExtensionType]]
_KEY_NAMES = (ExtensionOID.SUBJECT_KEY_IDENTIFIER, ExtensionOID.AUTHORITY_KEY_IDENTIFIER)


class Fault(Exception):
    """Why a certificate is not a device's; the message is for the user."""


def bundle(pem: bytes | None) -> tuple[x509.Certificate, ...]:
    """Return the certificates of a PEM bundle; none where there is no bundle."""
    return () if pem is None else tuple(x509.load_pem_x509_certificates(pem))


def fingerprint(certificate: x509.Certificate) -> str:
    """Return the SHA-256 of a certificate, hex."""
    return certificate.fingerprint(hashes.SHA256()).hex()


def certificates_of(chain: tuple[bytes, ...]) -> list[x509.Certificate]:
    """Read a chain, DER, leaf first."""
    if len(chain) > MAX_CHAIN:
        raise Fault(f"the client certificate's chain is longer than {MAX_CHAIN}")
    try:
        return [x509.load_der_x509_certificate(der) for der in chain]
    except (ValueError, x509.InvalidVersion) as error:
        raise Fault("the client certificate cannot be read") from error


def check_issued(certificate: x509.Certificate, issuer: x509.Certificate) -> None:
    """Check that ``issuer`` signed a certificate; whether it may is another question."""
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature) as error:
        raise Fault("the client certificate is not from the device CA") from error


def held_by(
    authority: x509.Certificate, among: Iterable[x509.Certificate]
) -> list[x509.Certificate]:
    """Return all certificates of an authority, its own too; the one that ends last comes first."""
    known = [each for each in among if each == authority or _is_renewal(each, authority)]
    return sorted(known, key=lambda each: each.not_valid_after_utc, reverse=True)


def _is_renewal(certificate: x509.Certificate, other: x509.Certificate) -> bool:
    """Whether two certificates of authorities differ in nothing but when they hold.

    Name, key and what they may do are the same: whatever leads to the one leads to the other.
    """
    if certificate.subject != other.subject:
        return False
    try:
        same_key = thumbprint_of_key(certificate) == thumbprint_of_key(other)
        return same_key and _powers(certificate) == _powers(other)
    except Fault:
        return False


def _powers(certificate: x509.Certificate) -> _Extensions:
    """Return the extensions, without those that only say how a key is called."""
    return {each.oid: each for each in extensions_of(certificate) if each.oid not in _KEY_NAMES}


def one_after_the_other(certificates: Iterable[x509.Certificate]) -> tuple[datetime, datetime]:
    """Return from when to when one of them holds; the last such time, if there are gaps."""
    times = [(each.not_valid_after_utc, each.not_valid_before_utc) for each in certificates]
    (ends, begins), *earlier = sorted(times, reverse=True)
    for end, begin in earlier:
        if end >= begins:
            begins = min(begins, begin)
    return begins, ends


def thumbprint_of_key(certificate: x509.Certificate) -> str:
    """Return what a certificate's key is known by."""
    try:
        return key_thumbprint(certificate.public_key())
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise Fault("the client certificate's key cannot be read") from error


def client_extensions(certificate: x509.Certificate) -> x509.Extensions:
    """Return the extensions of a certificate that is one for client authentication."""
    extensions = extensions_of(certificate)
    if is_authority(extensions):
        raise Fault("the client certificate is a certificate authority's, not a device's")
    if not _is_for_clients(extensions):
        raise Fault("the client certificate is not for client authentication (EKU clientAuth)")
    return extensions


def device_named(certificate: x509.Certificate, extensions: x509.Extensions) -> str:
    """Return the one device that a certificate names."""
    names = urn_names(extensions, DEVICE_URN) or _common_names(certificate)
    if len(names) != 1:
        raise Fault(
            f"the client certificate must name one device, as URI {DEVICE_URN}<id> or as its"
            f" common name, and it names {len(names)}"
        )
    if not DEVICE_ID.fullmatch(names[0]):
        raise Fault(
            "the client certificate's device name is not 1 to 128 letters, digits or . _ : -"
        )
    return names[0]


def extensions_of(certificate: x509.Certificate) -> x509.Extensions:
    """Return all extensions."""
    try:
        return certificate.extensions
    except (ValueError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType) as error:
        raise Fault("the client certificate's extensions cannot be read") from error


def is_authority(extensions: x509.Extensions) -> bool:
    """Whether they are those of a certificate authority."""
    try:
        return extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False


def _is_for_clients(extensions: x509.Extensions) -> bool:
    try:
        usage = extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return False
    return ExtendedKeyUsageOID.CLIENT_AUTH in usage


def urn_names(extensions: x509.Extensions, namespace: str) -> list[str]:
    """Return what follows ``namespace`` in each alternative name that is a URN of it."""
    try:
        names = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    # The scheme and namespace of a URN have no case (RFC 8141 section 3.1).
    return [
        uri[len(namespace) :]
        for uri in names.get_values_for_type(x509.UniformResourceIdentifier)
        if uri[: len(namespace)].lower() == namespace
    ]


def _common_names(certificate: x509.Certificate) -> list[str]:
    try:
        attributes = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    except ValueError as error:
        raise Fault("the client certificate's subject cannot be read") from error
    return [str(attribute.value) for attribute in attributes]
