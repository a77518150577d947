"""The client's certificate and key on their way into TLS."""

import ssl
from pathlib import Path

import pytest

from kzproxy.client.failure import ClientFailure
from kzproxy.client.tls_identity import TlsIdentity
from kzproxy.client.token_cache import TokenCache
from tests.servers.authority import Authority, Issued


def identity(directory: Path, certificate: Issued, key: Issued) -> TlsIdentity:
    return TlsIdentity(
        certificate=certificate.pem.decode(),
        key=key.key_pem.decode(),
        cache=TokenCache(str(directory / "cache")),
    )


def test_a_pair_is_loaded_and_no_file_is_left(tmp_path: Path) -> None:
    device = Authority.root().device("laptop")
    identity(tmp_path, device, device).load_into(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_certificate_of_another_key_is_refused_and_no_file_is_left(tmp_path: Path) -> None:
    authority = Authority.root()
    mixed = identity(tmp_path, authority.device("laptop"), authority.device("other"))
    with pytest.raises(ClientFailure, match="cannot be used: KEY_VALUES_MISMATCH"):
        mixed.check()
    assert list((tmp_path / "cache").iterdir()) == []


def test_neither_is_shown(tmp_path: Path) -> None:
    device = Authority.root().device("laptop")
    assert "BEGIN" not in repr(identity(tmp_path, device, device))
