"""A device certificate and its key looked at closely: when a context is written or shown."""

from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)

from kzproxy.client.device_files import read_device_files
from kzproxy.client.failure import ClientFailure


@dataclass(frozen=True, slots=True, kw_only=True)
class DevicePair:
    """What a device certificate says.

    Attributes:
        names: URIs of the subject alternative name, else the subject.
        begins_at: Aware, UTC.
        ends_at: Aware, UTC.
    """

    names: tuple[str, ...]
    begins_at: datetime
    ends_at: datetime


def read_device_pair(certificate_path: str, key_path: str) -> DevicePair:
    """Read both files and check that they belong together.

    Raises:
        ClientFailure: They do not, or one cannot be read.
    """
    files = read_device_files(certificate_path, key_path)
    try:
        certificate = x509.load_pem_x509_certificates(files.certificate.encode())[0]
        names = _names(certificate)
    except ValueError:
        raise ClientFailure(f"the device certificate {certificate_path} is not valid") from None
    try:
        key = load_pem_private_key(files.key.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        message = f"the device key {key_path} cannot be used: kubectl needs it in PEM, unencrypted"
        raise ClientFailure(message) from None
    form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if key.public_key().public_bytes(*form) != certificate.public_key().public_bytes(*form):
        raise ClientFailure(f"the key {key_path} is not that of the certificate {certificate_path}")
    return DevicePair(
        names=names,
        begins_at=certificate.not_valid_before_utc,
        ends_at=certificate.not_valid_after_utc,
    )


def certificate_pair(pem: str) -> DevicePair:
    """Return what a certificate that kzproxy issued says; that the key is its own was checked.

    Raises:
        ClientFailure: It cannot be read.
    """
    try:
        certificate = x509.load_pem_x509_certificates(pem.encode())[0]
        names = _names(certificate)
    except ValueError:
        raise ClientFailure("this client's certificate cannot be read; sign in again") from None
    return DevicePair(
        names=names,
        begins_at=certificate.not_valid_before_utc,
        ends_at=certificate.not_valid_after_utc,
    )


def _names(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return (certificate.subject.rfc4514_string(),)
    uris = extension.value.get_values_for_type(x509.UniformResourceIdentifier)
    return tuple(uris) or (certificate.subject.rfc4514_string(),)
