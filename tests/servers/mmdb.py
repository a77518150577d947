"""Writes MaxMind DB files, so that no test needs anybody's data (MaxMind DB specification 2.0)."""

from collections.abc import Mapping
from ipaddress import IPv4Network, ip_network
from pathlib import Path
from typing import Any

_MARKER = b"\xab\xcd\xefMaxMind.com"
_RECORD_BITS = 24
_BUILT = 1_770_000_000


def database(
    networks: Mapping[str, object], *, kind: str = "Test-Country", ip_version: int = 6
) -> bytes:
    """Write a file that holds a record for each network; the last of several that overlap wins."""
    root: list[Any] = [None, None]
    for network, record in networks.items():
        _insert(root, _bits(network, ip_version), record)
    nodes = _numbered(root)
    data, places = _data(nodes)
    tree = b"".join(
        b"".join(_record(side, nodes, places).to_bytes(_RECORD_BITS // 8, "big") for side in node)
        for node in nodes
    )
    metadata = {
        "node_count": len(nodes),
        "record_size": _RECORD_BITS,
        "ip_version": ip_version,
        "database_type": kind,
        "languages": ["en"],
        "binary_format_major_version": 2,
        "binary_format_minor_version": 0,
        "build_epoch": _BUILT,
        "description": {"en": "made by a test"},
    }
    return tree + bytes(16) + data + _MARKER + _encoded(metadata)


def countries(networks: Mapping[str, str], **options: Any) -> bytes:
    """Write countries as GeoLite2 does."""
    records = {
        network: {"country": {"iso_code": code, "names": {"en": code}}}
        for network, code in networks.items()
    }
    return database(records, **options)


def systems(networks: Mapping[str, int], **options: Any) -> bytes:
    """Write autonomous systems as GeoLite2 does."""
    records = {
        network: {"autonomous_system_number": number, "autonomous_system_organization": "x"}
        for network, number in networks.items()
    }
    return database(records, kind="Test-ASN", **options)


def replace(path: Path, content: bytes) -> None:
    """Put a new file in place of an old one, as one does."""
    new = path.with_name(f"{path.name}.new")
    new.write_bytes(content)
    new.rename(path)


def _bits(network: str, ip_version: int) -> str:
    block = ip_network(network)
    bits = f"{int(block.network_address):0{block.max_prefixlen}b}"[: block.prefixlen]
    return "0" * 96 + bits if isinstance(block, IPv4Network) and ip_version == 6 else bits


def _insert(node: list[Any], bits: str, record: object) -> None:
    for bit in bits[:-1]:
        side = node[int(bit)]
        if not isinstance(side, list):
            side = node[int(bit)] = [side, side]
        node = side
    node[int(bits[-1])] = record


def _numbered(root: list[Any]) -> list[list[Any]]:
    nodes, waiting = [], [root]
    while waiting:
        node = waiting.pop()
        nodes.append(node)
        waiting += [side for side in node if isinstance(side, list)]
    return nodes


def _data(nodes: list[list[Any]]) -> tuple[bytes, dict[int, int]]:
    data, places, known = b"", {}, {}
    for side in (side for node in nodes for side in node if isinstance(side, dict)):
        encoded = _encoded(side)
        if encoded not in known:
            known[encoded] = len(data)
            data += encoded
        places[id(side)] = known[encoded]
    return data, places


def _record(side: Any, nodes: list[list[Any]], places: dict[int, int]) -> int:
    if side is None:
        return len(nodes)
    if isinstance(side, list):
        return next(n for n, node in enumerate(nodes) if node is side)
    return len(nodes) + 16 + places[id(side)]


def _encoded(value: object) -> bytes:
    match value:
        case str():
            text = value.encode()
            return _control(2, len(text)) + text
        case int():
            size = (value.bit_length() + 7) // 8
            return _control(6 if size <= 4 else 9, size) + value.to_bytes(size, "big")
        case list():
            return _control(11, len(value)) + b"".join(map(_encoded, value))
        case dict():
            pairs = (_encoded(key) + _encoded(each) for key, each in value.items())
            return _control(7, len(value)) + b"".join(pairs)
    raise TypeError(type(value).__name__)


def _control(kind: int, size: int) -> bytes:
    short = min(size, 29)
    first = bytes([(kind << 5 | short)]) if kind <= 7 else bytes([short, kind - 7])
    return first + (bytes([size - 29]) if size >= 29 else b"")
