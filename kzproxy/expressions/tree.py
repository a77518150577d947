"""The syntax tree of a checked expression: what it reads, calls and walks over."""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from functools import cached_property

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


class Notes:
    """What the library noted of each node by its number, read when it is first asked for."""

    def __init__(self, types: Sequence[int | bytes], places: Sequence[int | bytes]) -> None:
        self._types = types
        self._places = places

    @cached_property
    def types(self) -> dict[int, bytes]:
        """The serialized type of each node: equal bytes are equal types."""
        entries = (fields(message(entry)) for entry in self._types)
        return {number(entry[1][-1]): last(entry, 2) for entry in entries}

    @cached_property
    def offsets(self) -> dict[int, int]:
        """Where each stands in the source, in characters; for a call, its operator."""
        entries = (fields(message(entry)) for entry in self._places)
        return {
            number(entry[1][-1]): number(entry[2][-1]) if 2 in entry else 0 for entry in entries
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """One node with what is below it.

    Attributes:
        name: Of the variable, field, function, message or, for a walk, the walked variable.
        value: Of a constant: None, bool, int, float, str or bytes.
        target: Before the dot of a field or method.
        children: All nodes directly below, ``target`` first; a walk has its range first.
        only_tests: Whether a field is only asked for (``has``).
        identifier: Its number in the expression.
    """

    kind: Kind
    name: str = ""
    value: object = None
    target: "Tree | None" = None
    children: tuple["Tree", ...] = ()
    only_tests: bool = False
    identifier: int
    notes: Notes = field(repr=False)

    @property
    def type(self) -> bytes:
        """The checked type, serialized."""
        return self.notes.types.get(self.identifier, b"")

    @property
    def offset(self) -> int:
        """Where it stands in the source, in characters; for a call, the operator."""
        return self.notes.offsets.get(self.identifier, 0)

    @property
    def arguments(self) -> tuple["Tree", ...]:
        """What a function is called with, the target left out."""
        return self.children[1:] if self.target is not None else self.children

    def nodes(self) -> Iterator["Tree"]:
        """Give this node and all below it, each before what is below it."""
        waiting = [self]
        while waiting:
            node = waiting.pop()
            yield node
            waiting.extend(reversed(node.children))


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
        places = fields(last(checked, 5)).get(4, [])
        self._notes = Notes(checked.get(3, []), places)

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
        kind = next((number for number in found if number in readers), None)
        if kind is None:
            raise ValueError("an expression of a kind that is not known")
        return readers[kind](fields(last(found, kind)), identifier)

    def _below(self, found: Fields, *numbers: int) -> tuple[Tree, ...]:
        return tuple(
            self._node(fields(message(value)))
            for field_number in numbers
            for value in found.get(field_number, [])
        )

    def _constant(self, found: Fields, identifier: int) -> Tree:
        return Tree(
            kind=Kind.CONSTANT,
            value=_constant_value(found),
            identifier=identifier,
            notes=self._notes,
        )

    def _name(self, found: Fields, identifier: int) -> Tree:
        name = self._names.get(identifier) or text(found, 1)
        return Tree(kind=Kind.NAME, name=name, identifier=identifier, notes=self._notes)

    def _select(self, found: Fields, identifier: int) -> Tree:
        if self._names.get(identifier):  # a variable whose own name has a dot
            return self._name(found, identifier)
        below = self._below(found, 1)
        return Tree(
            kind=Kind.SELECT,
            name=text(found, 2),
            target=below[0],
            children=below,
            only_tests=3 in found,
            identifier=identifier,
            notes=self._notes,
        )

    def _call(self, found: Fields, identifier: int) -> Tree:
        below = self._below(found, 1, 3)
        return Tree(
            kind=Kind.CALL,
            name=text(found, 2),
            target=below[0] if 1 in found else None,
            children=below,
            identifier=identifier,
            notes=self._notes,
        )

    def _list(self, found: Fields, identifier: int) -> Tree:
        below = self._below(found, 1)
        return Tree(kind=Kind.LIST, children=below, identifier=identifier, notes=self._notes)

    def _struct(self, found: Fields, identifier: int) -> Tree:
        entries = [fields(message(entry)) for entry in found.get(2, [])]
        name = text(found, 1)
        return Tree(
            kind=Kind.MESSAGE if name else Kind.MAP,
            name=name,
            children=tuple(node for entry in entries for node in self._below(entry, 3, 4)),
            identifier=identifier,
            notes=self._notes,
        )

    def _walk(self, found: Fields, identifier: int) -> Tree:
        return Tree(
            kind=Kind.WALK,
            name=text(found, 1),
            children=self._below(found, 2, 4, 5, 6, 7),
            identifier=identifier,
            notes=self._notes,
        )


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
