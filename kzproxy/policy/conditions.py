"""Whether the context conditions of one rule hold, and until when their time does."""

from collections.abc import Callable
from datetime import datetime

from kzproxy.attributes.attributes import Attributes
from kzproxy.attributes.device import Fact
from kzproxy.policy.decision import Dependency
from kzproxy.policy.network import Addresses
from kzproxy.policy.rules import Conditions
from kzproxy.policy.time_window import Span, span_at


class ConditionCheck:
    """The conditions of one rule, ready to be asked.

    Keeps the stretch of time it found last, because finding one costs a thousand times more than
    looking whether an instant lies in it. The answers do not depend on what is kept.

    Attributes:
        conditions: What is asked.
        depends_on: The facts that the rule rests on: its subject, and what the conditions look at.
    """

    __slots__ = ("_addresses", "_checks", "_span", "conditions", "depends_on")

    def __init__(self, conditions: Conditions) -> None:
        checks: list[tuple[Dependency, Callable[[Attributes], bool]]] = []
        if conditions.networks:
            checks.append((Dependency.NETWORK, self._comes_from_a_network))
        if conditions.time:
            checks.append((Dependency.TIME, self._is_in_time))
        if conditions.device_enrolled is not None:
            checks.append((Dependency.DEVICE, self._has_the_device))
        self.conditions = conditions
        self.depends_on = frozenset({Dependency.IDENTITY, *(fact for fact, _ in checks)})
        self._checks = tuple(checks)
        self._addresses = Addresses(conditions.networks)
        self._span: Span | None = None

    def unmet(self, attributes: Attributes) -> tuple[Dependency, ...]:
        """Return the conditions that do not hold; all are looked at."""
        if not self._checks:
            return ()
        return tuple([fact for fact, holds in self._checks if not holds(attributes)])

    def span(self, at: datetime) -> Span:
        """Return the stretch around ``at`` in which the time condition holds, or does not.

        ``since`` may be any instant of the stretch that is not after ``at``.
        """
        span = self._span
        if span is None or not span.covers(at):
            span = self._span = span_at(self.conditions.time, at)
        return span

    def _comes_from_a_network(self, attributes: Attributes) -> bool:
        return self._addresses.hold(attributes.environment.source_address)

    def _is_in_time(self, attributes: Attributes) -> bool:
        return self.span(attributes.environment.received_at).is_open

    def _has_the_device(self, attributes: Attributes) -> bool:
        # What is not known has not passed.
        is_shown = attributes.device.enrolled is Fact.PASSED
        return is_shown is self.conditions.device_enrolled
