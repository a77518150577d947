"""The words of a file that are there."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

Words = dict[str, Any]

_UNITS = (("d", 86400), ("h", 3600), ("m", 60))


def duration_text(duration: timedelta) -> str:
    """Write a duration as policies do, exactly."""
    seconds = int(duration.total_seconds())
    for unit, size in _UNITS:
        if seconds and seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def given_words(words: Mapping[str, object]) -> Words:
    """Leave out what is not written: None, and lists, mappings and texts with nothing in them."""
    return {name: value for name, value in words.items() if value not in (None, [], {}, "")}
