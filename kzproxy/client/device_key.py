"""The key of this client at one kzproxy, which a session and an enrolled device are known by.

P-256, made at the first sign-in. It stays when certificates are renewed, when the user signs out
and when somebody else signs in: certificates and sessions come and go, the key is the device.

kubectl takes a key for TLS only as PEM, so the key that kubectl uses can be nowhere but where its
bytes can be had: in a file, or in the operating system's keyring. A TPM can implement ``DeviceKey``
for what is signed in this process (posture reports, enrolment), beside such a key.
"""

import base64
import hashlib
from typing import Protocol

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from kzproxy.client.client_key_file import client_key_name
from kzproxy.client.failure import ClientFailure
from kzproxy.client.file_lock import FileLock
from kzproxy.client.token_cache import TokenCache
from kzproxy.clock.system import Clock

_HALF_BYTES = 32
_LOCK_SECONDS = 10.0


class DeviceKey(Protocol):
    """A P-256 key that signs; where it is kept is its own business."""

    @property
    def public(self) -> bytes:
        """The public key, DER SubjectPublicKeyInfo."""

    def sign(self, data: bytes) -> bytes:
        """Sign with ES256, in the form of RFC 7518 section 3.4: r and s, 32 bytes each."""


class FileKey:
    """A key whose bytes can be had.

    Raises:
        ClientFailure: It is not a P-256 key in PEM.
    """

    def __init__(self, pem: str) -> None:
        self.pem = pem
        self._key = _parsed(pem)

    def __repr__(self) -> str:
        """Name the public key alone."""
        return f"FileKey({thumbprint(self)})"

    @classmethod
    def generate(cls) -> "FileKey":
        """Make a new one."""
        key = ec.generate_private_key(ec.SECP256R1())
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return cls(pem.decode())

    @property
    def public(self) -> bytes:
        """Return the public key, DER SubjectPublicKeyInfo."""
        form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return self._key.public_key().public_bytes(*form)

    def sign(self, data: bytes) -> bytes:
        """Sign with ES256: r and s, 32 bytes each."""
        r, s = utils.decode_dss_signature(self._key.sign(data, ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(_HALF_BYTES, "big") + s.to_bytes(_HALF_BYTES, "big")

    def certificate_request(self) -> str:
        """Return a request for a certificate (PKCS #10, PEM); its name is the issuer's choice."""
        builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
        return builder.sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM).decode()


def thumbprint(key: DeviceKey) -> str:
    """Return what the server knows the key by: SHA-256 of its public key, hex."""
    return hashlib.sha256(key.public).hexdigest()


def key_id(key: DeviceKey) -> str:
    """Return the same as the ``kid`` of what the key signs: base64url."""
    digest = hashlib.sha256(key.public).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def client_key(cache: TokenCache, sign_in_url: str, clock: Clock) -> FileKey:
    """Return this client's key at ``sign_in_url``; made where there is none yet.

    Raises:
        ClientFailure: It cannot be read or made.
    """
    name = client_key_name(sign_in_url)
    if (pem := cache.read_text(name)) is not None:
        return FileKey(pem)
    cache.prepare()
    lock = FileLock(cache.path(f"{name}.lock"), clock)
    with lock.held(_LOCK_SECONDS, lambda: None):
        if (pem := cache.read_text(name)) is not None:  # another process has just made it
            return FileKey(pem)
        key = FileKey.generate()
        cache.write_text(name, key.pem)
        return key


def _parsed(pem: str) -> ec.EllipticCurvePrivateKey:
    try:
        key = load_pem_private_key(pem.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ClientFailure("the client's key is not PEM; remove it and sign in again") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.curve.name != "secp256r1":
        raise ClientFailure("the client's key is not of P-256; remove it and sign in again")
    return key
