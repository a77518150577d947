"""Which fields of a rule or definition differ, with what they say before and after."""

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from kzproxy.policy_tools.given_words import Words
from kzproxy.policy_tools.shift import Shift


class FieldChange(msgspec.Struct, frozen=True, kw_only=True):
    """One field that says something else.

    Attributes:
        path: ``conditions.device.enrolled``, ``match[0].verbs``; an entry counts from 0.
        old: As JSON would hold it; None where it is not written.
        new: Likewise.
        access: What that alone can do to access.
    """

    path: str
    old: object
    new: object
    access: Shift = Shift.NONE


def field_changes(old: Words, new: Words, path: str = "") -> Iterator[FieldChange]:
    """Yield what differs in two mappings, down to their lists and values."""
    for name in [*old, *(name for name in new if name not in old)]:
        below = f"{path}.{name}" if path else name
        was, is_now = old.get(name), new.get(name)
        if was == is_now:
            continue
        if isinstance(was or is_now, dict) and isinstance(is_now or was, dict):
            yield from field_changes(was or {}, is_now or {}, below)
        elif _is_of_mappings(was) or _is_of_mappings(is_now):
            yield from _entry_changes(was or [], is_now or [], below)
        else:
            yield FieldChange(path=below, old=was, new=is_now)


def _is_of_mappings(value: Any) -> bool:
    return isinstance(value, list) and any(isinstance(each, dict) for each in value)


def _entry_changes(old: Sequence[Any], new: Sequence[Any], path: str) -> Iterator[FieldChange]:
    """Yield what differs in two lists of mappings; as many on both sides are taken for changed."""
    gone = [(place, each) for place, each in enumerate(old) if each not in new]
    come = [(place, each) for place, each in enumerate(new) if each not in old]
    if len(gone) == len(come):
        for (_, was), (place, is_now) in zip(gone, come, strict=True):
            yield from field_changes(was, is_now, f"{path}[{place}]")
        return
    for place, each in gone:
        yield FieldChange(path=f"{path}[{place}]", old=each, new=None)
    for place, each in come:
        yield FieldChange(path=f"{path}[{place}]", old=None, new=each)
