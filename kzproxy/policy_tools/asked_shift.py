"""How what is asked differs between two policies, word by word of the language."""

from collections.abc import Iterator
from typing import Protocol

import msgspec

from kzproxy.policy_tools.condition_cover import plain_shifts
from kzproxy.policy_tools.definitions_used import Asking, DefinitionsUsed
from kzproxy.policy_tools.device_cover import devices_cover
from kzproxy.policy_tools.shift import Shift, compared, together


class DefinitionShifts(Protocol):
    """How the definitions of two policies differ."""

    old: DefinitionsUsed
    new: DefinitionsUsed

    def of_name(self, name: str) -> Shift:
        """Return the shift of a named condition that both policies have."""

    def of_reaching(self, old: int, new: int) -> Shift:
        """Return the shift of reaching a tier."""

    def is_same(self, section: str, name: str) -> bool:
        """Whether a definition is as it was; that of all of a section where no name is given."""


class AskedShift(msgspec.Struct, frozen=True, kw_only=True):
    """Compares the conditions of one rule, tier or named condition in two policies.

    Attributes:
        definitions: Of the two policies.
        failing_is_false: What fails is as if it did not hold. Otherwise it has an end of its own,
            and what can fail is neither more nor less than what cannot.
    """

    old: Asking
    new: Asking
    definitions: DefinitionShifts
    failing_is_false: bool

    def by_word(self) -> dict[str, Shift]:
        """Return the shift of each word of ``conditions``, and of ``when``."""
        old, new = self.old.conditions, self.new.conditions
        return {
            **plain_shifts(old, new),
            "device": self._device(),
            "all": self._members(old.all_of, new.all_of, Shift.NARROWER),
            "any": self._any(),
            "none": self._none(),
            "when": self._when(),
        }

    def _one_sided(self, shift: Shift, *, can_fail: bool) -> Shift:
        """Return the shift of what one of the two asks and the other does not."""
        return shift if self.failing_is_false or not can_fail else Shift.EITHER

    def _when(self) -> Shift:
        old, new = self.old.when, self.new.when
        if old is None and new is None:
            return Shift.NONE
        if old is None or new is None:
            shift = Shift.NARROWER if old is None else Shift.WIDER
            return self._one_sided(shift, can_fail=True)
        definitions = self.definitions
        names = {*definitions.old.in_expression(old), *definitions.new.in_expression(new)}
        is_same = old.text == new.text and all(definitions.is_same(*name) for name in names)
        return Shift.NONE if is_same else Shift.EITHER

    def _any(self) -> Shift:
        old, new = self.old.conditions.any_of, self.new.conditions.any_of
        if not old or not new:
            return self._members(old, new, Shift.NARROWER)
        shift = self._members(old, new, Shift.WIDER)
        # One that fails takes the others with it.
        return Shift.EITHER if self._may_fail_otherwise({*old} ^ {*new}) else shift

    def _none(self) -> Shift:
        old, new = self.old.conditions.none_of, self.new.conditions.none_of
        common = together(self.definitions.of_name(name) for name in {*old} & {*new})
        changed = self._members(tuple({*old} - {*new}), tuple({*new} - {*old}), Shift.NARROWER)
        return changed | common.reversed

    def _may_fail_otherwise(self, names: set[str]) -> bool:
        used = (self.definitions.old, self.definitions.new)
        return any(
            name in policy.named and policy.of_name(name).can_fail
            for policy in used
            for name in names
        )

    def _members(self, old: tuple[str, ...], new: tuple[str, ...], added: Shift) -> Shift:
        return together(self._member_shifts({*old}, {*new}, added))

    def _member_shifts(self, old: set[str], new: set[str], added: Shift) -> Iterator[Shift]:
        definitions = self.definitions
        for name in new - old:
            yield self._one_sided(added, can_fail=definitions.new.of_name(name).can_fail)
        for name in old - new:
            yield self._one_sided(added.reversed, can_fail=definitions.old.of_name(name).can_fail)
        for name in old & new:
            yield definitions.of_name(name)

    def _device(self) -> Shift:
        old, new = self.old.conditions, self.new.conditions
        enrolment = compared(_enrolment_covers, old.device_enrolled, new.device_enrolled)
        tier = self._tier(old.device_tier, new.device_tier)
        below = self._tier(old.device_below_tier, new.device_below_tier)
        if old.device_below_tier is not None and new.device_below_tier is not None:
            below = below.reversed
        features = compared(devices_cover, old.device, new.device)
        return enrolment | tier | below | features

    def _tier(self, old: int | None, new: int | None) -> Shift:
        if old is None and new is None:
            return Shift.NONE
        if old is not None and new is not None:
            return self.definitions.of_reaching(old, new)
        used = self.definitions.new if old is None else self.definitions.old
        shift = Shift.NARROWER if old is None else Shift.WIDER
        return self._one_sided(shift, can_fail=used.tiers_can_fail())


def _enrolment_covers(wide: bool | None, narrow: bool | None) -> bool:  # noqa: FBT001
    """Whether the one holds where the other does: that a device is not enrolled is never shown."""
    order = {None: 2, True: 1, False: 0}
    return order[wide] >= order[narrow]
