"""The proof that a device has its key: a JWS (RFC 7515) over a nonce of kzproxy's and what it asks.

``ES256`` by the key itself, with the header type ``kzproxy-enrolment+jwt``: what else the key
signs, such as a posture report, is no proof, and a proof is nothing else.
"""

from enum import StrEnum

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec

from kzproxy.errors.kinds import BadRequest
from kzproxy.jws.compact import NotSigned, signed_claims

PROOF_TYPE = "kzproxy-enrolment+jwt"
MAX_PROOF_CHARS = 4096


class Purpose(StrEnum):
    """What is asked for."""

    ENROL = "enrol"
    CERTIFICATE = "certificate"


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


def verified_proof(
    proof: str, key: ec.EllipticCurvePublicKey, *, audience: str, purpose: Purpose
) -> Proof:
    """Return what ``proof`` says, signed by ``key``; that its nonce is fresh is not looked at.

    Raises:
        BadRequest: It is not a proof by this key, for this purpose and to this audience.
    """
    try:
        claims = signed_claims(
            proof, key, header_type=PROOF_TYPE, claims=Proof, max_chars=MAX_PROOF_CHARS
        )
    except NotSigned as error:
        raise BadRequest(f"the proof is none by the key to be enrolled: {error}") from error
    if claims.aud != audience:
        raise BadRequest(f"the proof is for {claims.aud!r}, not for {audience}")
    if claims.purpose is not purpose:
        raise BadRequest(f"the proof is to {claims.purpose.value}, not to {purpose.value}")
    return claims
