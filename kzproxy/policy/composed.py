"""Conditions made of others: named ones put together, and expressions in CEL."""

# ruff: noqa: D102 - what the methods do is said of Condition

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from kzproxy.policy.condition import Ask, any_holds, none_holds, together
from kzproxy.policy.decision import Dependency
from kzproxy.policy.view import RequestView, earliest

if TYPE_CHECKING:
    from kzproxy.policy.expression import Expression

# Nobody can tell when an expression that reads the time turns: look again that soon.
RECHECK = timedelta(seconds=10)


class OfNamed:
    """Named conditions, put together.

    Attributes:
        depends_on: Of all that are named.
    """

    name = "conditions"

    def __init__(
        self,
        *,
        all_of: tuple[str, ...],
        any_of: tuple[str, ...],
        none_of: tuple[str, ...],
        depends_on: frozenset[Dependency],
    ) -> None:
        self.all_of = all_of
        self.any_of = any_of
        self.none_of = none_of
        self.depends_on = depends_on
        self.about = next(iter(sorted(depends_on - {Dependency.IDENTITY})), Dependency.IDENTITY)
        self.value = together(_asks(all_of, any_of, none_of))
        self._names = (*all_of, *any_of, *none_of)

    def turns_at(self, view: RequestView) -> datetime | None:
        return earliest([view.named_turns_at(name) for name in self._names])

    def asked(self) -> str:
        parts = [*self.all_of]
        if self.any_of:
            parts.append(" or ".join(self.any_of))
        parts += [f"not {name}" for name in self.none_of]
        return f"condition {' and '.join(parts)}"

    def found(self, view: RequestView) -> str:
        words = {True: "holds", False: "does not hold", None: "cannot be told"}
        return ", ".join(f"{name} {words[view.named(name)]}" for name in self._names)


def _asks(all_of: tuple[str, ...], any_of: tuple[str, ...], none_of: tuple[str, ...]) -> list[Ask]:
    asks = [_named(name) for name in all_of]
    if any_of:
        asks.append(lambda view: any_holds([view.named(name) for name in any_of]))
    if none_of:
        asks.append(lambda view: none_holds([view.named(name) for name in none_of]))
    return asks


def _named(name: str) -> Ask:
    return lambda view: view.named(name)


class When:
    """An expression in CEL; raises where it cannot be evaluated."""

    name = "when"

    def __init__(self, expression: "Expression", depends_on: frozenset[Dependency]) -> None:
        self.expression = expression
        self.depends_on = depends_on
        self.about = next(iter(sorted(depends_on - {Dependency.IDENTITY})), Dependency.IDENTITY)

    def value(self, view: RequestView) -> bool:
        return self.expression.evaluate(view.facts)

    def turns_at(self, view: RequestView) -> datetime | None:
        if Dependency.TIME not in self.depends_on:
            return None
        return view.attributes.environment.received_at + RECHECK

    def asked(self) -> str:
        return "its `when`"

    def found(self, view: RequestView) -> str:
        # Of a deny rule it is told because it holds. An explanation has its parts.
        return "which holds" if self.value(view) else "which does not hold"
