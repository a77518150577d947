"""Read a request's body in the one reading that kube-apiserver has of it too, or not at all.

Both grammars are cut down to what every reader agrees on. Seen with kube-apiserver 1.36: of a JSON
key that stands twice the second wins, but lists are merged item by item; ``y``, ``on`` and ``0x10``
are no strings in its YAML; of two YAML documents it takes the first.
"""

import json
import re
from collections.abc import Iterator
from typing import NoReturn, TypeVar

import yaml

from kzproxy.errors.kinds import BadRequest

# kube-apiserver reads 10,000 levels; Kubernetes' own types need about 20.
MAX_DEPTH = 100
_SURROGATE = re.compile("[\ud800-\udfff]")

Kind = TypeVar("Kind", bound=yaml.Event)

# Line ends to some readers of YAML and none to others, marks of encoding, and tabs. It does not say
# what is let through: ranges of so many characters take 6 ms to compile, at every start.
_REFUSED_IN_YAML = re.compile(
    "[\x00-\t\x0b-\x1f\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]|[\U00010000-\U0010ffff]"
)
# Behind a plain key of a flow collection: PyYAML ends it there, Go's reader takes the colon in too.
_ENDS_A_KEY = re.compile(r"[ \n]*:[,\[\]{}]")
# A plain scalar that every version of YAML takes for a string. What Go's reader takes for
# something else begins otherwise or is a word of the list.
_PLAIN_STRING = re.compile("-{0,2}[A-Za-z/].*")
_WORDS = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan", "inf"})
_INTEGER = re.compile(r"0|-?[1-9][0-9]{0,17}")
_CONSTANTS: dict[str, bool | None] = {"true": True, "false": False, "null": None, "": None}


def read_json(data: bytes) -> object:
    """Read one JSON value (RFC 8259), every key of it standing once.

    Raises:
        BadRequest: There is none, or another reader could see something else in it.
    """
    try:
        value: object = json.loads(
            data.decode("utf-8"),
            object_pairs_hook=_object,
            parse_constant=_no_number,
        )
    except (ValueError, RecursionError) as error:
        raise BadRequest("the body is not JSON with one reading", detail=str(error)) from error
    _check(value)
    return value


def read_yaml(data: bytes) -> object:
    """Read one YAML document of block and flow collections, quoted and plain scalars.

    No anchor, alias, tag, merge key or directive, no key but a string, and no plain scalar that
    some version of YAML takes for something else than another.

    Raises:
        BadRequest: It is anything else.
    """
    try:
        text = data.decode("utf-8")
        found = _REFUSED_IN_YAML.search(text)
        if found is not None:
            raise BadRequest(f"the YAML body holds {found[0]!a}")
        value = _Composer(text).document()
    except (ValueError, RecursionError, yaml.YAMLError, StopIteration) as error:
        # Not what PyYAML says of it: it quotes the body, which may be a Secret's.
        raise BadRequest(
            f"the body is not YAML with one reading{_place(error)}", detail=type(error).__name__
        ) from error
    _check(value)
    return value


def _place(error: Exception) -> str:
    return _at(error.problem_mark if isinstance(error, yaml.MarkedYAMLError) else None)


def _at(mark: "yaml.error.Mark | yaml._yaml.Mark | None") -> str:
    return "" if mark is None else f" (line {mark.line + 1}, column {mark.column + 1})"


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice")
    return found


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _check(value: object) -> None:
    """Refuse what is nested deeply, and text that is no Unicode."""
    left: list[tuple[object, int]] = [(value, 0)]
    while left:
        item, depth = left.pop()
        if depth > MAX_DEPTH:
            raise BadRequest(f"the body is nested over {MAX_DEPTH} levels deep")
        match item:
            case dict():
                left += [(inner, depth + 1) for inner in item.values()]
                left += [(key, depth) for key in item]
            case list():
                left += [(inner, depth + 1) for inner in item]
            case str() if _SURROGATE.search(item):
                raise BadRequest("the body holds half of a character")


class _Composer:
    """Builds values from PyYAML's events, refusing those with a second reading."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._events: Iterator[yaml.Event] = iter(yaml.parse(text, Loader=yaml.SafeLoader))

    def document(self) -> object:
        """Return the one document's value."""
        self._expect(yaml.StreamStartEvent)
        start = self._expect(yaml.DocumentStartEvent)
        if start.version or start.tags:
            raise BadRequest("the YAML body holds a directive")
        value = self._value(next(self._events), 0)
        self._expect(yaml.DocumentEndEvent)
        self._expect(yaml.StreamEndEvent)
        return value

    def _expect(self, kind: type[Kind]) -> Kind:
        event = next(self._events)
        if not isinstance(event, kind):
            raise BadRequest("the YAML body is not one document")
        return event

    def _value(self, event: yaml.Event, depth: int) -> object:
        if depth > MAX_DEPTH:
            raise BadRequest(f"the body is nested over {MAX_DEPTH} levels deep")
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
            raise BadRequest("the YAML body holds an anchor or an alias")
        if getattr(event, "tag", None) is not None:
            raise BadRequest("the YAML body holds a tag")
        match event:
            case yaml.ScalarEvent():
                self._check_end(event)
                return _scalar(event)
            case yaml.SequenceStartEvent():
                return self._items(depth)
            case yaml.MappingStartEvent():
                return self._pairs(depth)
            case _:
                raise BadRequest("the body is not YAML with one reading")

    def _check_end(self, scalar: yaml.ScalarEvent) -> None:
        end = scalar.end_mark
        if scalar.style is None and end and _ENDS_A_KEY.match(self._text, end.index):
            place = _at(end)
            raise BadRequest(f"the YAML body holds a key without a blank behind its colon{place}")

    def _items(self, depth: int) -> list[object]:
        items: list[object] = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            items.append(self._value(event, depth + 1))
        return items

    def _pairs(self, depth: int) -> dict[str, object]:
        pairs: list[tuple[str, object]] = []
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            key = self._value(event, depth + 1)
            if not isinstance(key, str) or key == "<<":
                raise BadRequest("the YAML body holds a key that is no plain string")
            pairs.append((key, self._value(next(self._events), depth + 1)))
        return _object(pairs)


def _scalar(event: yaml.ScalarEvent) -> object:
    text = event.value
    if event.style is not None:
        return text
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    if text.lower() in _WORDS or not _PLAIN_STRING.fullmatch(text):
        place = _at(event.start_mark)
        raise BadRequest(f"the YAML body holds a value that must be quoted to be a string{place}")
    return text
