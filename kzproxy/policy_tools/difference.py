"""What differs between two policies in meaning, and what that can do to access.

Comments, spelling and the order of lists mean nothing. What is said of access is cautious: it can
widen only where a request that was refused may be permitted, and is not said to narrow where that
cannot be told. Only what kzproxy permits is meant, for kube-apiserver judges after it.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from difflib import SequenceMatcher

import msgspec
from msgspec.structs import replace

from kzproxy.policy.revision import policy_revision
from kzproxy.policy.rules import AccessPolicySet, Effect, Rule
from kzproxy.policy_tools.condition_shift import ConditionShifts
from kzproxy.policy_tools.definitions_used import Name
from kzproxy.policy_tools.field_changes import FieldChange, field_changes
from kzproxy.policy_tools.given_words import Words
from kzproxy.policy_tools.rule_change import (
    Became,
    RuleChange,
    access_shifts,
    changed_fields,
    one_sided,
)
from kzproxy.policy_tools.shift import Shift, together
from kzproxy.policy_tools.value_words import (
    calendar_words,
    named_words,
    network_words,
    rule_words,
    tier_words,
)

LIMITS_NOTE = (
    "how long a request may run (maxSession, idle) is said by the first allow rule that matches:"
    " where rules come, go or move, what stands behind them may be limited otherwise"
)


class DefinitionChange(msgspec.Struct, frozen=True, kw_only=True):
    """A network, calendar, tier or named condition that is new, gone or another.

    Attributes:
        name: Section and name; of a tier its level.
        rules: Of both policies, that come to it.
    """

    became: Became
    name: Name
    fields: tuple[FieldChange, ...]
    rules: tuple[str, ...] = ()


class PolicyDifference(msgspec.Struct, frozen=True, kw_only=True):
    """All that differs.

    Attributes:
        revisions: Of the old and of the new policy.
        access: What all changes together can do.
        notes: What else must be said.
    """

    revisions: tuple[str, str]
    definitions: tuple[DefinitionChange, ...]
    rules: tuple[RuleChange, ...]
    access: Shift
    notes: tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether both mean the same."""
        return not self.definitions and not self.rules


def difference(old: AccessPolicySet, new: AccessPolicySet) -> PolicyDifference:
    """Return what differs between two policies."""
    shifts = ConditionShifts(old, new)
    definitions = tuple(_definition_changes(old, new))
    changed = {each.name for each in definitions}
    rules = tuple(_rule_changes(old, new, shifts, changed))
    reached = {name: _users(name, shifts, old, new) for name in changed}
    return PolicyDifference(
        revisions=(policy_revision(old), policy_revision(new)),
        definitions=tuple(replace(each, rules=reached[each.name]) for each in definitions),
        rules=rules,
        access=together(each.access for each in rules),
        notes=(LIMITS_NOTE,) if _limits_may_move(old, new, rules) else (),
    )


def _definition_changes(old: AccessPolicySet, new: AccessPolicySet) -> Iterator[DefinitionChange]:
    was, is_now = _defined(old), _defined(new)
    for name in sorted({*was, *is_now}):
        fields = tuple(field_changes(was.get(name, {}), is_now.get(name, {})))
        if name not in was:
            yield DefinitionChange(became=Became.ADDED, name=name, fields=fields)
        elif name not in is_now:
            yield DefinitionChange(became=Became.REMOVED, name=name, fields=fields)
        elif fields:
            yield DefinitionChange(became=Became.CHANGED, name=name, fields=fields)


def _defined(policies: AccessPolicySet) -> dict[Name, Words]:
    return {
        **{("networks", each.name): network_words(each) for each in policies.networks},
        **{("calendars", each.name): calendar_words(each) for each in policies.calendars},
        **{("tiers", str(each.level)): tier_words(each) for each in policies.tiers},
        **{("conditions", each.name): named_words(each) for each in policies.conditions},
    }


def _users(
    name: Name, shifts: ConditionShifts, old: AccessPolicySet, new: AccessPolicySet
) -> tuple[str, ...]:
    """Return the rules that come to a definition; by a list of all, to each of its section."""
    names = {name, (name[0], "")} if name[0] in ("networks", "calendars") else {name}
    users = dict.fromkeys(rule.id for rule in new.rules if names & shifts.new.of(rule).names)
    users |= dict.fromkeys(rule.id for rule in old.rules if names & shifts.old.of(rule).names)
    return tuple(users)


