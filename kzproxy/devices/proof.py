"""The proof that a device has its key: a JWS (RFC 7515) over a nonce of kzproxy's and what it asks.

``ES256`` by the key itself, with the header type ``kzproxy-enrolment+jwt``: what else the key
signs, such as a posture report, is no proof, and a proof is nothing else.
"""

import base64
import binascii
import hashlib
from enum import StrEnum
from typing import TypeVar

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from kzproxy.errors.kinds import BadRequest

PROOF_TYPE = "kzproxy-enrolment+jwt"
MAX_PROOF_CHARS = 4096

_PARTS = 3
_HALF_BYTES = 32

_Part = TypeVar("_Part", bound=msgspec.Struct)


class Purpose(StrEnum):
    """What is asked for."""

    ENROL = "enrol"
    CERTIFICATE = "certificate"


class _Header(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    typ: str
    alg: str
    kid: str


class Proof(msgspec.Struct, frozen=True, kw_only=True):
    """What was signed.

    Attributes:
        aud: Whom it is for: the sign-in URL.
        nonce: From ``{url}/nonce``.
        purpose: A proof for one thing is none for another.
        name: As the owner calls the device.
        serial: As the device says; may be empty.
        platform: As the device says; may be empty.
    """

    aud: str
    nonce: str
    purpose: Purpose
    name: str = ""
    serial: str = ""
    platform: str = ""


def key_id(key: ec.EllipticCurvePublicKey) -> str:
    """Return the ``kid`` of a key: base64url of the SHA-256 of its SubjectPublicKeyInfo."""
    spki = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return _unpadded(hashlib.sha256(spki).digest())


def verified_proof(
    proof: str, key: ec.EllipticCurvePublicKey, *, audience: str, purpose: Purpose
) -> Proof:
    """Return what ``proof`` says, signed by ``key``; that its nonce is fresh is not looked at.

    Raises:
        BadRequest: It is not a proof by this key, for this purpose and to this audience.
    """
    if len(proof) > MAX_PROOF_CHARS:
        raise BadRequest(f"the proof is over {MAX_PROOF_CHARS} characters")
    parts = proof.split(".")
    if len(parts) != _PARTS:
        raise BadRequest("the proof is not a signed JWT: three base64url parts")
    header = _read(parts[0], _Header)
    if (header.typ, header.alg) != (PROOF_TYPE, "ES256"):
        raise BadRequest(f"the proof must have the type {PROOF_TYPE} and be signed with ES256")
    if header.kid != key_id(key):
        raise BadRequest("the proof is by another key than the one to be enrolled")
    _check_signature(f"{parts[0]}.{parts[1]}", _decoded(parts[2]), key)
    claims = _read(parts[1], Proof)
    if claims.aud != audience:
        raise BadRequest(f"the proof is for {claims.aud!r}, not for {audience}")
    if claims.purpose is not purpose:
        raise BadRequest(f"the proof is to {claims.purpose.value}, not to {purpose.value}")
    return claims


def _check_signature(signed: str, signature: bytes, key: ec.EllipticCurvePublicKey) -> None:
    if len(signature) != 2 * _HALF_BYTES:
        raise BadRequest("the proof's signature is not one of ES256")
    r, s = (
        int.from_bytes(half, "big") for half in (signature[:_HALF_BYTES], signature[_HALF_BYTES:])
    )
    try:
        key.verify(encode_dss_signature(r, s), signed.encode("ascii"), ec.ECDSA(hashes.SHA256()))
    except (InvalidSignature, UnicodeEncodeError) as error:
        raise BadRequest("the proof is not signed by the key that it names") from error


def _read(part: str, kind: type[_Part]) -> _Part:
    try:
        return msgspec.json.decode(_decoded(part), type=kind)
    except (ValueError, RecursionError) as error:
        raise BadRequest("the proof cannot be read") from error


def _decoded(part: str) -> bytes:
    try:
        decoded = base64.b64decode(part + "=" * (-len(part) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadRequest("the proof is not base64url") from error
    if _unpadded(decoded) != part:
        raise BadRequest("the proof is not base64url without padding")
    return decoded


def _unpadded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode("ascii").rstrip("=")
