"""A machine with a key of its own, that asks to be a device as `kzproxy device enroll` does."""

import base64
import hashlib
import json
from dataclasses import dataclass, field
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

URL = "https://kzproxy.example.com:8444"


def new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


@dataclass(frozen=True)
class Machine:
    """What it says of itself is signed with its key."""

    key: ec.EllipticCurvePrivateKey = field(default_factory=new_key)

    @property
    def thumbprint(self) -> str:
        return hashlib.sha256(self._spki).hexdigest()

    @property
    def _spki(self) -> bytes:
        form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return self.key.public_key().public_bytes(*form)

    def csr(self) -> str:
        builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
        return builder.sign(self.key, hashes.SHA256()).public_bytes(Encoding.PEM).decode()

    def header(self) -> dict[str, Any]:
        return {
            "typ": "kzproxy-enrolment+jwt",
            "alg": "ES256",
            "kid": base64url(hashlib.sha256(self._spki).digest()),
        }

    def proof(self, nonce: str, purpose: str = "enrol", **claims: Any) -> str:
        said = {"aud": URL, "nonce": nonce, "purpose": purpose} | claims
        return self.signed(self.header(), said)

    def signed(self, header: dict[str, Any], claims: dict[str, Any]) -> str:
        parts = [base64url(json.dumps(part).encode()) for part in (header, claims)]
        text = ".".join(parts)
        der = self.key.sign(text.encode(), ec.ECDSA(hashes.SHA256()))
        r, s = decode_dss_signature(der)
        return f"{text}.{base64url(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"
