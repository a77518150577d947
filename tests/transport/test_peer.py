from dataclasses import replace
from ipaddress import ip_address

import pytest

from kzproxy.transport.peer import Peer, peer_address


def test_a_client_has_one_address_however_it_came() -> None:
    assert peer_address("::ffff:192.0.2.7") == peer_address("192.0.2.7") == ip_address("192.0.2.7")
    assert peer_address("fe80::1%eth0") == ip_address("fe80::1")
    with pytest.raises(ValueError, match="nobody"):
        peer_address("nobody")


def test_whence_tells_clients_and_ways_apart_and_nothing_else() -> None:
    """What is kept of a caller is found by it, and its records name the way that it came."""
    direct = Peer(address=ip_address("192.0.2.7"), port=1)
    assert direct.whence == replace(direct, port=2).whence
    ways = [
        direct,
        replace(direct, address=ip_address("192.0.2.8")),
        replace(direct, via=ip_address("198.51.100.9")),
        replace(direct, via=ip_address("198.51.100.10")),
    ]
    assert len({peer.whence for peer in ways}) == len(ways)
