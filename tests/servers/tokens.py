"""Sign tokens by hand, as other people's issuers and attackers do.

Written on ``cryptography`` and not on PyJWT, which kzproxy verifies with: the two must not share a
mistake, and a library refuses to write most of what a test needs to send.
"""

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey

_HASHES = {"256": hashes.SHA256(), "384": hashes.SHA384(), "512": hashes.SHA512()}
_CURVES = {
    "ES256": ("P-256", ec.SECP256R1(), 32),
    "ES384": ("P-384", ec.SECP384R1(), 48),
    "ES512": ("P-521", ec.SECP521R1(), 66),
}


@dataclass(frozen=True)
class SigningKey:
    """A private key with its name and algorithm."""

    key_id: str | None
    algorithm: str
    private: PrivateKey = field(repr=False)

    @classmethod
    def make(cls, key_id: str | None, algorithm: str = "ES256") -> "SigningKey":
        if algorithm in _CURVES:
            private: PrivateKey = ec.generate_private_key(_CURVES[algorithm][1])
        elif algorithm == "EdDSA":
            private = ed25519.Ed25519PrivateKey.generate()
        else:
            private = rsa.generate_private_key(65537, 2048)
        return cls(key_id=key_id, algorithm=algorithm, private=private)

    def jwk(self, **members: object) -> dict[str, object]:
        """Return the public key as JSON Web Key; ``members`` are added, None removes one."""
        jwk = _public_members(self.private) | {"kid": self.key_id, "use": "sig"} | members
        return {name: value for name, value in jwk.items() if value is not None}

    def token(self, claims: object, **header: object) -> str:
        """Sign claims; ``header`` members are added, None removes one."""
        members = {"alg": self.algorithm, "kid": self.key_id, "typ": "JWT"} | header
        return self.token_of(
            json_bytes({name: value for name, value in members.items() if value is not None}),
            json_bytes(claims),
        )

    def token_of(self, header: bytes, claims: bytes) -> str:
        """Sign exactly these bytes."""
        signing_input = f"{base64url(header)}.{base64url(claims)}"
        signature = _signature(self.private, self.algorithm, signing_input.encode())
        return f"{signing_input}.{base64url(signature)}"


def hmac_token(secret: bytes, header: Mapping[str, object], claims: object) -> str:
    """Sign with a secret, as in an algorithm confusion attack."""
    signing_input = f"{base64url(json_bytes(header))}.{base64url(json_bytes(claims))}"
    digest = hmac.new(secret, signing_input.encode(), hashlib.sha256).digest()
    return f"{signing_input}.{base64url(digest)}"


def json_bytes(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _signature(private: PrivateKey, algorithm: str, message: bytes) -> bytes:
    match private:
        case rsa.RSAPrivateKey():
            digest = _HASHES[algorithm[2:]]
            if algorithm.startswith("PS"):
                scheme: padding.AsymmetricPadding = padding.PSS(
                    mgf=padding.MGF1(digest), salt_length=digest.digest_size
                )
            else:
                scheme = padding.PKCS1v15()
            return private.sign(message, scheme, digest)
        case ec.EllipticCurvePrivateKey():
            size = _CURVES[algorithm][2]
            r, s = decode_dss_signature(private.sign(message, ec.ECDSA(_HASHES[algorithm[2:]])))
            return r.to_bytes(size, "big") + s.to_bytes(size, "big")
        case _:
            return private.sign(message)


def _public_members(private: PrivateKey) -> dict[str, object]:
    match private:
        case rsa.RSAPrivateKey():
            numbers = private.public_key().public_numbers()
            return {"kty": "RSA", "n": _uint(numbers.n), "e": _uint(numbers.e)}
        case ec.EllipticCurvePrivateKey():
            name, size = next(
                (name, size)
                for name, curve, size in _CURVES.values()
                if curve.name == private.curve.name
            )
            point = private.public_key().public_numbers()
            return {
                "kty": "EC",
                "crv": name,
                "x": base64url(point.x.to_bytes(size, "big")),
                "y": base64url(point.y.to_bytes(size, "big")),
            }
        case _:
            raw = private.public_key().public_bytes_raw()
            return {"kty": "OKP", "crv": "Ed25519", "x": base64url(raw)}


def _uint(number: int) -> str:
    return base64url(number.to_bytes((number.bit_length() + 7) // 8, "big"))
