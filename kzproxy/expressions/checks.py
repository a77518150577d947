"""What an expression may not hold though CEL would take it: the unbounded and the ambiguous."""

import difflib
from collections.abc import Callable, Collection, Iterator, Sequence

import msgspec

from kzproxy.expressions.library import (
    CIDR_METHODS,
    DATE_PARTS,
    IP_METHODS,
    OPERATORS,
    network,
)
from kzproxy.expressions.library import address as read_address
from kzproxy.expressions.tree import Kind, Tree

MAX_NESTED_WALKS = 2
"""Two lists of a hundred fill the 10,000 steps after which the library ends an evaluation."""

MAX_ADDITIONS = 8
"""Each may double a text; eight keep the longest below ten times what went in."""

_RESULT_SO_FAR = "@result"


class Fault(msgspec.Struct, frozen=True):
    """What is wrong, and where: an offset in characters."""

    message: str
    offset: int


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """What one language allows.

    Attributes:
        functions: All that may be called, operators in the library's spelling.
        variables: That are declared.
        once: Variables that may be walked over, and not read again at each step of a walk: each
            reading copies all of it.
        floats: Whether numbers with a point are taken.
        escapes: Whether ``__`` in a member's name would mean something else to kube-apiserver.
        computes: Says why a small expression has no result; empty where it has one.
    """

    functions: frozenset[str]
    variables: frozenset[str]
    once: frozenset[str]
    floats: bool
    escapes: bool
    computes: Callable[[str], str]


def faults(tree: Tree, bounds: Bounds) -> Iterator[Fault]:
    """Give all that is wrong with a checked expression."""
    nodes = tuple(tree.nodes())
    yield from _numbers(nodes)
    for node in nodes:
        yield from _node_faults(node, bounds)
    yield from _walks(tree, bounds, ())
    yield from _addresses(nodes)


def _node_faults(node: Tree, bounds: Bounds) -> Iterator[Fault]:
    if node.kind is Kind.CALL:
        yield from _call(node, bounds)
    elif node.kind is Kind.MESSAGE:
        yield Fault(f"cannot make a `{node.name}`", node.offset)
    elif node.kind is Kind.CONSTANT and isinstance(node.value, float) and not bounds.floats:
        yield Fault("must not hold a number with a point; write whole numbers", node.offset)
    elif node.kind is Kind.NAME:
        yield from _names(node)
    elif node.kind is Kind.LIST:
        yield from _mixed(node)
    elif node.kind is Kind.SELECT and bounds.escapes and "__" in node.name:
        yield Fault(_ESCAPED, node.offset)


_ESCAPED = (
    'must not name a member with `__`, which kube-apiserver takes for an escape; write ["the.name"]'
)


def _names(node: Tree) -> Iterator[Fault]:
    if node.name in _TYPE_NAMES:
        yield Fault(f"cannot speak of the type `{node.name}`", node.offset)


_TYPE_NAMES = frozenset(
    {"bool", "int", "uint", "double", "string", "bytes", "list", "map", "null_type", "type"}
    | {"google.protobuf.Timestamp", "google.protobuf.Duration", "optional_type"}
)


def _numbers(nodes: Sequence[Tree]) -> Iterator[Fault]:
    additions = [
        node
        for node in nodes
        if node.name == "_+_" and node.kind is Kind.CALL and node.children[0].name != _RESULT_SO_FAR
    ]
    if len(additions) > MAX_ADDITIONS:
        yield Fault(
            f"must not hold more than {MAX_ADDITIONS} `+`", max(node.offset for node in additions)
        )


def _call(node: Tree, bounds: Bounds) -> Iterator[Fault]:
    if node.name not in bounds.functions:
        yield Fault(_no_function(node.name, bounds.functions), node.offset)
        return
    rule = _ARGUMENTS.get("date" if node.name in DATE_PARTS else node.name)
    if rule is not None:
        fault = rule(node, bounds)
        if fault:
            yield Fault(fault, node.offset)


def _no_function(name: str, functions: Collection[str]) -> str:
    near = difflib.get_close_matches(name, [f for f in functions if f.isalpha()], 1)
    ending = f"; did you mean `{near[0]}`?" if near else ""
    return f"the function `{OPERATORS.get(name, name)}` is not available here{ending}"


def _literal(node: Tree) -> str | None:
    if node.kind is Kind.CONSTANT and isinstance(node.value, str):
        return node.value
    return None


def _pattern(node: Tree, bounds: Bounds) -> str:
    pattern = _literal(node.arguments[-1])
    if pattern is None:
        return "`matches` must be given its pattern as a literal"
    failure = bounds.computes(f'"".matches({quoted(pattern)})')
    return f"`matches` cannot read its pattern: {failure}" if failure else ""


def _conversion(node: Tree, bounds: Bounds) -> str:
    value = _literal(node.arguments[-1])
    example = '"8h" or "90s"' if node.name == "duration" else '"2026-01-31T08:00:00Z"'
    if value is None:
        return f"`{node.name}` must be given a literal, such as {example}"
    if bounds.computes(f"{node.name}({quoted(value)}) == {node.name}({quoted(value)})"):
        return f"`{node.name}` cannot read {quoted(value)}; write for example {example}"
    return ""


