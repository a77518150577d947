"""A certificate signing request (PKCS #10): what is taken from it is its key, and nothing else.

Whoever asks for a certificate may write into the request what they like. What a certificate says is
decided by kzproxy, from what it knows of the session or the device; subject, alternative names and
every other attribute of the request are not even looked at.
"""

import re

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec

from kzproxy.errors.kinds import BadRequest

MAX_REQUEST_BYTES = 8 * 1024
"""One with a P-256 key is some 400 bytes."""

# One block and nothing beside it, so that no other reader finds another request in the same text.
_PEM = re.compile(
    r"-----BEGIN CERTIFICATE REQUEST-----\r?\n[A-Za-z0-9+/=\r\n]+"
    r"-----END CERTIFICATE REQUEST-----\s*"
)


def requested_key(pem: str) -> ec.EllipticCurvePublicKey:
    """Return the P-256 key that a request is for, once its holder is shown to have the key.

    Raises:
        BadRequest: It cannot be read, is not signed by its own key, or is for another kind of key.
    """
    request = _request(pem)
    try:
        key = request.public_key()
        is_signed = request.is_signature_valid
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise BadRequest("the certificate signing request's key cannot be read") from error
    if not is_p256(key):
        raise BadRequest("the certificate signing request must be for a P-256 key")
    if not is_signed:
        raise BadRequest("the certificate signing request is not signed by its own key")
    assert isinstance(key, ec.EllipticCurvePublicKey)  # noqa: S101 - is_p256 has said so
    return key


def is_p256(key: object) -> bool:
    """Whether this is a public key on the one curve that kzproxy issues certificates for."""
    return isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1)


def _request(pem: str) -> x509.CertificateSigningRequest:
    if len(pem) > MAX_REQUEST_BYTES:
        raise BadRequest(f"the certificate signing request is over {MAX_REQUEST_BYTES} bytes")
    if _PEM.fullmatch(pem) is None:
        raise BadRequest("the certificate signing request must be one PEM block, and nothing else")
    try:
        return x509.load_pem_x509_csr(pem.encode("ascii"))
    except (ValueError, TypeError, UnsupportedAlgorithm, x509.InvalidVersion) as error:
        raise BadRequest("the certificate signing request cannot be read") from error
