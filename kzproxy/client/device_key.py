"""The key of this client at one kzproxy, which a session and an enrolled device are known by.

P-256, made at the first sign-in. It stays when certificates are renewed, when the user signs out
and when somebody else signs in: certificates and sessions come and go, the key is the device.

kubectl takes a key for TLS only as PEM, so the key that kubectl uses can be nowhere but where its
bytes can be had: in a file, or in the operating system's keyring. A TPM can implement ``DeviceKey``
for what is signed in this process (posture reports, enrolment), beside such a key.
"""

import base64
import hashlib
import os
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

from kzproxy.client.failure import ClientFailure
from kzproxy.client.file_lock import FileLock
from kzproxy.client.kept_key import client_key_name, read_client_key, write_client_key
from kzproxy.client.keyring_store import KEYRING
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

    Args:
        pem: P-256.
        what: Names it in the failure.

    Raises:
        ClientFailure: It is not a P-256 key in PEM.
    """

    def __init__(self, pem: str, what: str = "the client's key") -> None:
        self.pem = pem
        self._key = _parsed(pem, what)

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

    It is made in a file, or in the keyring where ``KZPROXY_KEY_STORE`` says ``keyring``.

    Raises:
        ClientFailure: It cannot be read or made.
    """
    if (pem := read_client_key(cache, sign_in_url)) is not None:
        return FileKey(pem)
    cache.prepare()
    lock = FileLock(cache.path(f"{client_key_name(sign_in_url)}.lock"), clock)
    with lock.held(_LOCK_SECONDS, lambda: None):
        if (pem := read_client_key(cache, sign_in_url)) is not None:
            return FileKey(pem)  # another process has just made it
        key = FileKey.generate()
        in_keyring = os.environ.get("KZPROXY_KEY_STORE", "") == KEYRING
        write_client_key(cache, sign_in_url, key.pem, in_keyring=in_keyring)
        return key


def _parsed(pem: str, what: str) -> ec.EllipticCurvePrivateKey:
    try:
        key = load_pem_private_key(pem.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ClientFailure(f"{what} is not a key in PEM; remove it and sign in again") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.curve.name != "secp256r1":
        raise ClientFailure(f"{what} is not of P-256; remove it and sign in again")
    return key
