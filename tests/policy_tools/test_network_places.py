"""The addresses that stand for a network."""

from ipaddress import ip_address, ip_network

from hypothesis import given
from hypothesis import strategies as st

from kzproxy.policy_tools.network_places import places_in
from kzproxy.policy_tools.policy_text import Definition, Place, PolicyText

BLOCKS = ["192.0.2.0/24", "192.0.2.128/25", "192.0.2.64/26", "192.0.2.200/32", "2001:db8::/32"]


def text(networks):
    place = Place(source="p", line=1, column=1)
    return PolicyText(
        definitions=tuple(
            Definition(section="networks", name=name, place=place, value=blocks)
            for name, blocks in networks.items()
        ),
        rules=(),
    )


def signature(address, networks):
    return {
        name
        for name, blocks in networks.items()
        if any(address in ip_network(block) for block in blocks)
    }


@given(
    networks=st.dictionaries(
        st.sampled_from("abc"),
        st.lists(st.sampled_from(BLOCKS), min_size=1, max_size=2, unique=True),
        min_size=1,
    ),
    last=st.integers(0, 255),
)
def test_every_part_of_a_network_is_stood_for(networks, last):
    address = ip_address(f"192.0.2.{last}")
    for name, places in places_in(text(networks)):
        assert all(name in signature(place, networks) for place in places)
        if name in signature(address, networks):
            signatures = [signature(place, networks) for place in places]
            assert signature(address, networks) in signatures
