import contextlib
import socket
from pathlib import Path

from kzproxy.demo import loopback_ports
from kzproxy.demo.loopback_ports import LOOPBACK, free_ports

KERNELS = Path("/proc/sys/net/ipv4/ip_local_port_range")


def test_free_ports_are_all_different_and_can_be_used():
    ports = free_ports(50)
    assert len(set(ports)) == 50
    for port in ports:
        with socket.create_server((LOOPBACK, port)):
            pass


def test_no_port_is_given_twice():
    ports = [port for _ in range(1_000) for port in free_ports(1)]
    assert len(set(ports)) == 1_000


def test_the_kernel_gives_none_of_them_to_a_connection():
    lowest = int(KERNELS.read_text().split()[0])
    assert max(free_ports(50)) < lowest or lowest < 17_500, "some machines leave hardly any below"


def test_no_port_is_given_that_somebody_has():
    """So many are taken, and asked for, that one would come by chance."""
    share, shares = loopback_ports._share  # Others' are theirs at this moment.
    with contextlib.ExitStack() as stack:
        taken = set()
        for port in range(loopback_ports._LOWEST + share, 29_000, 29 * shares):
            sock = stack.enter_context(socket.socket())
            with contextlib.suppress(OSError):
                sock.bind((LOOPBACK, port))
                taken.add(port)
        assert not taken.intersection(free_ports(500))
