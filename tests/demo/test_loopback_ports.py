import socket

from kzproxy.demo.loopback_ports import LOOPBACK, free_ports


def test_free_ports_are_all_different_and_can_be_used():
    ports = free_ports(50)
    assert len(set(ports)) == 50
    for port in ports:
        with socket.create_server((LOOPBACK, port)):
            pass
