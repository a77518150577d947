"""PROXY headers of version 2, as a load balancer writes them, and as an attacker would."""

from ipaddress import ip_address

SIGNATURE = b"\x0d\x0a\x0d\x0a\x00\x0d\x0a\x51\x55\x49\x54\x0a"
TCP4, TCP6, UDP4, UNIX, UNSPECIFIED = 0x11, 0x21, 0x12, 0x31, 0x00


def header(command: int, family: int, rest: bytes, *, version: int = 2) -> bytes:
    """Write a header around ``rest``."""
    front = bytes([version << 4 | command, family]) + len(rest).to_bytes(2, "big")
    return SIGNATURE + front + rest


def value(kind: int, data: bytes) -> bytes:
    """Write a further value: type, length, value."""
    return bytes([kind]) + len(data).to_bytes(2, "big") + data


def proxied(source: str, port: int = 40000, *, values: bytes = b"") -> bytes:
    """Write the header of a connection for ``source``."""
    packed = ip_address(source).packed
    to = ip_address("203.0.113.1" if len(packed) == 4 else "2001:db8::1").packed
    ports = port.to_bytes(2, "big") + (443).to_bytes(2, "big")
    return header(1, TCP4 if len(packed) == 4 else TCP6, packed + to + ports + values)


def local() -> bytes:
    """Write the header of a health check."""
    return header(0, UNSPECIFIED, b"")
