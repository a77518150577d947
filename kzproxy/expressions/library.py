"""The functions that expressions may call, and what holds for their arguments.

A closed list: what the library behind it offers beyond these is refused, so that a new version of
it adds nothing unseen. Names and behaviour are those of Kubernetes (k8s.io/apiserver,
pkg/cel/library, and CEL's own strings and optional libraries).
"""

import ipaddress
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import msgspec
from cel_expr_python import cel

BOOL, INT, STRING = cel.Type.BOOL, cel.Type.INT, cel.Type.STRING
TIMESTAMP, DURATION = cel.Type.TIMESTAMP, cel.Type.DURATION
STRINGS = cel.Type.List(STRING)
STRING_MAP = cel.Type.Map(STRING, STRING)
BOOL_MAP = cel.Type.Map(STRING, BOOL)
STRINGS_MAP = cel.Type.Map(STRING, STRINGS)
ANY_MAP = cel.Type.Map(STRING, cel.Type.DYN)

OPERATORS: Mapping[str, str] = {
    "_&&_": "&&",
    "_||_": "||",
    "!_": "!",
    "_==_": "==",
    "_!=_": "!=",
    "_<_": "<",
    "_<=_": "<=",
    "_>_": ">",
    "_>=_": ">=",
    "_+_": "+",
    "_-_": "-",
    "-_": "-",
    "_*_": "*",
    "_/_": "/",
    "_%_": "%",
    "@in": "in",
    "_[_]": "[]",
    "_?_:_": "?:",
    "@not_strictly_false": "a walk",
}
OPTIONALS = frozenset(
    {"_?._", "_[?_]", "orValue", "or", "hasValue", "value", "optional.of", "optional.none"}
)
STRING_FUNCTIONS = frozenset(
    {"size", "startsWith", "endsWith", "contains", "matches", "lowerAscii", "upperAscii"}
    | {"split", "join", "trim", "substring", "indexOf", "lastIndexOf", "charAt", "replace"}
)
DATE_PARTS = frozenset(
    {"getFullYear", "getMonth", "getDate", "getDayOfMonth", "getDayOfWeek", "getDayOfYear"}
    | {"getHours", "getMinutes", "getSeconds", "getMilliseconds"}
)
TIME_FUNCTIONS = DATE_PARTS | {"timestamp", "duration"}
ADDRESS_FUNCTIONS = frozenset(
    {"ip", "isIP", "family", "isUnspecified", "isLoopback", "isLinkLocalUnicast"}
    | {"isGlobalUnicast", "cidr", "isCIDR", "containsIP", "containsCIDR", "prefixLength"}
)
CIDR_METHODS = frozenset({"containsIP", "containsCIDR", "prefixLength"})
IP_METHODS = frozenset(
    {"family", "isUnspecified", "isLoopback", "isLinkLocalUnicast", "isGlobalUnicast"}
)
KUBERNETES_FUNCTIONS = (
    frozenset(OPERATORS) | OPTIONALS | STRING_FUNCTIONS | TIME_FUNCTIONS | ADDRESS_FUNCTIONS
)

_REMEMBERED_NETWORKS = 4096

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Function(msgspec.Struct, frozen=True, kw_only=True):
    """A function of ours.

    Attributes:
        parameters: Their types, for a method the target's first.
        body: Called with values of those types; a ``ValueError`` is an error in the expression.
    """

    name: str
    parameters: tuple[Any, ...]
    result: Any
    is_method: bool
    body: Callable[..., object]

    def declaration(self) -> Any:
        """Return it as the library wants it."""
        overload = cel.Overload(
            f"kzproxy_{self.name}",
            self.result,
            list(self.parameters),
            is_member=self.is_method,
            impl=self.body,
        )
        return cel.FunctionDecl(self.name, [overload])


@lru_cache(_REMEMBERED_NETWORKS)
def address(text: str) -> Address:
    """Read an address as Kubernetes' ``ip()`` does: no zone, no IPv4 in IPv6, no leading zeros.

    Raises:
        ValueError: It is none.
    """
    if "%" in text:
        raise ValueError("an address must have no zone")
    read = ipaddress.ip_address(text)
    if isinstance(read, ipaddress.IPv6Address) and read.ipv4_mapped is not None:
        raise ValueError("an address must not be IPv4 written as IPv6")
    return read


@lru_cache(_REMEMBERED_NETWORKS)
def network(text: str) -> Network:
    """Read a network with its prefix length, as ``cidr()`` does; host bits may be set.

    Raises:
        ValueError: It is none.
    """
    host, slash, length = text.partition("/")
    if not slash or not length.isascii() or not length.isdecimal() or str(int(length)) != length:
        raise ValueError("a network must be written as address/length")
    address(host)
    return ipaddress.ip_network(text, strict=False)


def _is(read: Callable[[str], object]) -> Callable[[str], bool]:
    def asked(text: str) -> bool:
        try:
            read(text)
        except ValueError:
            return False
        return True

    return asked


def _canonical_address(text: str) -> str:
    return str(address(text))


def _canonical_network(text: str) -> str:
    network(text)
    return text


def _contains_address(outer: str, inner: str) -> bool:
    return address(inner) in network(outer)


def _contains_network(outer: str, inner: str) -> bool:
    held, holding = network(inner), network(outer)
    return (
        held.version == holding.version
        and held.prefixlen >= holding.prefixlen
        and held.network_address in holding
    )


def _is_global_unicast(text: str) -> bool:
    # As Go's netip.Addr.IsGlobalUnicast: private addresses count as global unicast.
    read = address(text)
    return not (
        read.is_unspecified
        or read.is_loopback
        or read.is_multicast
        or read.is_link_local
        or read == ipaddress.IPv4Address("255.255.255.255")
    )


def _method(name: str, result: Any, body: Callable[..., object], *more: Any) -> Function:
    return Function(name=name, parameters=(STRING, *more), result=result, is_method=True, body=body)


def _global(name: str, result: Any, body: Callable[..., object]) -> Function:
    return Function(name=name, parameters=(STRING,), result=result, is_method=False, body=body)


ADDRESS_LIBRARY = (
    _global("ip", STRING, _canonical_address),
    _global("isIP", BOOL, _is(address)),
    _global("cidr", STRING, _canonical_network),
    _global("isCIDR", BOOL, _is(network)),
    _method("family", INT, lambda text: address(text).version),
    _method("isUnspecified", BOOL, lambda text: address(text).is_unspecified),
    _method("isLoopback", BOOL, lambda text: address(text).is_loopback),
    _method("isLinkLocalUnicast", BOOL, lambda text: address(text).is_link_local),
    _method("isGlobalUnicast", BOOL, _is_global_unicast),
    _method("containsIP", BOOL, _contains_address, STRING),
    _method("containsCIDR", BOOL, _contains_network, STRING),
    _method("prefixLength", INT, lambda text: network(text).prefixlen),
)
