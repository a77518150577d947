"""Whether the conditions of one rule hold, and until when their time does."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from kzproxy.policy.calendar import Calendar
from kzproxy.policy.composed import OfNamed, When
from kzproxy.policy.condition import Condition, together
from kzproxy.policy.decision import Dependency
from kzproxy.policy.device_conditions import device_conditions
from kzproxy.policy.location import FromCountry, FromSystem
from kzproxy.policy.place_and_time import Enrolled, FromNetwork, InTime, OfTier
from kzproxy.policy.request_conditions import LikeObject, LikeRequest
from kzproxy.policy.rules import AccessPolicySet, Conditions
from kzproxy.policy.session_conditions import InSession, OfSession, SessionAtRisk
from kzproxy.policy.session_place import SameAddress, SameCountry
from kzproxy.policy.sign_in import OfWorkload, SignedIn
from kzproxy.policy.view import Definitions, RequestView, earliest

if TYPE_CHECKING:
    from kzproxy.policy.expression import Expression

_IDENTITY = frozenset({Dependency.IDENTITY})


class CannotBeJudged(Exception):
    """A condition of which nobody can tell whether it holds, where somebody must."""


class ConditionCheck:
    """The conditions of one rule, tier or named condition, ready to be asked.

    Attributes:
        conditions: All of them, in the order of the language.
        depends_on: The facts that they rest on, and the subject.
        value: Says whether all hold.
    """

    __slots__ = (
        "_of_object",
        "_plain",
        "_turning",
        "conditions",
        "depends_on",
        "is_empty",
        "value",
    )

    def __init__(self, conditions: tuple[Condition, ...]) -> None:
        self.conditions = conditions
        self.is_empty = not conditions
        self._of_object = [each for each in conditions if Dependency.OBJECT in each.depends_on]
        self._plain = [each for each in conditions if each not in self._of_object]
        self._turning = [each for each in conditions if Dependency.TIME in each.depends_on]
        self.depends_on = _IDENTITY.union(*(each.depends_on for each in conditions))
        self.value = together([each.value for each in conditions])

    def unmet(
        self, view: RequestView, *, unknown_is: bool, patches_allowed: bool = False
    ) -> tuple[Condition, ...]:
        """Return the conditions that do not hold; those on the object only where all others do.

        Args:
            view: The request.
            unknown_is: What to take the ones for of which nobody can tell. Whoever is let in must
                be shown to fulfil them, whoever is not kept out must be shown not to.
            patches_allowed: Whether a patch, of which nobody can tell what it makes, passes.

        Raises:
            CannotBeJudged: An object that a condition asks for is not known.
        """
        if self.is_empty:
            return ()
        unmet = _unmet(self._plain, view, unknown_is=unknown_is)
        # Nobody has looked at the object where the rule fails without it.
        if unmet or not self._of_object:
            return unmet
        asked = self._of_object
        if view.takes_objects_for_right:
            view.left_an_object_out = True
            return tuple(asked) if unknown_is else ()
        known = view.attributes.api_object
        if patches_allowed and known is not None and known.is_patch:
            if unknown_is:  # A deny rule that asks for more than the patch shows is not met by it.
                return tuple(asked)
            # What asks for other things besides still has to hold, and is an error.
            asked = [each for each in asked if not isinstance(each, LikeObject)]
        # What fails whatever the object is needs none, in whichever order they stand.
        return _first_false(asked, view) or _unmet(asked, view, unknown_is=unknown_is)

    def turns_at(self, view: RequestView) -> datetime | None:
        """Return when time alone may change whether they hold."""
        turning = self._turning
        if len(turning) == 1:
            return turning[0].turns_at(view)
        return earliest([condition.turns_at(view) for condition in turning])


def _unmet(
    conditions: Iterable[Condition], view: RequestView, *, unknown_is: bool
) -> tuple[Condition, ...]:
    return tuple(
        [
            each
            for each in conditions
            if (value := each.value(view)) is not True
            and (value is False or not _taken_for(each, view, unknown_is=unknown_is))
        ]
    )


def _first_false(conditions: Iterable[Condition], view: RequestView) -> tuple[Condition, ...]:
    return next(((each,) for each in conditions if each.value(view) is False), ())


def _taken_for(condition: Condition, view: RequestView, *, unknown_is: bool) -> bool:
    """Say what to take a condition for of which nobody can tell."""
    known = view.attributes.api_object
    if Dependency.OBJECT in condition.depends_on and (known is None or known.is_patch):
        raise CannotBeJudged(f"the object is not known: {condition.found(view)}")
    return unknown_is


class Compiler(msgspec.Struct, frozen=True):
    """Makes conditions ready; named ones and tiers must have been made before what uses them.

    Attributes:
        definitions: What the policy defines.
        named: What the named conditions rest on.
        tiers: What the tiers rest on, all together.
        times: One condition for all rules that name the same calendars: what one of them has found
            out of the time holds for the others.
    """

    definitions: Definitions
    named: dict[str, frozenset[Dependency]]
    tiers: frozenset[Dependency]
    times: dict[tuple[Calendar, ...], InTime] = msgspec.field(default_factory=dict)

    @classmethod
    def of(cls, policies: AccessPolicySet) -> "Compiler":
        """Make what a policy defines ready."""
        # Named conditions may ask for a tier, and tiers for named conditions that do not. So what
        # tiers rest on must be known first, or a condition would seem not to turn with time.
        first = cls._defining(policies, frozenset())
        return cls._defining(policies, first.tiers) if first.tiers else first

    @classmethod
    def _defining(cls, policies: AccessPolicySet, tiers: frozenset[Dependency]) -> "Compiler":
        """Make it ready, where whatever asks for a tier rests on ``tiers``."""
        definitions = Definitions(policies.networks, policies.calendars)
        named: dict[str, frozenset[Dependency]] = {}
        compiler = cls(definitions, named, tiers)
        for each in policies.conditions:
            check = compiler.check(each.conditions, each.when)
            definitions.named[each.name] = check
            named[each.name] = check.depends_on
        rests: frozenset[Dependency] = frozenset()
        for tier in sorted(policies.tiers, key=lambda each: -each.level):
            check = compiler.check(tier.conditions, tier.when)
            definitions.tiers.append((tier.level, check))
            definitions.tier_names[tier.level] = tier.name
            rests |= check.depends_on
        return cls(definitions, named, rests, compiler.times)

    def check(self, conditions: Conditions, when: "Expression | None") -> ConditionCheck:
        """Make the conditions of a rule ready."""
        found = list(self._conditions(conditions))
        if when is not None:
            found.append(When(when, self._of_expression(when)))
        return ConditionCheck(tuple(found))

    def _conditions(self, asked: Conditions) -> Iterator[Condition]:
        yield from _of_place(asked)
        if asked.time:
            yield self._in_time(asked.time)
        yield from self._of_device(asked)
        yield from _of_caller(asked)
        if asked.request is not None:
            yield LikeRequest(asked.request)
        if asked.api_object is not None:
            yield LikeObject(asked.api_object)
        if asked.all_of or asked.any_of or asked.none_of:
            yield self._of_named(asked)

    def _in_time(self, calendars: tuple[Calendar, ...]) -> InTime:
        return self.times.setdefault(calendars, InTime(calendars))

    def _of_device(self, asked: Conditions) -> Iterator[Condition]:
        if asked.device_enrolled is not None:
            yield Enrolled(wanted=asked.device_enrolled)
        if asked.device_tier is not None:
            yield self._of_tier(asked.device_tier, below=False)
        if asked.device_below_tier is not None:
            yield self._of_tier(asked.device_below_tier, below=True)
        yield from device_conditions(asked.device)

    def _of_tier(self, level: int, *, below: bool) -> OfTier:
        name = self.definitions.tier_names.get(level, "")
        return OfTier(level, below=below, depends_on=self.tiers, name=name)

    def _of_named(self, asked: Conditions) -> OfNamed:
        names = (*asked.all_of, *asked.any_of, *asked.none_of)
        rests = frozenset[Dependency]().union(*(self.named[name] for name in names))
        return OfNamed(
            all_of=asked.all_of,
            any_of=asked.any_of,
            none_of=asked.none_of,
            depends_on=rests,
        )

    def _of_expression(self, when: "Expression") -> frozenset[Dependency]:
        rests = when.depends_on.union(*(self.named[name] for name in when.conditions))
        return rests | self.tiers if "device.tier" in when.reads else rests


def _of_place(asked: Conditions) -> Iterator[Condition]:
    if asked.networks:
        yield FromNetwork(asked.networks)
    if asked.countries:
        yield FromCountry(asked.countries)
    if asked.asns:
        yield FromSystem(asked.asns)


def _of_caller(asked: Conditions) -> Iterator[Condition]:
    if asked.sign_in is not None:
        yield SignedIn(asked.sign_in)
    if asked.session_max_age is not None:
        yield OfSession(asked.session_max_age)
    if asked.session_kept:
        yield InSession()
    if asked.session_max_risk:
        yield SessionAtRisk(asked.session_max_risk)
    if asked.session_same_address:
        yield SameAddress()
    if asked.session_same_country:
        yield SameCountry()
    if asked.workloads:
        yield OfWorkload(asked.workloads)
