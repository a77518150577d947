"""The keys that ID tokens are signed with, and their rotation.

At any time there are three kinds, all published: the key that signs, the key that will sign next
(so that whoever caches the set knows it before its first token), and the keys that have signed
and whose tokens may still be about.
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from kzproxy.clock.system import Clock
from kzproxy.demo.idp_settings import Lifetimes, SigningAlgorithm

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey

MAX_RETIRED_KEYS = 8
"""Bounds what ``rotate`` called in a loop would keep."""


@dataclass(frozen=True, slots=True)
class _Key:
    kid: str
    private: PrivateKey


class SigningKeys:
    """Signs, and says with what; rotates by itself when it is used past a key's time.

    Making an RSA key takes some 100 ms on the event loop, once in ``Lifetimes.signing_key``.
    """

    def __init__(self, clock: Clock, algorithm: SigningAlgorithm, lifetimes: Lifetimes) -> None:
        self._clock = clock
        self._lifetimes = lifetimes
        self.algorithm = algorithm
        self._signing = self._new_key()
        self._next = self._new_key()
        self._since = clock.now()
        self._retired: list[tuple[_Key, datetime]] = []

    def sign(self, claims: Mapping[str, Any]) -> str:
        """Return ``claims`` as a signed JWT."""
        self._rotate_if_due()
        return jwt.encode(
            dict(claims),
            self._signing.private,
            algorithm=self.algorithm,
            headers={"kid": self._signing.kid},
        )

    def published(self) -> dict[str, Any]:
        """Return the JWK set (RFC 7517 section 5)."""
        self._rotate_if_due()
        return {"keys": [self._jwk(key) for key in self._all()]}

    def verified_hint(self, token: str, *, issuer: str) -> Mapping[str, Any] | None:
        """Return the claims of an ID token that we signed, whether it has ended or not.

        OpenID Connect RP-Initiated Logout section 4: an expired hint is to be accepted.
        """
        try:
            kid = jwt.get_unverified_header(token).get("kid")
            key = next((key for key in self._all() if key.kid == kid), None)
            if key is None:
                return None
            claims: Mapping[str, Any] = jwt.decode(
                token,
                key.private.public_key(),
                algorithms=[self.algorithm],
                issuer=issuer,
                options={"verify_exp": False, "verify_aud": False},
            )
        except jwt.InvalidTokenError:
            return None
        return claims

    def rotate(self) -> None:
        """Let the next key sign from now on; the one that signed stays published for a while."""
        now = self._clock.now()
        still = [(key, until) for key, until in self._retired if now < until]
        self._retired = [*still, (self._signing, now + self._lifetimes.key_overlap)]
        self._retired = self._retired[-MAX_RETIRED_KEYS:]
        self._signing, self._next = self._next, self._new_key()
        self._since = now

    def _rotate_if_due(self) -> None:
        if self._clock.now() - self._since >= self._lifetimes.signing_key:
            self.rotate()

    def _all(self) -> list[_Key]:
        now = self._clock.now()
        retired = [key for key, until in self._retired if now < until]
        return [self._signing, self._next, *retired]

    def _jwk(self, key: _Key) -> dict[str, Any]:
        public = key.private.public_key()
        jwk: dict[str, Any] = (
            RSAAlgorithm.to_jwk(public, as_dict=True)
            if isinstance(public, rsa.RSAPublicKey)
            else ECAlgorithm.to_jwk(public, as_dict=True)
        )
        jwk.pop("key_ops", None)  # RFC 7517 section 4.3: not beside "use"
        return {**jwk, "kid": key.kid, "use": "sig", "alg": str(self.algorithm)}

    def _new_key(self) -> _Key:
        private: PrivateKey = (
            rsa.generate_private_key(public_exponent=65537, key_size=2048)
            if self.algorithm is SigningAlgorithm.RS256
            else ec.generate_private_key(ec.SECP256R1())
        )
        return _Key(f"demo-{secrets.token_hex(8)}", private)
