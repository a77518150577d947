"""The keys that session tokens are signed with: kept in the store, made by one worker for all.

A new key is published for a token's life before it signs, so that every worker knows it before its
first token, and for as long after it has signed, until its last token has ended.
"""

import base64
import logging
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
)

from kzproxy.authentication.validity import MAX_LEEWAY
from kzproxy.store.sealing import Sealer, Unsealable
from kzproxy.store.store import Delete, Entry, Put
from kzproxy.store.unreadable import UnreadableEntries

log = logging.getLogger(__name__)

KIND = "signing-key"
MAX_TOKEN_LIFE = timedelta(seconds=300)

PERIOD = timedelta(hours=24)
"""How long a key signs."""

OVERLAP = MAX_TOKEN_LIFE + timedelta(minutes=1)
"""For how long a key is published before it signs, and after; the minute is for clocks."""

_COORDINATE_BYTES = 32
_SIGNATURE_BYTES = 2 * _COORDINATE_BYTES
_ID_BYTES = 12
_ECDSA = ec.ECDSA(hashes.SHA256())


class SigningKeyRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept of a key; times are aware, UTC.

    Attributes:
        id: The ``kid``.
        x: Of the public point, base64url (RFC 7518 section 6.2.1).
        y: Likewise.
        sealed: The private key, PKCS #8 DER, sealed for ``signing-key:ID``.
        created_at: When it was made, and published.
        signs_from: When it takes its predecessor's place.
    """

    id: str
    x: str
    y: str
    sealed: bytes
    created_at: datetime
    signs_from: datetime

    def __repr__(self) -> str:
        """Name it without what is secret in it."""
        return f"SigningKeyRecord(id={self.id!r})"


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningKey:
    """A key as it is used.

    Attributes:
        id: The ``kid``.
        created_at: When it was made.
        signs_from: When it begins to sign.
        public: Verifies.
        private: Signs; None where it was sealed with a key that kzproxy does not have any more.
        jwk: Its public half as it is published.
    """

    id: str
    created_at: datetime
    signs_from: datetime
    public: ec.EllipticCurvePublicKey = field(repr=False)
    private: ec.EllipticCurvePrivateKey | None = field(repr=False)
    jwk: Mapping[str, str] = field(repr=False)

    def sign(self, signed: bytes) -> bytes:
        """Return the ES256 signature (RFC 7518 section 3.4)."""
        if self.private is None:
            raise ValueError(f"key {self.id} cannot sign")
        r, s = decode_dss_signature(self.private.sign(signed, _ECDSA))
        return r.to_bytes(_COORDINATE_BYTES, "big") + s.to_bytes(_COORDINATE_BYTES, "big")

    def verifies(self, signed: bytes, signature: bytes) -> bool:
        """Check an ES256 signature."""
        if len(signature) != _SIGNATURE_BYTES:
            return False
        r = int.from_bytes(signature[:_COORDINATE_BYTES], "big")
        s = int.from_bytes(signature[_COORDINATE_BYTES:], "big")
        try:
            self.public.verify(encode_dss_signature(r, s), signed, _ECDSA)
        except InvalidSignature:
            return False
        return True


class SigningKeys:
    """The keys as the store has them. A ``View``."""

    kind = KIND

    def __init__(self, sealer: Sealer, unreadable: UnreadableEntries | None = None) -> None:
        """Open private keys with ``sealer``; tell ``unreadable`` of those that cannot be read."""
        self._sealer = sealer
        self._unreadable = unreadable or UnreadableEntries()
        self._keys: dict[str, SigningKey] = {}

    def find(self, key_id: str) -> SigningKey | None:
        """Return a key whose tokens may still be about."""
        return self._keys.get(key_id)

    def signer(self, now: datetime) -> SigningKey | None:
        """Return the key that signs at ``now``."""
        able = [key for key in self._keys.values() if key.private is not None]
        begun = [key for key in able if key.signs_from <= now]
        return max(begun, key=lambda key: (key.signs_from, key.id), default=None)

    def published(self) -> dict[str, list[Mapping[str, str]]]:
        """Return the JWK set (RFC 7517 section 5), the newest key first."""
        keys = sorted(self._keys.values(), key=lambda key: (key.created_at, key.id), reverse=True)
        return {"keys": [key.jwk for key in keys]}

    def due(self, now: datetime) -> tuple[Put | Delete, ...]:
        """Return what is to be written at ``now``: a new key, and old ones that go."""
        return (*self._new(now), *self._old(now))

    def _new(self, now: datetime) -> tuple[Put, ...]:
        if self.signer(now) is None:
            return (_new_key(self._sealer, now, now),)
        newest = max(
            key.created_at
            for key in self._keys.values()
            if key.private is not None and not _is_of_the_future(key, now)
        )
        if now < newest + PERIOD:
            return ()
        return (_new_key(self._sealer, now, now + OVERLAP),)

    def _old(self, now: datetime) -> tuple[Delete, ...]:
        signer = self.signer(now)
        if signer is None:
            return ()
        has_taken_over = signer.signs_from + OVERLAP <= now
        return tuple(
            Delete(kind=KIND, key=key.id)
            for key in self._keys.values()
            if _is_of_the_future(key, now)
            or (has_taken_over and key.signs_from < signer.signs_from)
        )

    def replaced(self, entries: Sequence[Entry]) -> None:
        """See ``View``."""
        self._keys.clear()
        for entry in entries:
            self._keep(entry)

    def changed(self, key: str, entry: Entry | None) -> None:
        """See ``View``."""
        self._keys.pop(key, None)
        if entry is not None:
            self._keep(entry)

    def _keep(self, entry: Entry) -> None:
        key = self._unreadable.read(
            entry, self._read, follows="no token that this key has signed is taken"
        )
        if key is not None:
            self._keys[key.id] = key

    def _read(self, value: bytes) -> SigningKey:
        record = msgspec.json.decode(value, type=SigningKeyRecord)
        return SigningKey(
            id=record.id,
            created_at=record.created_at,
            signs_from=record.signs_from,
            public=_public_key(record),
            private=self._private_key(record),
            jwk={
                "kty": "EC",
                "crv": "P-256",
                "alg": "ES256",
                "use": "sig",
                "kid": record.id,
                "x": record.x,
                "y": record.y,
            },
        )

    def _private_key(self, record: SigningKeyRecord) -> ec.EllipticCurvePrivateKey | None:
        try:
            der = self._sealer.open(record.sealed, _context(record.id))
        except Unsealable as error:
            log.warning("signing key %s is not used to sign: %s", record.id, error)
            return None
        key = load_der_private_key(der, password=None)
        return key if isinstance(key, ec.EllipticCurvePrivateKey) else None


def _is_of_the_future(key: SigningKey, now: datetime) -> bool:
    """Tell whether a clock made a key that has been set back since.

    Nothing that holds is lost with it: a token of such a key was issued in the future too, and is
    refused for that. Should it be the clock of today that is wrong, then that key's last tokens are
    renewed once it is right again, some minutes before they would have been.
    """
    return key.created_at > now + MAX_LEEWAY


def _new_key(sealer: Sealer, now: datetime, signs_from: datetime) -> Put:
    private = ec.generate_private_key(ec.SECP256R1())
    numbers = private.public_key().public_numbers()
    key_id = secrets.token_hex(_ID_BYTES)
    der = private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    record = SigningKeyRecord(
        id=key_id,
        x=_coordinate(numbers.x),
        y=_coordinate(numbers.y),
        sealed=sealer.seal(der, _context(key_id)),
        created_at=now,
        signs_from=signs_from,
    )
    return Put(kind=KIND, key=key_id, value=msgspec.json.encode(record), expected=None)


def _public_key(record: SigningKeyRecord) -> ec.EllipticCurvePublicKey:
    x, y = (int.from_bytes(_base64url(part), "big") for part in (record.x, record.y))
    return ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()


def _coordinate(number: int) -> str:
    data = number.to_bytes(_COORDINATE_BYTES, "big")
    return base64.urlsafe_b64encode(data).decode("ascii").rstrip("=")


def _base64url(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _context(key_id: str) -> str:
    return f"signing-key:{key_id}"
