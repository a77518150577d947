"""Read YAML with its places, so that every mistake is named with file, line and column at once.

A loader walks ``Node`` values and asks each for what it should be. A node that is something else
records a ``Mistake`` and answers with an empty value, so the loader goes on and the operator sees
all mistakes of all files together; ``Mistakes.raise_if_any`` is called once, at the end, before
anything is built from what was read.

Stricter than YAML on purpose: an alias, a tag of one's own, a repeated key and a word that YAML 1.1
reads as something else than text (``no``, ``20:00``) are mistakes, because each makes a file mean
something other than what it seems to say.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import yaml
from yaml.nodes import MappingNode, ScalarNode, SequenceNode

from kzproxy.config.mistakes import Mistakes, did_you_mean
from kzproxy.config.yaml_text import compose_file

__all__ = ["Mistakes", "Node", "did_you_mean", "read_document", "read_documents"]

_TAG = "tag:yaml.org,2002:"
_DECIMAL = re.compile(r"-?(0|[1-9][0-9]{0,18})")
_KINDS = {
    "str": "a string",
    "int": "a number",
    "float": "a number",
    "bool": "a boolean",
    "null": "empty",
    "timestamp": "a date",
    "map": "a mapping",
    "seq": "a list",
}


class Node:
    """One value of a document and its place.

    Each method asks for one kind. Where the value is of another kind, a mistake is recorded and a
    harmless empty value comes back. A node may also stand for a value that is not there although
    it had to be: that mistake has been recorded, so such a node answers emptily and in silence.

    Attributes:
        source: The file as the operator named it.
        line: Counted from 1; 0 where there is no value.
        column: Counted from 1; 0 where there is no value.
    """

    __slots__ = ("_mistakes", "_value", "column", "line", "source")

    def __init__(self, value: yaml.Node | None, source: str, mistakes: Mistakes) -> None:
        self._value = value
        self._mistakes = mistakes
        self.source = source
        self.line = value.start_mark.line + 1 if value is not None else 0
        self.column = value.start_mark.column + 1 if value is not None else 0

    def mistake(self, message: str) -> None:
        """Record that this value is wrong; ``message`` says what would be right."""
        if self._value is not None:
            self._mistakes.report(self.source, message, line=self.line, column=self.column)

    def look_at(self, path: Path) -> None:
        """Note ``path``, which this value names, as a file that the configuration depends on."""
        self._mistakes.sources.look_at(path)

    def is_null(self) -> bool:
        """Whether nothing is written here: ``field:`` or ``null``, or no value at all."""
        return self._value is None or _kind(self._value) == "null"

    def is_mapping(self) -> bool:
        """Whether this is a mapping, for fields that may be one of two kinds."""
        return _as_mapping(self._value) is not None

    def is_sequence(self) -> bool:
        """Whether this is a list, for fields that may be one of two kinds."""
        return _as_sequence(self._value) is not None

    def is_text(self) -> bool:
        """Whether this is text, which may be empty; a word that YAML reads otherwise is not."""
        return isinstance(self._value, ScalarNode) and _kind(self._value) == "str"

    def mapping(
        self, *, required: Sequence[str] = (), optional: Sequence[str] = ()
    ) -> dict[str, "Node"]:
        """Return the fields that are there, by name; any other field is a mistake.

        Every name in ``required`` is in the result: one that is missing is a mistake and is there
        as a silent node. A name in ``optional`` is in the result only where it was written.
        """
        fields = {name: Node(None, self.source, self._mistakes) for name in required}
        if self._value is None:
            return fields
        pairs = _as_mapping(self._value)
        if pairs is None:
            self._wrong("a mapping with " + _listed((*required, *optional)))
            return fields
        written = dict(self._named_values(pairs, (*required, *optional)))
        missing = [name for name in required if name not in written]
        if missing:
            self.mistake(f"{_listed(missing)} must be set here")
        return fields | written

    def entries(self) -> list[tuple["Node", "Node"]]:
        """Return key and value of a mapping whose keys the operator chooses; each key once."""
        if self._value is None:
            return []
        pairs = _as_mapping(self._value)
        if pairs is None:
            self._wrong("a mapping of names")
            return []
        return list(self._unique_pairs(pairs))

    def sequence(self) -> list["Node"]:
        """Return the items of a list, which may be empty."""
        if self._value is None:
            return []
        items = _as_sequence(self._value)
        if items is None:
            self._wrong("a list")
            return []
        return [self._at(item) for item in items.value]

    def string(self, *, may_be_empty: bool = False) -> str:
        """Return the text. A word that YAML takes for another kind has to be quoted."""
        if self._value is None:
            return ""
        if not isinstance(self._value, ScalarNode) or _kind(self._value) == "null":
            self._wrong("a string")
            return ""
        text = str(self._value.value)
        if _kind(self._value) != "str":
            self.mistake(f'YAML reads {text} as {self._kind_words()}; write "{text}" in quotes')
            return ""
        if not text and not may_be_empty:
            self.mistake("must not be empty")
        return self._whole_characters(text)

    def filled_sequence(self) -> list["Node"]:
        """Return the items of a list; an empty one is a mistake: it would not say what it means."""
        items = self.sequence()
        if not items and self.is_sequence():
            self.mistake("the list must not be empty; leave the field out or name something")
        return items

    def strings(self, *, may_be_empty: bool = False) -> tuple[str, ...]:
        """Return a list of texts; see ``filled_sequence``.

        Args:
            may_be_empty: Whether a text in the list may be empty.
        """
        return tuple(item.string(may_be_empty=may_be_empty) for item in self.filled_sequence())

    def integer(self, minimum: int, maximum: int) -> int:
        """Return a decimal number within the bounds, both included; ``minimum`` on a mistake."""
        if self._value is None:
            return minimum
        text = str(self._value.value) if _kind(self._value) == "int" else ""
        if not _DECIMAL.fullmatch(text):
            self._wrong(f"a whole number from {minimum} to {maximum}")
            return minimum
        number = int(text)
        if not minimum <= number <= maximum:
            self.mistake(f"must be from {minimum} to {maximum}, not {number}")
            return minimum
        return number

    def boolean(self) -> bool:
        """Return true or false; YAML 1.1's other words for them are mistakes. False on those."""
        if self._value is None:
            return False
        text = self._value.value if _kind(self._value) == "bool" else ""
        if text not in ("true", "false"):
            self._wrong("true or false")
            return False
        return bool(text == "true")

    def choice(self, allowed: Sequence[str]) -> str:
        """Return one of ``allowed``; empty on a mistake."""
        before = len(self._mistakes)
        text = self.string(may_be_empty=True)
        if self._value is None or len(self._mistakes) > before or text in allowed:
            return text
        self.mistake(f'"{text}" is not one of {_listed(allowed)}{did_you_mean(text, allowed)}')
        return ""

    def raw(self) -> object:
        """Return the value as JSON would hold it, for what another program defines.

        Dates stay text. A repeated key or a tag of one's own is still a mistake.
        """
        if self.is_mapping():
            return {key.string(): value.raw() for key, value in self.entries()}
        if self.is_sequence():
            return [item.raw() for item in self.sequence()]
        return None if self._value is None else self._raw_scalar(self._value)

    def _raw_scalar(self, node: yaml.Node) -> object:
        kind = _kind(node)
        if not isinstance(node, ScalarNode) or kind not in _KINDS:
            self._wrong("a value without a tag")
            return None
        if kind in ("str", "timestamp"):
            return self._whole_characters(str(node.value))
        try:
            value: object = yaml.SafeLoader("").construct_object(node)
        except (ValueError, LookupError, OverflowError):  # by a tag, a text need not fit
            self.mistake(f"cannot be read as {_KINDS[kind]}, which YAML takes it for")
            return None
        return value

    def _whole_characters(self, text: str) -> str:
        # YAML's \uD83D is half of a character, which no file or header can hold.
        if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
            self.mistake("holds an escape for half a character; write the character itself")
            return ""
        return text

    def _named_values(
        self, value: MappingNode, allowed: Sequence[str]
    ) -> Iterator[tuple[str, "Node"]]:
        for key, item in self._unique_pairs(value):
            name = key.string()
            if name in allowed:
                yield name, item
            elif name:
                hint = did_you_mean(name, allowed)
                key.mistake(f"unknown field {name}{hint}; allowed here: {_listed(allowed)}")

    def _unique_pairs(self, value: MappingNode) -> Iterator[tuple["Node", "Node"]]:
        seen: set[str] = set()
        for key, item in value.value:
            node = self._at(key)
            name = node.string()
            if name in seen:
                node.mistake(f"{name} is written twice; keep one")
            elif name:
                seen.add(name)
                yield node, self._at(item)

    def _at(self, value: yaml.Node) -> "Node":
        return Node(value, self.source, self._mistakes)

    def _wrong(self, wanted: str) -> None:
        self.mistake(f"must be {wanted}, not {self._kind_words()}")

    def _kind_words(self) -> str:
        kind = _kind(self._value) if self._value is not None else "null"
        return _KINDS.get(kind, f"a value tagged {kind}")


