"""What is made of a socket before TLS begins."""

import os
import socket
import ssl

import pytest

from kzproxy.transport.resetting import reset
from kzproxy.transport.tls import upstream_context


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