def _rule_changes(
    old: AccessPolicySet, new: AccessPolicySet, shifts: ConditionShifts, changed: set[Name]
) -> Iterator[RuleChange]:
    """Yield the changes in the order of the new policy; what is gone comes before all."""
    pairs = _pairs(old.rules, new.rules)
    kept = {was.id for was, _ in pairs.values()}
    moved = _moved(old.rules, [(was, is_now) for was, is_now in pairs.values()])
    for rule in old.rules:
        if rule.id not in kept:
            yield one_sided(rule, Became.REMOVED)
    for rule in new.rules:
        if rule.id not in pairs:
            yield one_sided(rule, Became.ADDED)
            continue
        change = _compared(*pairs[rule.id], shifts, changed, is_moved=rule.id in moved)
        if change is not None:
            yield change


def _compared(
    old: Rule, new: Rule, shifts: ConditionShifts, changed: set[Name], *, is_moved: bool
) -> RuleChange | None:
    """Return what has become of a rule that both policies have; None where nothing has."""
    access = access_shifts(old, new, shifts)
    fields = changed_fields(old, new, access)
    names = shifts.old.of(old).names | shifts.new.of(new).names
    through = {name for name in changed if name in names or (name[0], "") in names}
    became = _became(old, new, fields, is_moved=is_moved)
    total = together(access.values())
    if became is Became.REACHED and not through and not total:
        return None
    return RuleChange(
        became=became,
        id=new.id,
        was=old.id if old.id != new.id else "",
        effect=new.effect,
        fields=fields,
        through=tuple(sorted(through)),
        is_moved=is_moved,
        access=total,
    )


def _became(old: Rule, new: Rule, fields: Sequence[FieldChange], *, is_moved: bool) -> Became:
    if old.id != new.id:
        return Became.RENAMED
    if fields:
        return Became.CHANGED
    return Became.MOVED if is_moved else Became.REACHED


def _pairs(old: Sequence[Rule], new: Sequence[Rule]) -> dict[str, tuple[Rule, Rule]]:
    """Return old and new rule by the new id: of one id, or else of the same words."""
    by_id = {rule.id: rule for rule in old}
    ids = {rule.id for rule in new}
    gone: dict[str, list[Rule]] = {}
    for rule in old:
        if rule.id not in ids:
            gone.setdefault(_text(rule), []).append(rule)
    pairs = {rule.id: (by_id[rule.id], rule) for rule in new if rule.id in by_id}
    for rule in new:
        same = gone.get(_text(rule)) if rule.id not in by_id else None
        if same:
            pairs[rule.id] = (same.pop(0), rule)
    return {rule.id: pairs[rule.id] for rule in new if rule.id in pairs}


def _text(rule: Rule) -> str:
    return json.dumps(rule_words(rule), sort_keys=True)


def _moved(old: Iterable[Rule], pairs: Sequence[tuple[Rule, Rule]]) -> set[str]:
    """Return the new ids of rules that stand elsewhere among those of their effect."""
    moved: set[str] = set()
    place = {rule.id: number for number, rule in enumerate(old)}
    for effect in Effect:
        kept = [(was, new) for was, new in pairs if was.effect is new.effect is effect]
        now = [new.id for _, new in kept]
        before = [new.id for was, new in sorted(kept, key=lambda pair: place[pair[0].id])]
        blocks = SequenceMatcher(None, before, now, autojunk=False).get_matching_blocks()
        stayed = {each for block in blocks for each in now[block.b : block.b + block.size]}
        moved |= set(now) - stayed
    return moved


def _limits_may_move(
    old: AccessPolicySet, new: AccessPolicySet, changes: Iterable[RuleChange]
) -> bool:
    """Whether rules came, went or moved beside one that limits how long a request runs."""
    has_limits = any(
        rule.obligations.max_session or rule.obligations.idle
        for rule in (*old.rules, *new.rules)
        if rule.effect is Effect.ALLOW
    )
    return has_limits and any(
        change.access or change.is_moved for change in changes if change.effect is Effect.ALLOW
    )
