"""How the conditions of rules differ between two policies.

Named conditions and tiers are followed to what they ask. An expression that is not the same is not
understood: it may hold, and fail, wherever it likes.
"""

from collections.abc import Sequence

from msgspec.structs import replace

from kzproxy.policy.rules import NO_CONDITIONS, AccessPolicySet, Effect, NamedCondition, Rule, Tier
from kzproxy.policy_tools.asked_shift import AskedShift
from kzproxy.policy_tools.definitions_used import DefinitionsUsed
from kzproxy.policy_tools.shift import Shift, together


class ConditionShifts:
    """Compares what is asked in two policies.

    Attributes:
        old: What the rules of the one rest on.
        new: What those of the other do.
    """

    def __init__(self, old: AccessPolicySet, new: AccessPolicySet) -> None:
        self.old, self.new = DefinitionsUsed(old), DefinitionsUsed(new)
        self._named: dict[str, Shift] = {}
        self._tiers: dict[int, Shift] = {}

    def of_rules(self, old: Rule, new: Rule) -> dict[str, Shift]:
        """Return, by the words of ``conditions`` and ``when``, where a rule may match otherwise.

        What fails in an allow rule does not match, as if it did not hold. A deny rule denies where
        any part of it fails, whatever its other parts say, so that what can fail is not weighed
        against them.
        """
        is_allow = new.effect is Effect.ALLOW
        asked = AskedShift(old=old, new=new, definitions=self, failing_is_false=is_allow)
        shifts = asked.by_word()
        if is_allow:
            return shifts
        whole = self._of_whole_deny(old, new)
        return shifts if whole is None else {word: whole & _all_of(s) for word, s in shifts.items()}

    def of_name(self, name: str) -> Shift:
        """Return the shift of a named condition that both policies have."""
        if name not in self._named:
            self._named[name] = self._of_definitions(self.old.named[name], self.new.named[name])
        return self._named[name]

    def of_tier(self, level: int) -> Shift:
        """Return the shift of what a tier of both policies asks."""
        if level not in self._tiers:
            self._tiers[level] = self._of_definitions(self.old.tiers[level], self.new.tiers[level])
        return self._tiers[level]

    def of_reaching(self, old: int, new: int) -> Shift:
        """Return the shift of reaching a tier, which is reaching any that is not below it."""
        can_fail = self.old.tiers_can_fail() or self.new.tiers_can_fail()
        if can_fail and self._tiers_differ():
            return Shift.EITHER
        was = {level for level in self.old.tiers if level >= old}
        is_now = {level for level in self.new.tiers if level >= new}
        grown = Shift.WIDER if is_now - was else Shift.NONE
        lost = Shift.NARROWER if was - is_now else Shift.NONE
        return together([grown, lost, *(self.of_tier(level) for level in was & is_now)])

    def is_same(self, section: str, name: str) -> bool:
        """Whether a definition is as it was; that of all of a section where no name is given."""
        old, new = self.old.policies, self.new.policies
        match section:
            case "networks":
                return _by_name(old.networks, name) == _by_name(new.networks, name)
            case "calendars":
                return _by_name(old.calendars, name) == _by_name(new.calendars, name)
            case "conditions":
                return self.of_name(name) is Shift.NONE
            case _:
                return not self._tiers_differ()

    def _of_definitions(self, old: NamedCondition | Tier, new: NamedCondition | Tier) -> Shift:
        asked = AskedShift(old=old, new=new, definitions=self, failing_is_false=False)
        shift = together(asked.by_word().values())
        can_fail = self.old.of(old).can_fail or self.new.of(new).can_fail
        return Shift.EITHER if shift and can_fail else shift

    def _tiers_differ(self) -> bool:
        if self.old.tiers.keys() != self.new.tiers.keys():
            return True
        return any(self.of_tier(level) for level in self.old.tiers)

    def _of_whole_deny(self, old: Rule, new: Rule) -> Shift | None:
        """Return the shift of all that a deny rule asks where its parts do not tell."""
        if not _asks(old) or not _asks(new):
            # Whoever asks for nothing denies in any case.
            return Shift.NARROWER if _asks(new) else Shift.WIDER
        if self._mixes_objects(self.old, old) or self._mixes_objects(self.new, new):
            return Shift.EITHER
        return None

    def _mixes_objects(self, used: DefinitionsUsed, rule: Rule) -> bool:
        """Whether more than ``object`` looks at the object, or patches are spared."""
        others = NamedCondition(
            name="", conditions=replace(rule.conditions, api_object=None), when=rule.when
        )
        return rule.patches_allowed or used.of(others).looks_at_object


def _all_of(shift: Shift) -> Shift:
    return Shift.EITHER if shift else Shift.NONE


def _asks(rule: Rule) -> bool:
    return rule.when is not None or rule.conditions != NO_CONDITIONS


def _by_name(definitions: Sequence[object], name: str) -> object:
    known = {getattr(each, "name", ""): each for each in definitions}
    return known.get(name) if name else known
