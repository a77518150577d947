"""Named networks."""

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kzproxy.policy.network import Addresses, Network
from tests.policy.samples import OFFICE


@pytest.mark.parametrize(
    ("address", "is_held"),
    [
        ("203.0.113.0", True),
        ("203.0.113.255", True),
        ("203.0.112.255", False),
        ("203.0.114.0", False),
        ("2001:db8::1", True),
        ("2001:db9::1", False),
        ("fe80::1%eth0", False),
        ("::ffff:203.0.113.9", True),
        ("::ffff:192.0.2.1", False),
        ("::203.0.113.9", False),
    ],
)
def test_a_network_holds_the_addresses_of_its_blocks(address, is_held):
    assert Addresses([OFFICE]).hold(ip_address(address)) is is_held


def test_no_network_holds_nothing():
    assert not Addresses([]).hold(ip_address("127.0.0.1"))


# Few low addresses of both versions, so that blocks overlap and touch.
blocks = st.builds(
    lambda base, number, bits: ip_network((base + number, bits), strict=False),
    st.sampled_from([0x0A000000, 0xFE80 << 112]),
    st.integers(0, 255),
    st.integers(24, 32),
)
addresses = st.builds(
    lambda base, number: ip_address(base + number),
    st.sampled_from([0x0A000000, 0xFE80 << 112]),
    st.integers(0, 300),
)


@given(networks=st.lists(st.lists(blocks, max_size=4), max_size=3), address=addresses)
def test_it_agrees_with_looking_at_every_block(networks, address):
    named = [Network(name="n", blocks=tuple(b)) for b in networks]
    expected = any(address in block for b in networks for block in b)

    assert Addresses(named).hold(address) is expected
