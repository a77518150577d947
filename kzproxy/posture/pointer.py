"""JSON Pointer (RFC 6901): where something stands in a document. Pure."""

from typing import Final

MISSING: Final = object()


def parse_pointer(text: str) -> tuple[str, ...]:
    """Return the names that lead to a place.

    Raises:
        ValueError: It is not a pointer.
    """
    if text and not text.startswith("/"):
        raise ValueError(f"{text!r} must begin with /, as in /security/firewall")
    parts = text.split("/")[1:]
    if any("~" in part.replace("~0", "").replace("~1", "") for part in parts):
        raise ValueError(f"{text!r} has a ~ that is neither ~0 nor ~1")
    return tuple(part.replace("~1", "/").replace("~0", "~") for part in parts)


def found_at(document: object, pointer: str) -> object:
    """Return what stands at a pointer that ``parse_pointer`` has read; else ``MISSING``."""
    for name in parse_pointer(pointer):
        match document:
            case dict() if name in document:
                document = document[name]
            case list() if name.isdecimal() and name.isascii() and int(name) < len(document):
                document = document[int(name)]
            case _:
                return MISSING
    return document
