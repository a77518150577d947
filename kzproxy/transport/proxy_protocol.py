"""The PROXY protocol, version 2: a load balancer says for whom it connects, before TLS.

After ``doc/proxy-protocol.txt`` of HAProxy, section 2.2. A receiver must not guess whether there is
a header: where one is expected, a connection without one, or with one that is not understood whole,
is of no use. Version 1, a line of text, is not taken.
"""

import asyncio
import socket
from ipaddress import IPv4Address, IPv6Address

import msgspec

from kzproxy.transport.peer import peer_address

SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
FRONT_BYTES = 16
# Addresses take 36 bytes; a value behind them may hold a client's whole certificate.
MAX_REST_BYTES = 16 * 1024

_VERSION = 2
_LOCAL, _PROXY = 0, 1
# Address family and transport in one byte: TCP over IPv4 and over IPv6. Nothing else can carry TLS
# to us: neither datagrams nor the address of a Unix socket.
_ADDRESS_BYTES = {0x11: 4, 0x21: 16}
_PORT_BYTES = 2
_VALUE_FRONT_BYTES = 3


class ProxyHeaderInvalid(Exception):
    """What came is no header that can be believed; the message says why."""


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """Whom a load balancer connects for."""

    address: IPv4Address | IPv6Address
    port: int


def rest_length(front: bytes) -> int:
    """Return how many bytes of header follow its first 16.

    Raises:
        ProxyHeaderInvalid: They are no header of version 2, or it is too long.
    """
    if len(front) != FRONT_BYTES or not front.startswith(SIGNATURE):
        raise ProxyHeaderInvalid("no PROXY header of version 2")
    version, command = front[12] >> 4, front[12] & 0xF
    if version != _VERSION or command not in (_LOCAL, _PROXY):
        raise ProxyHeaderInvalid(f"a PROXY header of version {version}, command {command}")
    length = int.from_bytes(front[14:16], "big")
    if length > MAX_REST_BYTES:
        raise ProxyHeaderInvalid(f"a PROXY header of {length} bytes, over {MAX_REST_BYTES}")
    return length


def origin(front: bytes, rest: bytes) -> Origin | None:
    """Return whom the connection is for; None where the load balancer speaks for itself.

    Args:
        front: The first 16 bytes.
        rest: As many as ``rest_length`` said.

    Raises:
        ProxyHeaderInvalid: The header has no one reading.
    """
    if len(rest) != rest_length(front):
        raise ProxyHeaderInvalid("a PROXY header that is cut short")
    if front[12] & 0xF == _LOCAL:
        return None  # Its checks of our health; what else the header says is to be ignored.
    size = _ADDRESS_BYTES.get(front[13])
    if size is None:
        raise ProxyHeaderInvalid(f"a PROXY header for address family and transport {front[13]:#x}")
    end = 2 * (size + _PORT_BYTES)
    if len(rest) < end:
        raise ProxyHeaderInvalid("a PROXY header too short for its addresses")
    _check_values(rest[end:])
    address = peer_address(str(_address(rest[:size])))
    if address.is_unspecified or address.is_multicast:
        raise ProxyHeaderInvalid(f"a PROXY header for {address}, which is no client's")
    return Origin(address=address, port=int.from_bytes(rest[2 * size : 2 * size + 2], "big"))


async def read_origin(sock: socket.socket, loop: asyncio.AbstractEventLoop) -> Origin | None:
    """Read the header, not a byte more, off a non-blocking socket; the caller bounds the time.

    Raises:
        ProxyHeaderInvalid: There is none that can be believed.
        OSError: The connection has broken.
    """
    front = await _exactly(sock, loop, FRONT_BYTES)
    return origin(front, await _exactly(sock, loop, rest_length(front)))


async def _exactly(sock: socket.socket, loop: asyncio.AbstractEventLoop, count: int) -> bytes:
    data = b""
    while len(data) < count:
        more = await loop.sock_recv(sock, count - len(data))
        if not more:
            raise ProxyHeaderInvalid("the connection was closed within its PROXY header")
        data += more
    return data


def _address(packed: bytes) -> IPv4Address | IPv6Address:
    return IPv4Address(packed) if len(packed) == _ADDRESS_BYTES[0x11] else IPv6Address(packed)


def _check_values(data: bytes) -> None:
    """Pass over type, length and value of each further value: they must fill ``data``."""
    place = 0
    while place < len(data):
        value = place + _VALUE_FRONT_BYTES
        place = value + int.from_bytes(data[place + 1 : value], "big")
        if value > len(data) or place > len(data):
            raise ProxyHeaderInvalid("a PROXY header whose values go beyond its end")
