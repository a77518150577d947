"""Secrets at rest: sealed so that the store's file alone gives nothing away.

AES-256-GCM; each sealed value names its key, so that keys can be exchanged: the first key of the
list seals, and all of them open.
"""

import base64
import binascii
import hashlib
import os
from collections.abc import Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES = 32
_VERSION = b"k1"
_ID_BYTES = 8
_NONCE_BYTES = 12


class Unsealable(Exception):
    """What is sealed with a key that is not here, was changed, or was sealed for another place."""


class Sealer:
    """Seals and opens."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        """Take at least one key, of 32 bytes each; the first one seals."""
        if not keys or any(len(key) != KEY_BYTES for key in keys):
            raise ValueError(f"a store needs at least one key, of {KEY_BYTES} bytes")
        self._ciphers = {_key_id(key): AESGCM(key) for key in keys}
        self._first = _key_id(keys[0])

    def seal(self, plain: bytes, context: str) -> bytes:
        """Return ``plain`` sealed; it opens only for the same ``context``, which names its place.

        Context keeps one who can write the file from moving a secret to where it serves them.
        """
        nonce = os.urandom(_NONCE_BYTES)
        sealed = self._ciphers[self._first].encrypt(nonce, plain, context.encode())
        return _VERSION + self._first + nonce + sealed

    def open(self, sealed: bytes, context: str) -> bytes:
        """Return what was sealed.

        Raises:
            Unsealable: It cannot be.
        """
        version, rest = sealed[: len(_VERSION)], sealed[len(_VERSION) :]
        cipher = self._ciphers.get(rest[:_ID_BYTES])
        if version != _VERSION or cipher is None:
            raise Unsealable("it was sealed with a key that kzproxy does not have")
        nonce, text = rest[_ID_BYTES:][:_NONCE_BYTES], rest[_ID_BYTES + _NONCE_BYTES :]
        try:
            return cipher.decrypt(nonce, text, context.encode())
        except (InvalidTag, ValueError) as error:
            raise Unsealable("it was changed, or belongs elsewhere") from error


def read_keys(text: str) -> tuple[bytes, ...]:
    """Read keys in Base64, one on a line; empty lines and those that begin with ``#`` are none.

    Raises:
        ValueError: A line is not a key, or there is none; says which line, and nothing of it.
    """
    keys = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        try:
            key = base64.b64decode(line.strip(), validate=True)
        except (binascii.Error, ValueError):
            key = b""
        if len(key) != KEY_BYTES:
            raise ValueError(f"line {number} is not {KEY_BYTES} bytes in Base64")
        keys.append(key)
    if not keys:
        raise ValueError(f"there is no key: {KEY_BYTES} random bytes in Base64, one key on a line")
    return tuple(keys)


def _key_id(key: bytes) -> bytes:
    return hashlib.sha256(b"kzproxy store key\0" + key).digest()[:_ID_BYTES]
