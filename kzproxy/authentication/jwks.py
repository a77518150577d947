"""An issuer's public keys (RFC 7517), each with the algorithms that it may verify.

The algorithm is bound to the key, not taken from the token: that is what keeps an RSA key from
being used as an HMAC secret. Only asymmetric algorithms exist here (RFC 7518 section 3.1,
RFC 8037 section 3.1).
"""

import hashlib
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from kzproxy.authentication.signature_algorithms import Algorithm, get_default_algorithms

_log = logging.getLogger(__name__)

_RSA_ALGORITHMS = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"})

# RFC 7518 section 3.4 binds each ECDSA algorithm to one curve.
_ALGORITHMS_OF_CURVE: Mapping[tuple[str, str], frozenset[str]] = {
    ("EC", "P-256"): frozenset({"ES256"}),
    ("EC", "P-384"): frozenset({"ES384"}),
    ("EC", "P-521"): frozenset({"ES512"}),
    ("OKP", "Ed25519"): frozenset({"EdDSA"}),
}

ALGORITHMS: frozenset[str] = _RSA_ALGORITHMS.union(*_ALGORITHMS_OF_CURVE.values())

_MIN_RSA_BITS = 2048  # RFC 7518 section 3.3
_MAX_RSA_BITS = 8192  # a check takes 4 times as long for twice the bits
_MAX_RSA_EXPONENT = 2**32  # 65537 in practice; a long exponent makes each check slow

# A token without `kid` is tried with each key that fits; more keys than this is a lottery.
_MAX_CANDIDATES = 8

_IMPLEMENTATIONS: Mapping[str, Algorithm] = {
    name: algorithm for name, algorithm in get_default_algorithms().items() if name in ALGORITHMS
}

PublicKey = RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey


class KeyRefused(Exception):
    """A published key that kzproxy does not use; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VerificationKey:
    """A public key and what it may verify.

    Attributes:
        key_id: Its name in the set; None where the issuer gives none.
        algorithms: Which algorithms it verifies.
        fingerprint: Equal for two keys that verify the same tokens.
    """

    key_id: str | None
    algorithms: frozenset[str]
    fingerprint: str
    public_key: PublicKey = field(repr=False, compare=False)

    def verifies(self, algorithm: str, signing_input: bytes, signature: bytes) -> bool:
        """Check a signature; False too where the algorithm is not one of this key's."""
        if algorithm not in self.algorithms:
            return False
        return _IMPLEMENTATIONS[algorithm].verify(signing_input, self.public_key, signature)


class KeySet:
    """The keys that an issuer published at one time.

    Attributes:
        keys: Those that are used.
        fingerprints: Of each of them.
        refused: What there is to say of the others.
    """

    def __init__(
        self, keys: Sequence[VerificationKey], refused: frozenset[str] = frozenset()
    ) -> None:
        self.keys = tuple(keys)
        self.refused = refused
        self.fingerprints = frozenset(key.fingerprint for key in keys)

    def candidates(self, key_id: str | None, algorithm: str) -> tuple[VerificationKey, ...]:
        """Return the keys that may have signed: those named, or all where none is named."""
        fitting = [
            key
            for key in self.keys
            if algorithm in key.algorithms and (key_id is None or key.key_id == key_id)
        ]
        return tuple(fitting[:_MAX_CANDIDATES])

    def signer(
        self, key_id: str | None, algorithm: str, signing_input: bytes, signature: bytes
    ) -> VerificationKey | None:
        """Return the key that a signature holds under; None where it holds under none."""
        for key in self.candidates(key_id, algorithm):
            if key.verifies(algorithm, signing_input, signature):
                return key
        return None


def read_key_set(
    published: Iterable[object], issuer: str, told: frozenset[str] = frozenset()
) -> KeySet:
    """Read the members of ``keys``; one that cannot be used is left out, and logged.

    Args:
        published: The members.
        issuer: Whose they are.
        told: What was logged before, and is not logged again.
    """
    keys, refusals = [], set[str]()
    for place, member in enumerate(published):
        try:
            keys.append(read_key(member))
        except KeyRefused as refused:
            refusals.add(f"key {place} of its key set is not used: {refused}")
    for refusal in sorted(refusals - told):
        _log.warning("issuer %s: %s", issuer, refusal)
    return KeySet(keys, frozenset(refusals))


def read_key(jwk: object) -> VerificationKey:
    """Read one JSON Web Key.

    Raises:
        KeyRefused: It is not a public signature key that kzproxy uses.
    """
    if not isinstance(jwk, dict):
        raise KeyRefused("it is not a JSON object")
    _refuse_other_uses(jwk)
    algorithms = _algorithms(jwk)
    public_key = _public_key(jwk, next(iter(algorithms)))
    key_id = jwk.get("kid")
    if key_id is not None and not isinstance(key_id, str):
        raise KeyRefused("its `kid` is not a string")
    return VerificationKey(
        key_id=key_id,
        algorithms=algorithms,
        fingerprint=_fingerprint(key_id, algorithms, public_key),
        public_key=public_key,
    )


def _refuse_other_uses(jwk: Mapping[str, object]) -> None:
    if jwk.get("use", "sig") != "sig":
        raise KeyRefused("it is not for signatures (`use`)")
    operations = jwk.get("key_ops", ["verify"])
    if not isinstance(operations, list) or "verify" not in operations:
        raise KeyRefused("it is not for verifying (`key_ops`)")
    if "d" in jwk or "k" in jwk:
        raise KeyRefused("it is a private or secret key, which no longer proves anything")


def _algorithms(jwk: Mapping[str, object]) -> frozenset[str]:
    kind = jwk.get("kty")
    if kind == "RSA":
        algorithms = _RSA_ALGORITHMS
    else:
        algorithms = _ALGORITHMS_OF_CURVE.get((str(kind), str(jwk.get("crv"))), frozenset())
    if "alg" in jwk:
        algorithms = algorithms & {str(jwk["alg"])}
    if not algorithms:
        raise KeyRefused("its `kty`, `crv` and `alg` are not together one of the accepted kinds")
    return algorithms


def _public_key(jwk: dict[str, object], algorithm: str) -> PublicKey:
    try:
        key: object = _IMPLEMENTATIONS[algorithm].from_jwk(jwk)
    except Exception as error:
        # The members are another party's bytes, and what PyJWT and cryptography raise on odd ones
        # is not one family (TypeError, KeyError, ValueError, OverflowError, their own). One bad
        # key must not take the good ones with it.
        raise KeyRefused(f"it cannot be read ({type(error).__name__})") from error
    match key:
        case RSAPublicKey():
            _refuse_odd_rsa(key)
            return key
        case EllipticCurvePublicKey() | Ed25519PublicKey():
            return key
        case _:
            raise KeyRefused("it is not a public key")


def _refuse_odd_rsa(key: RSAPublicKey) -> None:
    if not _MIN_RSA_BITS <= key.key_size <= _MAX_RSA_BITS:
        raise KeyRefused(f"its size is not from {_MIN_RSA_BITS} to {_MAX_RSA_BITS} bits")
    if key.public_numbers().e > _MAX_RSA_EXPONENT:
        raise KeyRefused("its exponent is too long")


def _fingerprint(key_id: str | None, algorithms: frozenset[str], public_key: PublicKey) -> str:
    subject = public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    words = repr((key_id, sorted(algorithms))).encode()
    return hashlib.sha256(words + subject).hexdigest()
