"""The API listener as a client meets it, before any request is judged."""

import contextlib
import socket
import ssl
import time

import pytest

from tests.proxy.fixtures import Scripted
from tests.proxy.world import request


def context(scripted: Scripted, **versions: ssl.TLSVersion) -> ssl.SSLContext:
    made = ssl.create_default_context(cafile=scripted.world.authority_file)
    for name, version in versions.items():
        setattr(made, name, version)
    return made


def connected(scripted: Scripted, made: ssl.SSLContext) -> ssl.SSLSocket:
    sock = socket.create_connection(("127.0.0.1", scripted.world.proxy.port), timeout=10)
    return made.wrap_socket(sock, server_hostname="localhost")


def test_tls_1_3_is_spoken_and_1_2_refused(scripted: Scripted) -> None:
    with connected(scripted, context(scripted)) as tls:
        assert tls.version() == "TLSv1.3"
    with pytest.raises(ssl.SSLError, match=r"(?i)alert protocol version"):
        connected(scripted, context(scripted, maximum_version=ssl.TLSVersion.TLSv1_2))


def test_http_1_1_is_chosen_where_a_client_would_rather_have_2(scripted: Scripted) -> None:
    with scripted.world.client(alpn=("h2", "http/1.1")) as client:
        assert client.tls.selected_alpn_protocol() == "http/1.1"


def test_E4_1_the_preface_of_http_2_is_refused(scripted: Scripted) -> None:
    with scripted.world.client(alpn=("h2",)) as client:
        got = client.ask(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")

    assert got.status == 400


def test_no_session_is_resumed(scripted: Scripted) -> None:
    made = context(scripted)
    with connected(scripted, made) as first:
        first.sendall(request("GET", "/version"))
        first.recv(65536)
        session = first.session
    sock = socket.create_connection(("127.0.0.1", scripted.world.proxy.port), timeout=10)
    with made.wrap_socket(sock, server_hostname="localhost", session=session) as second:
        assert not second.session_reused


def test_a_certificate_of_another_ca_is_refused(scripted: Scripted) -> None:
    from tests.servers.authority import Authority

    files = Authority.root().device("d").write_to(scripted.world.directory, "foreign-device")
    with (
        pytest.raises((ssl.SSLError, ConnectionError)),
        scripted.world.client(certificate=files) as client,
    ):
        client.ask(request("GET", "/version", scripted.world.token("al", "testers")))


def test_a_device_certificate_names_the_device(scripted: Scripted) -> None:
    files = scripted.world.device("laptop-7")
    token = scripted.world.token("enna", "enrolled")
    asked = request("GET", "/api/v1/namespaces/a/configmaps", token)
    with scripted.world.client(certificate=files) as client:
        got = client.ask(asked)
    with scripted.world.client() as client:
        without = client.ask(asked)

    assert got.status == 200
    sent = scripted.api_server.heads[-1].decode()
    assert "impersonate-extra-kzproxy.dev%2fdevice-id: laptop-7\r\n" in sent
    assert without.status == 403
    assert "wants an enrolled device" in without.message


def test_an_expired_device_certificate_is_told_and_not_just_hung_up_on(scripted: Scripted) -> None:
    from datetime import UTC, datetime

    leaf = scripted.world.authority.issue(
        common_names=["old-laptop"], not_after=datetime(2021, 1, 1, tzinfo=UTC)
    )
    files = leaf.write_to(scripted.world.directory, "expired-device")
    token = scripted.world.token("enna", "enrolled")
    with scripted.world.client(certificate=files) as client:
        got = client.ask(request("GET", "/api/v1/namespaces/a/configmaps", token))

    assert got.status == 403
    assert "expired" in got.message


def test_a_head_that_is_too_large_gets_431(scripted: Scripted) -> None:
    with scripted.world.client() as client:
        client.send(b"GET /version HTTP/1.1\r\nHost: p\r\nX: " + b"x" * 140_000)
        got = client.answer()

    assert (got.status, got.json["code"]) == (431, 431)


def test_a_64_kib_token_is_read(scripted: Scripted) -> None:
    with scripted.world.client() as client:
        got = client.ask(request("GET", "/version", "a" * 65_000))

    assert got.status == 401


def test_E4_2_a_head_that_never_ends_is_hung_up_on(scripted: Scripted) -> None:
    begun = time.monotonic()
    with scripted.world.client() as client:
        client.send(b"GET /version HTTP/1.1\r\nHost: p\r\n")
        assert client.ended()

    assert 9 < time.monotonic() - begun < 15


def test_the_bytes_of_a_request_may_come_one_by_one(scripted: Scripted) -> None:
    with scripted.world.client() as client:
        for byte in request("GET", "/version", "x"):
            client.send(bytes([byte]))
        assert client.answer().status == 401


def test_plain_http_is_hung_up_on(scripted: Scripted) -> None:
    with socket.create_connection(("127.0.0.1", scripted.world.proxy.port), timeout=10) as sock:
        sock.sendall(request("GET", "/version"))
        with contextlib.suppress(ConnectionResetError):
            assert b"HTTP/1.1" not in sock.recv(4096)


def test_every_path_wants_a_credential(scripted: Scripted) -> None:
    for path in ("/", "/version", "/healthz", "/livez", "/readyz", "/api", "/openapi/v2"):
        with scripted.world.client() as client:
            assert client.ask(request("GET", path)).status == 401, path
    assert scripted.api_server.heads == []
