"""What is made of a socket before TLS begins."""

import os
import socket
import ssl
from contextlib import suppress
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
)

from kzproxy.transport.resetting import reset
from kzproxy.transport.tls import ListenerTls, listener_context, upstream_context
from tests.servers.authority import Authority


def is_connected(sock: socket.socket) -> bool:
    try:
        sock.getpeername()
    except OSError:
        return False
    return True


def test_a_socket_whose_peer_has_hung_up_is_closed_and_not_left_to_the_garbage_collector() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        sock = socket.create_connection(server.getsockname())
        reset(server.accept()[0])
    while is_connected(sock):
        pass
    descriptor = sock.fileno()

    with pytest.raises(ConnectionResetError) as raised:
        upstream_context("", "").wrap_socket(
            sock, server_hostname="localhost", do_handshake_on_connect=False
        )

    assert raised.tb  # It holds what was being made.
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)


def test_the_peer_of_an_established_connection_that_has_gone_is_asked_for_as_ever() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        sock = socket.create_connection(server.getsockname())
        accepted = server.accept()[0]
    tls = upstream_context("", "").wrap_socket(
        sock, server_hostname="localhost", do_handshake_on_connect=False
    )
    assert isinstance(tls, ssl.SSLSocket)
    reset(accepted)
    while is_connected(tls):
        pass
    assert tls.fileno() >= 0
    tls.close()


@pytest.mark.usefixtures("strict_python")
def test_a_cluster_whose_authority_has_no_key_identifier_is_believed_by_every_python(
    tmp_path: Path,
) -> None:
    """As by kubectl: those of Amazon EKS have none, and nobody can give them one."""
    authority = Authority.bare()
    shown = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    shown.load_cert_chain(*authority.server("localhost").write_to(tmp_path, "server"))
    assert shaken(upstream_context(authority.pem.decode(), ""), shown) == "TLSv1.3"

    with pytest.raises(ssl.SSLCertVerificationError):
        shaken(upstream_context(Authority.root().pem.decode(), ""), shown)


def shaken(client_context: ssl.SSLContext, server_context: ssl.SSLContext) -> str | None:
    """Return what the two speak after a handshake."""
    client_in, client_out, server_in, server_out = (ssl.MemoryBIO() for _ in range(4))
    client = client_context.wrap_bio(client_in, client_out, server_hostname="localhost")
    server = server_context.wrap_bio(server_in, server_out, server_side=True)
    for _ in range(3):
        for end in (client, server):
            with suppress(ssl.SSLWantReadError):
                end.do_handshake()
            server_in.write(client_out.read())
            client_in.write(server_out.read())
    return client.version()


@pytest.mark.parametrize("form", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL])
def test_an_encrypted_key_is_refused_and_nobody_is_asked_for_its_password(
    form: PrivateFormat, tmp_path: Path
) -> None:
    """OpenSSL would ask on the terminal, and a reload would wait there for ever."""
    issued = Authority.root().server("localhost")
    certificate, key = issued.write_to(tmp_path, "tls")
    sealed = issued.key.private_bytes(Encoding.PEM, form, BestAvailableEncryption(b"secret"))
    key.write_bytes(sealed)

    with pytest.raises(ValueError, match="the private key is encrypted"):
        listener_context(ListenerTls(certificate_file=certificate, private_key_file=key))
    with pytest.raises(ValueError, match="the private key is encrypted"):
        upstream_context("", f"{certificate.read_text()}\n{sealed.decode()}")
