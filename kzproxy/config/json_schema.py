"""The few words of JSON Schema that the schemas of our files are written in.

Draft 7, which editors know best. A schema here may refuse less than the loader does, never more: it
helps while one writes, the loader decides.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

Schema = dict[str, Any]

DRAFT = "http://json-schema.org/draft-07/schema#"


def text(description: str, pattern: "re.Pattern[str] | str" = "") -> Schema:
    """Return the schema of a text that is not empty; the whole of it fits ``pattern``."""
    found = pattern if isinstance(pattern, str) else pattern.pattern
    return {
        "type": "string",
        "description": description,
        "minLength": 1,
        **({"pattern": f"^(?:{found})$"} if found else {}),
    }


def any_text(description: str) -> Schema:
    """Return the schema of a text that may be empty."""
    return {"type": "string", "description": description}


def choice(description: str, words: Sequence[str]) -> Schema:
    """Return the schema of one of some words."""
    return {"type": "string", "description": description, "enum": list(words)}


def truth(description: str) -> Schema:
    """Return the schema of true or false."""
    return {"type": "boolean", "description": description}


def only_true(description: str) -> Schema:
    """Return the schema of what is written as true or left out."""
    return {"type": "boolean", "description": description, "enum": [True]}


def number(description: str, least: int, most: int) -> Schema:
    """Return the schema of a whole number, bounds included."""
    return {"type": "integer", "description": description, "minimum": least, "maximum": most}


def filled_list(description: str, items: Schema) -> Schema:
    """Return the schema of a list in which something stands."""
    return {"type": "array", "description": description, "minItems": 1, "items": items}


def mapping(
    description: str, fields: Mapping[str, Schema], required: Sequence[str] = (), **more: object
) -> Schema:
    """Return the schema of a mapping of known fields and no others.

    Args:
        description: For whoever writes it.
        fields: By name.
        required: Those that must be there; where there are none, one of ``fields`` must.
        more: Further words of the schema.
    """
    return {
        "type": "object",
        "description": description,
        "additionalProperties": False,
        "properties": dict(fields),
        **({"required": list(required)} if required else {"minProperties": 1}),
        **more,
    }


def by_name(description: str, value: Schema, name: "re.Pattern[str]") -> Schema:
    """Return the schema of a mapping whose keys the operator chooses."""
    return {
        "type": "object",
        "description": description,
        "propertyNames": {"pattern": f"^(?:{name.pattern})$"},
        "additionalProperties": value,
    }


def within(words: Sequence[str]) -> Schema:
    """Return what says of a list that all of it is among some words."""
    return {"items": {"enum": list(words)}}


def without(*names: str) -> dict[str, bool]:
    """Return properties that may not be there."""
    return dict.fromkeys(names, False)
