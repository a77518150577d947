"""What kzproxy's certificates call their holder, and what a key is known by."""

import hashlib
import re
from typing import Self

import msgspec
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

DEVICE_URN = "urn:kzproxy:device:"
CLIENT_URN = "urn:kzproxy:client:"

DEVICE_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")

_THUMBPRINT = re.compile(r"[0-9a-f]{64}")
_CLIENT_ID_CHARS = 32


class DeviceName(msgspec.Struct, frozen=True, kw_only=True):
    """An enrolled device.

    Attributes:
        device_id: 1 to 128 letters, digits or . _ : -

    Raises:
        ValueError: It is none.
    """

    device_id: str

    def __post_init__(self) -> None:
        if DEVICE_ID.fullmatch(self.device_id) is None:
            raise ValueError("a device's id is 1 to 128 letters, digits or . _ : -")

    @property
    def uri(self) -> str:
        """What a certificate has as its subject alternative name."""
        return DEVICE_URN + self.device_id


class ClientName(msgspec.Struct, frozen=True, kw_only=True):
    """A client that is no device: its key alone is known.

    Attributes:
        client_id: The first 32 hex digits of its key's thumbprint.
    """

    client_id: str

    @classmethod
    def of_key(cls, thumbprint: str) -> Self:
        """Return the name of the holder of a key.

        Args:
            thumbprint: From ``key_thumbprint``.

        Raises:
            ValueError: It is none.
        """
        if _THUMBPRINT.fullmatch(thumbprint) is None:
            raise ValueError("a key's thumbprint is 64 hex digits")
        return cls(client_id=thumbprint[:_CLIENT_ID_CHARS])

    @property
    def uri(self) -> str:
        """What a certificate has as its subject alternative name."""
        return CLIENT_URN + self.client_id


def key_thumbprint(key: PublicKeyTypes) -> str:
    """Return the SHA-256 of a public key's DER SubjectPublicKeyInfo, hex.

    Certificates of a key are renewed, and an ECDSA signature has a second form that holds too; the
    key stays what it is.
    """
    spki = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(spki).hexdigest()
