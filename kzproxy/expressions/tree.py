"""The syntax tree of a checked expression: what it reads, calls and walks over."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import Enum, auto

from kzproxy.expressions.wire import Fields, fields, last, message, number, text


class Kind(Enum):
    """What a node is."""

    CONSTANT = auto()
    NAME = auto()
    SELECT = auto()
    CALL = auto()
    LIST = auto()
    MAP = auto()
    MESSAGE = auto()
    WALK = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """One node with what is below it.

    Attributes:
        name: Of the variable, field, function, message or, for a walk, the walked variable.
        value: Of a constant: None, bool, int, float, str or bytes.
        target: Before the dot of a field or method.
        children: All nodes directly below, ``target`` first; a walk has its range first.
        only_tests: Whether a field is only asked for (``has``).
        type: The checked type, serialized: equal bytes are equal types.
        offset: Where it stands in the source, in characters; for a call, the operator.
    """

    kind: Kind
    name: str = ""
    value: object = None
    target: "Tree | None" = None
    children: tuple["Tree", ...] = ()
    only_tests: bool = False
    type: bytes = b""
    offset: int = 0

    @property
    def arguments(self) -> tuple["Tree", ...]:
        """What a function is called with, the target left out."""
        return self.children[1:] if self.target is not None else self.children

    def nodes(self) -> Iterator["Tree"]:
        """Give this node and all below it."""
        yield self
        for child in self.children:
            yield from child.nodes()


def read_tree(serialized: bytes) -> Tree:
    """Read what ``Expression.serialize`` gives: an ``Any`` that holds a ``CheckedExpr``.

    Raises:
        ValueError: It is not of that form.
    """
    return _Reader(fields(last(fields(serialized), 2))).tree()


class _Reader:
    def __init__(self, checked: Fields) -> None:
        self._expression = fields(last(checked, 4))
        self._names = dict(_name(fields(message(entry))) for entry in checked.get(2, []))
        self._types = dict(_message_of(fields(message(entry))) for entry in checked.get(3, []))
        source = fields(last(checked, 5))
        self._offsets = dict(_number_of(fields(message(entry))) for entry in source.get(4, []))

    def tree(self) -> Tree:
        return self._node(self._expression)

    def _node(self, found: Fields) -> Tree:
        readers = {
            3: self._constant,
            4: self._name,
            5: self._select,
            6: self._call,
            7: self._list,
            8: self._struct,
            9: self._walk,
        }
        identifier = number(found[2][-1]) if 2 in found else 0
        kind = next((field for field in readers if field in found), None)
        if kind is None:
            raise ValueError("an expression of a kind that is not known")
        body = fields(last(found, kind))
        node = readers[kind](body, self._names.get(identifier, ""))
        return replace(
            node, type=self._types.get(identifier, b""), offset=self._offsets.get(identifier, 0)
        )

    def _below(self, found: Fields, *numbers: int) -> tuple[Tree, ...]:
        return tuple(
            self._node(fields(message(value)))
            for field in numbers
            for value in found.get(field, [])
        )

    def _constant(self, found: Fields, _: str) -> Tree:
        return Tree(kind=Kind.CONSTANT, value=_constant_value(found))

    def _name(self, found: Fields, resolved: str) -> Tree:
        return Tree(kind=Kind.NAME, name=resolved or text(found, 1))

    def _select(self, found: Fields, resolved: str) -> Tree:
        if resolved:  # a variable whose own name has a dot
            return Tree(kind=Kind.NAME, name=resolved)
        below = self._below(found, 1)
        return Tree(
            kind=Kind.SELECT,
            name=text(found, 2),
            target=below[0],
            children=below,
            only_tests=3 in found,
        )

    def _call(self, found: Fields, _: str) -> Tree:
        below = self._below(found, 1, 3)
        return Tree(
            kind=Kind.CALL,
            name=text(found, 2),
            target=below[0] if 1 in found else None,
            children=below,
        )

    def _list(self, found: Fields, _: str) -> Tree:
        return Tree(kind=Kind.LIST, children=self._below(found, 1))

    def _struct(self, found: Fields, _: str) -> Tree:
        entries = [fields(message(entry)) for entry in found.get(2, [])]
        name = text(found, 1)
        return Tree(
            kind=Kind.MESSAGE if name else Kind.MAP,
            name=name,
            children=tuple(node for entry in entries for node in self._below(entry, 3, 4)),
        )

    def _walk(self, found: Fields, _: str) -> Tree:
        return Tree(kind=Kind.WALK, name=text(found, 1), children=self._below(found, 2, 4, 5, 6, 7))


def _constant_value(found: Fields) -> object:
    if 2 in found:
        return bool(found[2][-1])
    if 3 in found or 4 in found:  # int or uint
        return number(found[3][-1]) if 3 in found else found[4][-1]
    if 5 in found:
        return struct.unpack("<d", message(found[5][-1]))[0]
    if 6 in found:
        return text(found, 6)
    return last(found, 7) if 7 in found else None


def _name(entry: Fields) -> tuple[int, str]:
    """Read an entry of the reference map; functions have overloads and are no names."""
    reference = fields(last(entry, 2))
    return number(entry[1][-1]), "" if 3 in reference else text(reference, 1)


def _message_of(entry: Fields) -> tuple[int, bytes]:
    return number(entry[1][-1]), last(entry, 2)


def _number_of(entry: Fields) -> tuple[int, int]:
    return number(entry[1][-1]), number(entry[2][-1]) if 2 in entry else 0