def _zone(node: Tree, bounds: Bounds) -> str:
    if len(node.arguments) == 0:
        return ""
    zone = _literal(node.arguments[0])
    if zone is None:
        return f"`{node.name}` must be given its time zone as a literal"
    probe = f'timestamp("2026-01-01T00:00:00Z").getHours({quoted(zone)}) >= 0'
    return f"`{node.name}` does not know the zone {quoted(zone)}" if bounds.computes(probe) else ""


def _replace(node: Tree, _: Bounds) -> str:
    literals = [_literal(argument) for argument in node.arguments[:2]]
    old, new = literals[0], literals[1]
    if old is None or new is None:
        return "`replace` must be given what it replaces, and by what, as literals"
    if not old or len(new.encode()) > len(old.encode()):
        return "`replace` must not make the text longer"
    return ""


def _join(node: Tree, _: Bounds) -> str:
    if node.arguments and _literal(node.arguments[0]) is None:
        return "`join` must be given its separator as a literal"
    return ""


def _last_index(node: Tree, _: Bounds) -> str:
    if len(node.arguments) > 1:  # Where that is the text's length, kube-apiserver finds nothing.
        return "`lastIndexOf` must not be given a place to begin at"
    return ""


def _index(node: Tree, bounds: Bounds) -> str:
    index = node.children[1]
    if index.kind is not Kind.CONSTANT:
        return "a member must be named by a literal"
    if bounds.escapes and isinstance(index.value, str) and "__" in index.value:
        return _ESCAPED
    return ""


_ARGUMENTS: dict[str, Callable[[Tree, Bounds], str]] = {
    "matches": _pattern,
    "duration": _conversion,
    "timestamp": _conversion,
    "date": _zone,
    "replace": _replace,
    "join": _join,
    "lastIndexOf": _last_index,
    "_[_]": _index,
    "_[?_]": _index,
    "_?._": _index,
}


def _mixed(node: Tree) -> Iterator[Fault]:
    """Refuse lists of several types, as Kubernetes does; an unknown type goes with any."""
    dynamic = {b"", b"\x0a\x00"}
    if len({child.type for child in node.children} - dynamic) > 1:
        yield Fault("must not hold a list of several types", node.offset)


def _walks(node: Tree, bounds: Bounds, around: tuple[str, ...]) -> Iterator[Fault]:
    """Follow the walks (``all``, ``exists``, ``map``, ``filter``) down to where they nest."""
    if node.kind is not Kind.WALK:
        if around and node.kind is Kind.NAME and node.name in bounds.once:
            yield Fault(
                f"must not read `{node.name}` again at each step of a walk over a list",
                node.offset,
            )
        for child in node.children:
            yield from _walks(child, bounds, around)
        return
    if len(around) >= MAX_NESTED_WALKS:
        yield Fault(f"must not nest more than {MAX_NESTED_WALKS} walks over lists", node.offset)
    if any(variable.split(".")[0] == node.name for variable in bounds.variables):
        yield Fault(f"must not use `{node.name}` for the members of a list", node.offset)
    yield from _walks(node.children[0], bounds, around)
    for child in node.children[1:]:
        yield from _walks(child, bounds, (*around, node.name))


def _addresses(nodes: Sequence[Tree]) -> Iterator[Fault]:
    """Keep addresses and networks apart from texts, which they are to the library."""
    proper: set[int] = set()
    for node in nodes:
        if node.kind is not Kind.CALL:
            continue
        if node.name in CIDR_METHODS | IP_METHODS:
            yield from _target(node, proper)
        elif node.name in ("_==_", "_!=_") and all(_is_call(c, "ip") for c in node.children):
            proper.update(id(child) for child in node.children)
        yield from _address_literal(node)
    for node in nodes:
        if node.kind is Kind.CALL and node.name in ("ip", "cidr") and id(node) not in proper:
            yield Fault(_ADDRESS_PLACE[node.name], node.offset)


_ADDRESS_PLACE = {
    "cidr": '`cidr` must be followed by a method: cidr("10.0.0.0/8").containsIP(source.ip)',
    "ip": "`ip` must be followed by a method, such as .family(), or compared with another `ip`",
}


def _target(node: Tree, proper: set[int]) -> Iterator[Fault]:
    wanted = "cidr" if node.name in CIDR_METHODS else "ip"
    target = node.target
    if target is None or not _is_call(target, wanted):
        yield Fault(f'`{node.name}` is a method of `{wanted}("...")`', node.offset)
        return
    proper.add(id(target))
    inner = "ip" if node.name == "containsIP" else "cidr"
    proper.update(id(argument) for argument in node.arguments if _is_call(argument, inner))


def _is_call(node: Tree, name: str) -> bool:
    return node.kind is Kind.CALL and node.name == name


def _address_literal(node: Tree) -> Iterator[Fault]:
    reader = {"ip": read_address, "cidr": network}.get(node.name)
    text = _literal(node.children[0]) if reader is not None and node.children else None
    if reader is None or text is None:
        return
    try:
        reader(text)
    except ValueError as error:
        yield Fault(f"`{node.name}` cannot read its literal: {error}", node.offset)


def quoted(text: str) -> str:
    """Write a text as a CEL literal."""
    return '"' + "".join(_escaped(character) for character in text) + '"'


def _escaped(character: str) -> str:
    if character in '"\\' or not character.isprintable():
        return f"\\U{ord(character):08x}"
    return character
