"""Named networks."""

from ipaddress import ip_address

import pytest

from tests.policy.samples import OFFICE


@pytest.mark.parametrize(
    ("address", "is_held"),
    [
        ("203.0.113.0", True),
        ("203.0.113.255", True),
        ("203.0.114.0", False),
        ("2001:db8::1", True),
        ("2001:db9::1", False),
        ("::ffff:203.0.113.9", True),
        ("::ffff:192.0.2.1", False),
        ("::203.0.113.9", False),
    ],
)
def test_a_network_holds_the_addresses_of_its_blocks(address, is_held):
    assert OFFICE.holds(ip_address(address)) is is_held
