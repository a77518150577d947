"""X-Forwarded-For: how far it is believed."""

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kzproxy.errors.kinds import BadRequest
from kzproxy.http.forwarded_for import MAX_HOPS, Address, forwarded_client

_HOPS = [ip_network("10.0.0.0/8"), ip_network("2001:db8:1::/48")]


def is_hop(address: Address) -> bool:
    return any(address in block for block in _HOPS)


def client(*values: str) -> str:
    return str(forwarded_client(values, is_hop))


@pytest.mark.parametrize(
    ("values", "found"),
    [
        pytest.param(["192.0.2.7"], "192.0.2.7", id="one"),
        pytest.param(["2001:db8::7"], "2001:db8::7", id="ipv6"),
        pytest.param([" \t192.0.2.7 "], "192.0.2.7", id="blanks"),
        pytest.param(["192.0.2.7, 10.0.0.1"], "192.0.2.7", id="through-two"),
        pytest.param(["192.0.2.7,10.0.0.1, 2001:db8:1::9"], "192.0.2.7", id="through-three"),
        pytest.param(["::ffff:192.0.2.7, ::ffff:10.0.0.1"], "192.0.2.7", id="mapped"),
        pytest.param(["198.51.100.1, 192.0.2.7"], "192.0.2.7", id="forged-before"),
        pytest.param(["10.0.0.9, 192.0.2.7, 10.0.0.1"], "192.0.2.7", id="forged-hop-before"),
        pytest.param(["198.51.100.1", "192.0.2.7"], "192.0.2.7", id="forged-in-a-header-before"),
        pytest.param(["unknown, 192.0.2.7"], "192.0.2.7", id="garbage-nobody-looks-at"),
        pytest.param(["10.0.0.3, 10.0.0.1"], "10.0.0.3", id="a-listed-proxy-asks"),
    ],
)
def test_it_is_believed_from_its_end_as_far_as_listed_proxies_wrote_it(
    values: list[str], found: str
) -> None:
    assert client(*values) == found


@pytest.mark.parametrize(
    "values",
    [
        pytest.param([], id="none"),
        pytest.param([""], id="empty"),
        pytest.param(["192.0.2.7,"], id="empty-at-the-end"),
        pytest.param(["192.0.2.7", ""], id="empty-header-at-the-end"),
        pytest.param(["192.0.2.7,, 10.0.0.1"], id="empty-between"),
        pytest.param(["192.0.2.7:4711"], id="port"),
        pytest.param(["[2001:db8::7]"], id="brackets"),
        pytest.param(["[2001:db8::7]:4711"], id="brackets-and-port"),
        pytest.param(["fe80::1%eth0"], id="zone"),
        pytest.param(["unknown"], id="unknown"),
        pytest.param(["_hidden"], id="obfuscated"),
        pytest.param(['"192.0.2.7"'], id="quotes"),
        pytest.param(["192.0.2.7 192.0.2.8"], id="two-in-one"),
        pytest.param(["192.0.2.7;10.0.0.1"], id="semicolon"),
        pytest.param(["192.0.02.7"], id="leading-zero"),
        pytest.param(["3221225991"], id="number"),
        pytest.param(["0.0.0.0"], id="nobody"),
        pytest.param(["::"], id="nobody-ipv6"),
        pytest.param(["224.0.0.1"], id="multicast"),
        pytest.param(["::ffff:0.0.0.0"], id="nobody-mapped"),
        pytest.param(["::ffff:224.0.0.1"], id="multicast-mapped"),
        pytest.param(["192.0.2.0/24"], id="block"),
        pytest.param(["\u0661\u0669\u0662.0.2.7"], id="other-digits"),
        pytest.param(["nonsense, 10.0.0.1"], id="nonsense-behind-a-hop"),
    ],
)
def test_what_has_no_one_reading_is_refused(values: list[str]) -> None:
    with pytest.raises(BadRequest, match="X-Forwarded-For"):
        client(*values)


def test_a_chain_of_listed_proxies_has_an_end() -> None:
    chain = ", ".join(["10.0.0.1"] * MAX_HOPS)

    with pytest.raises(BadRequest, match="more than"):
        client(f"192.0.2.7, {chain}")
    assert client(f"192.0.2.7, {chain[10:]}") == "192.0.2.7"


_WHERE = st.one_of(
    st.sampled_from(["10.0.0.1", "10.9.9.9", "2001:db8:1::1"]),
    st.ip_addresses().map(str),
    st.text("0123456789abcdef:.%, []", max_size=20),
    st.text(max_size=10),
)


@given(st.lists(st.lists(_WHERE, max_size=4).map(", ".join), max_size=4))
def test_whatever_stands_there_it_is_an_address_or_refused(values: list[str]) -> None:
    try:
        found = forwarded_client(values, is_hop)
    except BadRequest:
        return
    assert not found.is_unspecified
    assert getattr(found, "ipv4_mapped", None) is None


@given(
    st.text(max_size=60),
    st.ip_addresses().filter(
        lambda a: not a.is_unspecified and not a.is_multicast and not getattr(a, "ipv4_mapped", 0)
    ),
    st.lists(st.sampled_from(["10.0.0.1", "10.2.3.4", "2001:db8:1::1"]), max_size=5),
)
def test_nothing_that_a_client_writes_changes_who_it_is(forged, address, hops) -> None:
    if is_hop(address):
        return
    honest = ", ".join([str(address), *hops])

    assert forwarded_client([honest], is_hop) == address
    assert forwarded_client([f"{forged},{honest}"], is_hop) == address
    assert forwarded_client([forged, honest], is_hop) == address


def test_an_address_is_read_once_in_each_family() -> None:
    assert forwarded_client(["::FFFF:192.0.2.7"], is_hop) == ip_address("192.0.2.7")