def read_document(path: Path, mistakes: Mistakes) -> Node:
    """Read a file that holds exactly one YAML document.

    An unreadable, empty, too large or ill-formed file is a mistake, and the node is silent.
    """
    documents = read_documents(path, mistakes)
    if not documents:
        return Node(None, str(path), mistakes)
    for further in documents[1:]:
        further.mistake("this file may hold one document only; remove what follows ---")
    return documents[0]


def read_documents(path: Path, mistakes: Mistakes) -> list[Node]:
    """Read the YAML documents of a file, without the empty ones; none at all is a mistake."""
    source = str(path)
    before = len(mistakes)
    values = compose_file(path, mistakes)
    nodes = [node for node in (Node(v, source, mistakes) for v in values) if not node.is_null()]
    if not nodes and len(mistakes) == before:
        mistakes.report(source, "the file is empty")
    return nodes


def _as_mapping(value: yaml.Node | None) -> MappingNode | None:
    """Return a mapping that has no tag of its own."""
    return value if isinstance(value, MappingNode) and _kind(value) == "map" else None


def _as_sequence(value: yaml.Node | None) -> SequenceNode | None:
    """Return a list that has no tag of its own."""
    return value if isinstance(value, SequenceNode) and _kind(value) == "seq" else None


def _kind(value: yaml.Node) -> str:
    return str(value.tag).removeprefix(_TAG)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(name or '""' for name in names) if names else "nothing"
