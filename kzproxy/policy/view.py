"""One request as the conditions of a policy see it.

What is made of it (tier, named conditions, the values of expressions) is found out when it is first
asked for, and once.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Protocol

from kzproxy.attributes.attributes import Attributes
from kzproxy.expressions.errors import ExpressionFailedError
from kzproxy.policy.calendar import Calendar
from kzproxy.policy.compliance import is_held_not_compliant
from kzproxy.policy.network import Addresses, Network

if TYPE_CHECKING:
    from kzproxy.expressions.language import Facts
    from kzproxy.policy.condition import Condition


class Judged(Protocol):
    """Conditions that belong together."""

    @property
    def conditions(self) -> "tuple[Condition, ...]":
        """All of them."""

    def value(self, view: "RequestView", /) -> bool | None:
        """Say whether all hold; None where nobody can tell."""

    def turns_at(self, view: "RequestView", /) -> datetime | None:
        """Return when time alone may change that; None where it never does."""


class Definitions:
    """What a policy defines for its rules.

    Attributes:
        named: The named conditions.
        tiers: Level and conditions, the highest first.
        tier_names: By level.
    """

    def __init__(self, networks: Iterable[Network], calendars: Iterable[Calendar]) -> None:
        self.named: dict[str, Judged] = {}
        self.tiers: list[tuple[int, Judged]] = []
        self.tier_names: dict[int, str] = {}
        self._networks = [(each.name, Addresses((each,))) for each in networks]
        self._calendars = tuple(calendars)

    def networks_of(self, attributes: Attributes) -> list[str]:
        """Return the names of the networks that the request comes from."""
        address = attributes.environment.source_address
        return [name for name, addresses in self._networks if addresses.hold(address)]

    def open_calendars(self, attributes: Attributes) -> list[str]:
        """Return the names of the calendars that are open."""
        at = attributes.environment.received_at
        return [calendar.name for calendar in self._calendars if calendar.is_open(at)]


class RequestView:
    """A request in the light of one policy."""

    __slots__ = (
        "_definitions",
        "_facts",
        "_named",
        "_tier",
        "attributes",
        "left_an_object_out",
        "takes_objects_for_right",
    )

    def __init__(
        self,
        attributes: Attributes,
        definitions: Definitions,
        *,
        takes_objects_for_right: bool = False,
    ) -> None:
        """Begin with nothing found out.

        Args:
            attributes: The request.
            definitions: Of the policy.
            takes_objects_for_right: What rules ask of the object is left out, in favour of the
                request; ``left_an_object_out`` then says whether that happened.
        """
        self.attributes = attributes
        self.takes_objects_for_right = takes_objects_for_right
        self.left_an_object_out = False
        self._definitions = definitions
        self._tier: int | None = None
        self._named: dict[str, bool | None] = {}
        self._facts: Facts | None = None

    @property
    def tier(self) -> int:
        """The level of the highest tier that the device surely reaches."""
        if self._tier is None:
            self._tier = self._highest_tier()
        return self._tier

    def _highest_tier(self) -> int:
        if is_held_not_compliant(self.attributes.device):
            return 0
        for level, tier in self._definitions.tiers:
            if told(partial(tier.value, self)) is True:
                return level
        return 0

    def tier_turns_at(self) -> datetime | None:
        """Return when time alone may change the tier."""
        return earliest([tier.turns_at(self) for _, tier in self._definitions.tiers])

    def named(self, name: str) -> bool | None:
        """Say whether a named condition holds; None where nobody can tell."""
        if name not in self._named:
            self._named[name] = self._definitions.named[name].value(self)
        return self._named[name]

    def behind(self, name: str) -> Judged:
        """Return what stands behind a name."""
        return self._definitions.named[name]

    def tiers_from(self, level: int) -> list[Judged]:
        """Return the tiers that are not below ``level``, the lowest first."""
        return [tier for at, tier in reversed(self._definitions.tiers) if at >= level]

    def with_others(self, attributes: Attributes) -> "RequestView":
        """Return the view of another request in the light of the same policy."""
        return RequestView(
            attributes,
            self._definitions,
            takes_objects_for_right=self.takes_objects_for_right,
        )

    def named_turns_at(self, name: str) -> datetime | None:
        """Return when time alone may change a named condition."""
        return self._definitions.named[name].turns_at(self)

    @property
    def facts(self) -> "Facts":
        """The values that expressions read."""
        if self._facts is None:
            # Here, because a policy without an expression does without the 14 MiB of CEL.
            from kzproxy.policy.expression_facts import Circumstances, facts_of

            definitions, attributes = self._definitions, self.attributes
            circumstances = Circumstances(
                tier=lambda: self.tier,
                networks=lambda: definitions.networks_of(attributes),
                calendars=lambda: definitions.open_calendars(attributes),
                conditions=self._known_conditions,
            )
            self._facts = facts_of(attributes, circumstances)
        return self._facts

    def _known_conditions(self) -> Mapping[str, bool]:
        values = ((name, told(partial(self.named, name))) for name in self._definitions.named)
        return {name: value for name, value in values if value is not None}


def told(judge: Callable[[], bool | None]) -> bool | None:
    """Return what ``judge`` comes to; None where an expression cannot be evaluated either."""
    try:
        return judge()
    except ExpressionFailedError:
        return None


def earliest(moments: Iterable[datetime | None]) -> datetime | None:
    """Return the first of the moments that there are."""
    first = None
    for moment in moments:
        if moment is not None and (first is None or moment < first):
            first = moment
    return first
