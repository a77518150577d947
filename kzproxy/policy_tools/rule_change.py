"""What has become of one rule, and what that can do to access."""

from collections.abc import Iterator
from enum import StrEnum
from typing import Any

import msgspec
from msgspec.structs import replace

from kzproxy.policy.rules import Effect, Rule
from kzproxy.policy_tools.condition_cover import obligation_shifts
from kzproxy.policy_tools.condition_shift import ConditionShifts
from kzproxy.policy_tools.definitions_used import Name
from kzproxy.policy_tools.field_changes import FieldChange, field_changes
from kzproxy.policy_tools.rule_reach import matches_cover, subjects_cover
from kzproxy.policy_tools.shift import Shift, compared, member_shift, together
from kzproxy.policy_tools.value_words import rule_words

_DECIDING = ("effect", "subjects", "match", "conditions", "when", "patches", "obligations")


class Became(StrEnum):
    """What has become of a rule or a definition."""

    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"
    RENAMED = "renamed"
    MOVED = "moved"
    REACHED = "reached"


class RuleChange(msgspec.Struct, frozen=True, kw_only=True):
    """What has become of one rule.

    Attributes:
        became: MOVED and REACHED only where nothing else is to be said of it.
        id: Of the new policy where it is there.
        was: Its id in the old policy where that is another; empty otherwise.
        effect: Of the new policy where it is there.
        fields: That say something else; of a rule that is new or gone, all.
        through: The changed definitions that it comes to: section and name.
        is_moved: It stands before or behind other rules of its effect than it did.
        access: What all of that can do to access.
    """

    became: Became
    id: str
    was: str = ""
    effect: Effect
    fields: tuple[FieldChange, ...] = ()
    through: tuple[Name, ...] = ()
    is_moved: bool = False
    access: Shift = Shift.NONE


def one_sided(rule: Rule, became: Became) -> RuleChange:
    """Return the change of a rule that is new, or gone."""
    is_new, is_allow = became is Became.ADDED, rule.effect is Effect.ALLOW
    access = Shift.WIDER if is_new is is_allow else Shift.NARROWER
    words = rule_words(rule)
    old, new = ({}, words) if is_new else (words, {})
    fields = (replace(each, access=access) for each in field_changes(old, new))
    return RuleChange(
        became=became, id=rule.id, effect=rule.effect, fields=tuple(fields), access=access
    )


def changed_fields(old: Rule, new: Rule, shifts: dict[str, Shift]) -> tuple[FieldChange, ...]:
    """Return the fields of a rule that differ; ``shifts`` are those of ``access_shifts``."""
    words = rule_words(old), rule_words(new)
    subjects = _subject_fields(shifts["subjects"], *(each["subjects"] for each in words))
    return tuple(
        replace(each, access=_of_field(each.path, shifts | subjects))
        for each in field_changes(*words)
    )


def access_shifts(old: Rule, new: Rule, conditions: ConditionShifts) -> dict[str, Shift]:
    """Return what a change can do to access, by the fields that it may stand in."""
    if old.effect is not new.effect:
        access = Shift.WIDER if new.effect is Effect.ALLOW else Shift.NARROWER
        return dict.fromkeys(_DECIDING, access)
    found = {
        "subjects": compared(subjects_cover, old, new),
        "match": compared(lambda w, n: matches_cover(w, n, new.effect), old.match, new.match),
        "patches": _patches_shift(old, new),
    }
    found |= {
        word if word == "when" else f"conditions.{word}": shift
        for word, shift in conditions.of_rules(old, new).items()
    }
    if new.effect is Effect.DENY:
        return {word: shift.reversed for word, shift in found.items()}
    asked = obligation_shifts(old.obligations, new.obligations)
    return found | {f"obligations.{name}": shift for name, shift in asked.items()}


def _patches_shift(old: Rule, new: Rule) -> Shift:
    """Return where the rule matches patches otherwise: an allow rule may, a deny rule does not."""
    if old.patches_allowed is new.patches_allowed:
        return Shift.NONE
    may_now = new.patches_allowed is (new.effect is Effect.ALLOW)
    return Shift.WIDER if may_now else Shift.NARROWER


def _subject_fields(total: Shift, old: dict[str, Any], new: dict[str, Any]) -> dict[str, Shift]:
    """Return the part that each kind of subject has in ``total``."""
    kinds = {**old, **new}
    turns = {kind: member_shift(old.get(kind, ()), new.get(kind, ())) for kind in kinds}
    if total in turns.values() or together(turns.values()) == total:
        return {f"subjects.{kind}": shift & total for kind, shift in turns.items()}
    return {f"subjects.{kind}": total for kind in kinds}


def _of_field(path: str, shifts: dict[str, Shift]) -> Shift:
    """Return the shift of the longest beginning of ``path`` that has one."""
    return next((shifts[each] for each in _beginnings(path) if each in shifts), Shift.NONE)


def _beginnings(path: str) -> Iterator[str]:
    while path:
        yield path
        yield path.partition("[")[0]
        path = path.rpartition(".")[0]
