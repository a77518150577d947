"""What a condition is, and the three-valued logic in which conditions are put together.

What nobody can tell neither holds nor does not.
"""

# ruff: noqa: D102 - the properties are said of above

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Protocol

from kzproxy.policy.decision import Dependency
from kzproxy.policy.view import RequestView

Ask = Callable[[RequestView], bool | None]
"""Say whether something holds; None where nobody can tell."""


class Condition(Protocol):
    """One condition of a rule.

    Attributes:
        name: The field that it was written in.
        about: The kind of fact that a user would have to change.
        depends_on: All kinds of fact that it rests on.
    """

    @property
    def name(self) -> str: ...
    @property
    def about(self) -> Dependency: ...
    @property
    def depends_on(self) -> frozenset[Dependency]: ...

    def value(self, view: RequestView, /) -> bool | None:
        """Say whether it holds; None where nobody can tell."""

    def turns_at(self, view: RequestView, /) -> datetime | None:
        """Return when time alone may change that; None where it never does."""

    def asked(self) -> str:
        """Return what it asks for, for a sentence after "wants"."""

    def found(self, view: RequestView) -> str:
        """Return what there is instead."""


class Timeless:
    """A condition that time alone does not change."""

    def turns_at(self, view: RequestView) -> datetime | None:  # noqa: ARG002
        return None


def all_hold(values: Sequence[bool | None]) -> bool | None:
    """Return Kleene's conjunction."""
    if False in values:
        return False
    return None if None in values else True


def together(asks: Sequence[Ask]) -> Ask:
    """Make one question of several that must all be true; each is asked, whatever others say."""
    if len(asks) == 1:
        return asks[0]
    return lambda view: all_hold([ask(view) for ask in asks])


def none_holds(values: Sequence[bool | None]) -> bool | None:
    """Return the negation of ``any_holds``."""
    some = any_holds(values)
    return None if some is None else not some


def any_holds(values: Sequence[bool | None]) -> bool | None:
    """Return Kleene's disjunction."""
    if True in values:
        return True
    return None if None in values else False
