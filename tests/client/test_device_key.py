"""The client's key, and what is signed with it."""

import hashlib
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_public_key,
)

from kzproxy.client.device_key import FileKey, client_key, key_id, thumbprint
from kzproxy.client.failure import ClientFailure
from kzproxy.client.kept_key import client_key_name
from kzproxy.client.token_cache import TokenCache
from kzproxy.clock.system import SystemClock

URL = "https://kz.test:8444"


@pytest.fixture
def cache(tmp_path: Path) -> TokenCache:
    return TokenCache(str(tmp_path / "cache"))


def test_a_signature_is_r_and_s_and_holds() -> None:
    key = FileKey.generate()
    for number in range(50):  # now and then one half begins with a zero byte
        data = str(number).encode()
        signature = key.sign(data)
        assert len(signature) == 64
        public = load_der_public_key(key.public)
        assert isinstance(public, ec.EllipticCurvePublicKey)
        r, s = (int.from_bytes(half, "big") for half in (signature[:32], signature[32:]))
        public.verify(utils.encode_dss_signature(r, s), data, ec.ECDSA(hashes.SHA256()))


def test_the_key_is_known_by_the_digest_of_its_public_part() -> None:
    key = FileKey.generate()
    assert thumbprint(key) == hashlib.sha256(key.public).hexdigest()
    assert len(key_id(key)) == 43
    assert key.pem not in repr(key)
    assert thumbprint(key) in repr(key)


def test_a_request_for_a_certificate_is_the_keys() -> None:
    key = FileKey.generate()
    request = x509.load_pem_x509_csr(key.certificate_request().encode())
    assert request.is_signature_valid
    form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert request.public_key().public_bytes(*form) == key.public
    assert list(request.subject) == []


def test_a_key_is_made_once_for_each_server(cache: TokenCache) -> None:
    first = client_key(cache, URL, SystemClock())
    assert client_key(cache, URL, SystemClock()).public == first.public
    assert client_key(cache, "https://other.test", SystemClock()).public != first.public
    file = Path(cache.path(client_key_name(URL)))
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_key_that_others_can_read_is_refused(cache: TokenCache) -> None:
    client_key(cache, URL, SystemClock())
    Path(cache.path(client_key_name(URL))).chmod(0o640)
    with pytest.raises(ClientFailure, match="can be used by others"):
        client_key(cache, URL, SystemClock())


@pytest.mark.parametrize("curve", [ec.SECP384R1(), None])
def test_what_is_no_p256_key_is_refused(curve: ec.EllipticCurve | None) -> None:
    pem = "junk"
    if curve is not None:
        form = (Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        pem = ec.generate_private_key(curve).private_bytes(*form).decode()
    with pytest.raises(ClientFailure, match="remove it and sign in again"):
        FileKey(pem)
