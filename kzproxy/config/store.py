"""The ``store`` section: where sessions and devices are kept, and what seals the secrets there."""

import os
from dataclasses import dataclass, field
from pathlib import Path

from kzproxy.config.document import Node
from kzproxy.config.files import directory_fault, file_text
from kzproxy.store.sealing import read_keys


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreSettings:
    """What a store is opened with.

    Attributes:
        file: An SQLite file; begun where there is none.
        keys: The first one seals, all of them open.
    """

    file: Path
    keys: tuple[bytes, ...] = field(repr=False)


def load_store(node: Node, base: Path) -> StoreSettings:
    """Read the section."""
    fields = node.mapping(required=("file",), optional=("keysFile", "keysEnvironment"))
    file = base / fields["file"].string()
    if fault := directory_fault(file.parent):
        fields["file"].mistake(f"{file.parent} {fault}")
    if ("keysFile" in fields) is ("keysEnvironment" in fields):
        node.mistake("set keysFile or keysEnvironment: `kzproxy store new-key` makes a key")
        return StoreSettings(file=file, keys=())
    if "keysFile" in fields:
        return StoreSettings(file=file, keys=_keys(fields["keysFile"], _text(fields, base)))
    return StoreSettings(file=file, keys=_keys(fields["keysEnvironment"], _variable(fields)))


def _text(fields: dict[str, Node], base: Path) -> str:
    return file_text(fields["keysFile"], base)


def _variable(fields: dict[str, Node]) -> str:
    name = fields["keysEnvironment"].string()
    text = os.environ.get(name, "")
    if name and not text:
        fields["keysEnvironment"].mistake(f"the environment variable {name} is not set")
    return text.replace(",", "\n")


def _keys(node: Node, text: str) -> tuple[bytes, ...]:
    if not text.strip():
        return ()  # a mistake already
    try:
        return read_keys(text)
    except ValueError as error:
        node.mistake(str(error))
        return ()
