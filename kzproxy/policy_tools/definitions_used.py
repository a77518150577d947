"""What rules come to by the names in them: networks, calendars, tiers and named conditions."""

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

import msgspec

from kzproxy.policy.rules import AccessPolicySet, Conditions, NamedCondition, Rule, Tier

if TYPE_CHECKING:
    from kzproxy.policy.expression import Expression

Asking = Rule | NamedCondition | Tier
Name = tuple[str, str]
"""Section and name; of a tier its level."""

# Where the names of a section stand in an expression.
_LISTS = {"networks": "source.networks", "calendars": "time.calendars"}


class Kin(msgspec.Struct, frozen=True):
    """What something rests on, through everything that it names.

    Attributes:
        names: All definitions that it comes to.
        can_fail: There is an expression, which may have no value.
        looks_at_object: It asks for the object of the request.
    """

    names: frozenset[Name]
    can_fail: bool
    looks_at_object: bool


class DefinitionsUsed:
    """Finds what rules, tiers and named conditions of one policy rest on; remembers it."""

    def __init__(self, policies: AccessPolicySet) -> None:
        self.policies = policies
        self.named = {each.name: each for each in policies.conditions}
        self.tiers = {each.level: each for each in policies.tiers}
        self._kin: dict[str, Kin] = {}

    def of(self, asking: Asking) -> Kin:
        """Return what ``asking`` rests on."""
        when = asking.when
        direct = frozenset({*self._of_conditions(asking.conditions), *self.in_expression(when)})
        inner = [self.of_name(name) for section, name in direct if section == "conditions"]
        # A tier asks for no tier, so that this comes to an end.
        if ("tiers", "") in direct:
            inner += [self.of(tier) for tier in self.policies.tiers]
        return Kin(
            names=direct.union(*(each.names for each in inner)),
            can_fail=when is not None or any(each.can_fail for each in inner),
            looks_at_object=asking.conditions.api_object is not None
            or (when is not None and when.needs_object)
            or any(each.looks_at_object for each in inner),
        )

    def of_name(self, name: str) -> Kin:
        """Return what a named condition rests on."""
        known = self._kin.get(name)
        if known is None:
            known = self._kin[name] = self.of(self.named[name])
        return known

    def tiers_can_fail(self) -> bool:
        """Whether an expression decides what tier a device is of."""
        return any(self.of(tier).can_fail for tier in self.policies.tiers)

    def _of_conditions(self, conditions: Conditions) -> Iterator[Name]:
        yield from (("networks", each.name) for each in conditions.networks)
        yield from (("calendars", each.name) for each in conditions.time)
        for names in (conditions.all_of, conditions.any_of, conditions.none_of):
            yield from (("conditions", name) for name in names)
        if conditions.device_tier is not None or conditions.device_below_tier is not None:
            yield from self._all_tiers()

    def in_expression(self, when: "Expression | None") -> Iterator[Name]:
        """Yield the names in an expression; an empty one where it may mean any of a section."""
        if when is None:
            return
        yield from (("conditions", name) for name in when.conditions)
        if "device.tier" in when.reads:
            yield from self._all_tiers()
        for section, attribute in _LISTS.items():
            if attribute in when.reads:
                yield from self._listed(section, attribute, when.text)

    def _all_tiers(self) -> Iterator[Name]:
        yield ("tiers", "")
        yield from (("tiers", str(level)) for level in self.tiers)

    def _listed(self, section: str, attribute: str, text: str) -> Iterator[Name]:
        """Yield the names that an expression asks a list for; all where that cannot be told."""
        declared = self.policies.networks if section == "networks" else self.policies.calendars
        pattern = re.escape(attribute)
        uses, asked = (len(re.findall(p, text)) for p in (pattern, rf"\bin\s+{pattern}"))
        is_plain = 0 < uses == asked and "\\" not in text
        for each in declared:
            if not is_plain or f'"{each.name}"' in text or f"'{each.name}'" in text:
                yield (section, each.name)
        if not is_plain:
            yield (section, "")
