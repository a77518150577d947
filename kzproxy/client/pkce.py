"""Proof Key for Code Exchange (RFC 7636), always with S256."""

import base64
import hashlib
import secrets
from dataclasses import dataclass, field

VERIFIER_BYTES = 48


@dataclass(frozen=True, slots=True, kw_only=True)
class ProofKey:
    """A verifier, which stays here until the code is redeemed, and its challenge."""

    verifier: str = field(repr=False)
    challenge: str

    @classmethod
    def generate(cls) -> "ProofKey":
        """Make a new one."""
        verifier = secrets.token_urlsafe(VERIFIER_BYTES)
        digest = hashlib.sha256(verifier.encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        return cls(verifier=verifier, challenge=challenge)

    @property
    def parameters(self) -> dict[str, str]:
        """Return what goes into the authorization request."""
        return {"code_challenge": self.challenge, "code_challenge_method": "S256"}
