"""The one reader of what a client's key has signed: three base64url parts, ES256 by that very key.

Which key it must be, whoever reads it knows already; it is never looked for in what was signed. The
header holds the type, the algorithm and the key's name and nothing else: each type is for one
purpose, so that what was signed for one is nothing for another.
"""

import base64
import binascii
import hashlib
from typing import TypeVar

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

_PARTS = 3
_HALF_BYTES = 32

_Part = TypeVar("_Part", bound=msgspec.Struct)


class NotSigned(Exception):
    """Something that the key did not sign as it should; the message says why, of "it"."""


class _Header(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    typ: str
    alg: str
    kid: str


def key_id(key: ec.EllipticCurvePublicKey) -> str:
    """Return the ``kid`` of a key: base64url of the SHA-256 of its SubjectPublicKeyInfo."""
    spki = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return _unpadded(hashlib.sha256(spki).digest())


def signed_claims(
    text: str,
    key: ec.EllipticCurvePublicKey,
    *,
    header_type: str,
    claims: type[_Part],
    max_chars: int,
) -> _Part:
    """Return what ``key`` has signed; whom it is for and how old it is, is not looked at.

    Args:
        text: The compact form.
        key: That must have signed it.
        header_type: The ``typ`` that it must have.
        claims: What it is read as, once the signature holds.
        max_chars: How long it may be.

    Raises:
        NotSigned: It is not signed by this key as one of this type, or cannot be read.
    """
    if not isinstance(key.curve, ec.SECP256R1):
        raise NotSigned("the key that is to have signed it is none of ES256 (P-256)")
    if len(text) > max_chars:
        raise NotSigned(f"it is over {max_chars} characters")
    parts = text.split(".")
    if len(parts) != _PARTS:
        raise NotSigned("it is not a signed JWT: three base64url parts")
    header = _read(parts[0], _Header)
    if (header.typ, header.alg) != (header_type, "ES256"):
        raise NotSigned(f"its type must be {header_type}, and it must be signed with ES256")
    if header.kid != key_id(key):
        raise NotSigned("it names another key than the one that is to have signed it")
    _check_signature(f"{parts[0]}.{parts[1]}", _decoded(parts[2]), key)
    return _read(parts[1], claims)


def _check_signature(signed: str, signature: bytes, key: ec.EllipticCurvePublicKey) -> None:
    if len(signature) != 2 * _HALF_BYTES:
        raise NotSigned("its signature is none of ES256")
    r = int.from_bytes(signature[:_HALF_BYTES], "big")
    s = int.from_bytes(signature[_HALF_BYTES:], "big")
    try:
        key.verify(encode_dss_signature(r, s), signed.encode("ascii"), ec.ECDSA(hashes.SHA256()))
    except (InvalidSignature, UnicodeEncodeError) as error:
        raise NotSigned("it is not signed by the key that it names") from error


def _read(part: str, kind: type[_Part]) -> _Part:
    try:
        return msgspec.json.decode(_decoded(part), type=kind)
    except (ValueError, RecursionError) as error:
        raise NotSigned(f"it cannot be read: {error}") from error


def _decoded(part: str) -> bytes:
    try:
        data = base64.b64decode(part + "=" * (-len(part) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise NotSigned("it is not base64url") from error
    # One text for one thing that was signed: the last letter may hold bits that say nothing.
    if _unpadded(data) != part:
        raise NotSigned("it is not base64url without padding")
    return data


def _unpadded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode("ascii").rstrip("=")
