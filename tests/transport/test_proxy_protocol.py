"""PROXY headers: what is believed, and that nothing else is."""

import asyncio
import socket
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kzproxy.transport.proxy_protocol import (
    FRONT_BYTES,
    MAX_REST_BYTES,
    Origin,
    ProxyHeaderInvalid,
    origin,
    read_origin,
    rest_length,
)
from tests.servers.proxy_header import (
    SIGNATURE,
    TCP4,
    TCP6,
    UDP4,
    UNIX,
    UNSPECIFIED,
    header,
    local,
    proxied,
    value,
)

_V4 = bytes([192, 0, 2, 7, 203, 0, 113, 1]) + b"\x9c\x40\x01\xbb"
_CLIENT = Origin(address=ip_address("192.0.2.7"), port=40000)


def read(data: bytes) -> Origin | None:
    front, rest = data[:FRONT_BYTES], data[FRONT_BYTES:]
    return origin(front, rest[: rest_length(front)])


@pytest.mark.parametrize(
    ("source", "found"),
    [("192.0.2.7", "192.0.2.7"), ("2001:db8::7", "2001:db8::7"), ("::ffff:192.0.2.7", "192.0.2.7")],
)
def test_the_client_is_whom_the_load_balancer_names(source: str, found: str) -> None:
    assert read(proxied(source, 1234)) == Origin(address=ip_address(found), port=1234)


def test_what_stands_behind_the_addresses_is_passed_over() -> None:
    values = value(0x02, b"kzproxy.example") + value(0x04, b"") + value(0xEA, b"\x01vpce-1")

    assert read(proxied("192.0.2.7", values=values)) == _CLIENT


def test_a_load_balancer_that_checks_our_health_speaks_for_itself() -> None:
    assert read(local()) is None
    assert read(header(0, TCP4, _V4)) is None, "whatever address it writes"


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"PROXY TCP4 192.0.2.7 203.0.113.1 40000 443\r\n", id="version-1"),
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 9, id="tls"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", id="http"),
        pytest.param(header(1, TCP4, _V4, version=1), id="version-1-in-binary"),
        pytest.param(header(1, TCP4, _V4, version=3), id="version-3"),
        pytest.param(header(2, TCP4, _V4), id="unknown-command"),
        pytest.param(header(1, UNIX, b"/run/a".ljust(216, b"\0")), id="unix"),
        pytest.param(header(1, UDP4, _V4), id="datagrams"),
        pytest.param(header(1, UNSPECIFIED, b""), id="unspecified"),
        pytest.param(header(1, 0x41, _V4), id="unknown-family"),
        pytest.param(header(1, TCP4, _V4[:11]), id="too-short-for-ipv4"),
        pytest.param(header(1, TCP6, _V4), id="too-short-for-ipv6"),
        pytest.param(header(1, TCP4, _V4 + b"\x04"), id="half-a-value"),
        pytest.param(header(1, TCP4, _V4 + b"\x04\x00\x05abcd"), id="value-beyond-the-end"),
        pytest.param(header(1, TCP4, bytes(4) + _V4[4:]), id="nobodys-address"),
        pytest.param(header(1, TCP4, b"\xe0\0\0\1" + _V4[4:]), id="multicast"),
        pytest.param(header(1, TCP4, _V4)[:-1], id="cut-short"),
        pytest.param(header(1, TCP4, _V4)[:15], id="cut-short-in-front"),
        pytest.param(SIGNATURE + b"\x21\x11\xff\xff" + b"\0" * 70000, id="oversized"),
        pytest.param(b"", id="nothing"),
    ],
)
def test_what_is_no_header_is_refused(data: bytes) -> None:
    with pytest.raises(ProxyHeaderInvalid):
        read(data)


@given(st.binary(max_size=80), st.binary(max_size=80))
def test_any_bytes_are_read_or_refused(front: bytes, rest: bytes) -> None:
    for data in (front + rest, SIGNATURE + front + rest, SIGNATURE + b"\x21" + front + rest):
        try:
            found = read(data)
        except ProxyHeaderInvalid:
            continue
        assert found is None or data[12] == 0x21


@given(
    st.ip_addresses().filter(lambda a: not a.is_unspecified and not a.is_multicast),
    st.integers(0, 0xFFFF),
    st.lists(st.tuples(st.integers(0, 255), st.binary(max_size=40)), max_size=5),
)
def test_what_a_load_balancer_writes_is_read(address, port, values) -> None:
    written = b"".join(value(kind, data) for kind, data in values)
    mapped = getattr(address, "ipv4_mapped", None)

    if mapped is None or not (mapped.is_unspecified or mapped.is_multicast):
        found = read(proxied(str(address), port, values=written))
        assert found == Origin(address=mapped or address, port=port)


@given(st.data())
def test_one_changed_byte_in_front_changes_nothing_but_what_it_stands_for(data) -> None:
    """A flip is refused, or makes a health check, or a header whose length is another."""
    whole = bytearray(proxied("192.0.2.7"))
    place = data.draw(st.integers(0, FRONT_BYTES - 1))
    whole[place] ^= data.draw(st.integers(1, 255))
    try:
        found = read(bytes(whole))
    except ProxyHeaderInvalid:
        return
    assert found is None
    assert whole[12] == 0x20


async def received(data: bytes, *, then: bytes) -> tuple[Origin | None, bytes]:
    """Send in pieces; return what was read and what is left on the socket."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        loop = asyncio.get_running_loop()
        reading = loop.create_task(read_origin(ours, loop))
        for place in range(0, len(data), 97):
            theirs.sendall(data[place : place + 97])
            await asyncio.sleep(0)
        theirs.sendall(then)
        theirs.shutdown(socket.SHUT_WR)
        found = await reading
        left = b""
        while more := await loop.sock_recv(ours, 100):
            left += more
        return found, left


@pytest.mark.parametrize(
    "data",
    [proxied("192.0.2.7"), proxied("192.0.2.7", values=value(0x20, b"x" * 4000))],
    ids=["plain", "long"],
)
async def test_not_a_byte_too_many_is_read(data: bytes) -> None:
    assert await received(data, then=b"\x16\x03\x01 hello") == (_CLIENT, b"\x16\x03\x01 hello")


async def test_the_longest_header_that_is_taken_and_one_byte_more() -> None:
    room = MAX_REST_BYTES - 12 - 3
    assert (await received(proxied("192.0.2.7", values=value(4, b"x" * room)), then=b""))[0]
    longer = proxied("192.0.2.7", values=value(4, b"x" * (room + 1)))
    with pytest.raises(ProxyHeaderInvalid, match="over"):
        await received(longer[:FRONT_BYTES], then=b"")


async def test_a_connection_that_is_closed_within_its_header_is_refused() -> None:
    with pytest.raises(ProxyHeaderInvalid, match="closed within"):
        await received(proxied("192.0.2.7")[:20], then=b"")
