"""Whether a certificate and a key belong together, and what the certificate is called."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
)

from kzproxy.client.device_pair import read_device_pair
from kzproxy.client.failure import ClientFailure
from tests.servers.authority import NOT_AFTER, Authority


def test_a_pair_is_named_by_its_uri(tmp_path: Path, authority: Authority) -> None:
    certificate, key = authority.device("laptop-7").write_to(tmp_path, "device")
    pair = read_device_pair(str(certificate), str(key))
    assert pair.names == ("urn:kzproxy:device:laptop-7",)
    assert pair.ends_at == NOT_AFTER


def test_a_pair_without_uri_is_named_by_its_subject(tmp_path: Path, authority: Authority) -> None:
    certificate, key = authority.issue(common_names=["laptop"]).write_to(tmp_path, "device")
    assert read_device_pair(str(certificate), str(key)).names == ("CN=laptop",)


def test_a_key_of_another_certificate_is_refused(tmp_path: Path, authority: Authority) -> None:
    certificate, _ = authority.device("one").write_to(tmp_path, "one")
    _, key = authority.device("two").write_to(tmp_path, "two")
    with pytest.raises(ClientFailure, match=f"the key {key} is not that of the certificate"):
        read_device_pair(str(certificate), str(key))


def test_an_encrypted_key_is_refused(tmp_path: Path, authority: Authority) -> None:
    issued = authority.device("laptop")
    certificate, key = issued.write_to(tmp_path, "device")
    secret = BestAvailableEncryption(b"secret")
    key.write_bytes(issued.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, secret))
    with pytest.raises(ClientFailure, match="kubectl needs it in PEM, unencrypted"):
        read_device_pair(str(certificate), str(key))
