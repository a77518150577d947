"""Conditions on where a request comes from, when, and from what device."""

# ruff: noqa: D102 - what the methods do is said of Condition

from collections.abc import Sequence
from datetime import datetime, timedelta

from kzproxy.attributes.device import Fact
from kzproxy.policy.calendar import DAYS, Calendar
from kzproxy.policy.compliance import NOT_COMPLIANT, is_held_not_compliant
from kzproxy.policy.condition import Condition, Timeless
from kzproxy.policy.decision import Dependency
from kzproxy.policy.network import Addresses, Network
from kzproxy.policy.span import Span, span_at
from kzproxy.policy.view import RequestView

_ALMOST_A_WEEK = timedelta(days=6)


class FromNetwork(Timeless):
    """The request comes from one of some networks."""

    name = "networks"
    about = Dependency.NETWORK
    depends_on = frozenset({Dependency.NETWORK})

    def __init__(self, networks: Sequence[Network]) -> None:
        self._names = " or ".join(network.name for network in networks)
        self._addresses = Addresses(networks)

    def value(self, view: RequestView) -> bool:
        return self._addresses.hold(view.attributes.environment.source_address)

    def asked(self) -> str:
        return f"network {self._names}"

    def found(self, view: RequestView) -> str:
        return f"you come from {view.attributes.environment.source_address}"


class InTime:
    """One of some calendars is open.

    Keeps the stretch of time it found last, because finding one costs a thousand times more than
    looking whether an instant lies in it. The answers do not depend on what is kept.
    """

    name = "time"
    about = Dependency.TIME
    depends_on = frozenset({Dependency.TIME})

    def __init__(self, calendars: Sequence[Calendar]) -> None:
        self._calendars = tuple(calendars)
        self._span: Span | None = None

    def value(self, view: RequestView) -> bool:
        return self.span(view.attributes.environment.received_at).is_open

    def turns_at(self, view: RequestView) -> datetime | None:
        return self.span(view.attributes.environment.received_at).until

    def span(self, at: datetime) -> Span:
        """Return the stretch around ``at`` in which it holds, or does not.

        ``since`` may be any instant of the stretch that is not after ``at``.
        """
        span = self._span
        if span is None or not span.covers(at):
            span = self._span = span_at(self._calendars, at)
        return span

    def asked(self) -> str:
        return f"time {' or '.join(calendar.name for calendar in self._calendars)}"

    def found(self, view: RequestView) -> str:
        at = view.attributes.environment.received_at
        span = self.span(at)
        turns = "closes" if span.is_open else "opens"
        return f"{turns} {'' if span.is_end else 'not before '}{self._moment(span.until, at)}"

    def until_words(self, view: RequestView) -> str:
        """Say until when it holds."""
        at = view.attributes.environment.received_at
        span = self.span(at)
        if span.until is None:
            return "at all times"
        return f"until {'' if span.is_end else 'at least '}{self._moment(span.until, at)}"

    def _moment(self, moment: datetime | None, now: datetime) -> str:
        """Return weekday, time and zone; with the date where the weekday alone would mislead."""
        if moment is None:
            return "never"
        calendar = next((c for c in self._calendars if c.is_open(moment)), self._calendars[0])
        local = moment.astimezone(calendar.zone)
        date = f" {local.date().isoformat()}" if moment - now > _ALMOST_A_WEEK else ""
        return f"{DAYS[local.weekday()]}{date} {local:%H:%M} {calendar.zone_name}"


class Enrolled(Timeless):
    """The device is, or is not, enrolled.

    That it is can be shown; that it is not never can, because whoever wants to may come without its
    certificate or with another.
    """

    name = "device"
    about = Dependency.DEVICE
    depends_on = frozenset({Dependency.DEVICE})

    def __init__(self, *, wanted: bool) -> None:
        self._wanted = wanted

    def value(self, view: RequestView) -> bool | None:
        return self._wanted if view.attributes.device.enrolled is Fact.PASSED else None

    def asked(self) -> str:
        return "an enrolled device" if self._wanted else "a device that is not enrolled"

    def found(self, view: RequestView) -> str:
        device = view.attributes.device
        return device.reason or f"enrolled is {device.enrolled.value}"


class OfTier:
    """The device reaches a tier, or does not reach it, which can never be shown."""

    name = "device"
    about = Dependency.DEVICE

    def __init__(
        self, tier: int, *, below: bool, depends_on: frozenset[Dependency], name: str = ""
    ) -> None:
        self.tier = tier
        self._called = f"{tier}, {name}" if name else str(tier)
        self.below = below
        self.depends_on = depends_on | {Dependency.DEVICE}

    def value(self, view: RequestView) -> bool | None:
        return not self.below if view.tier >= self.tier else None

    def turns_at(self, view: RequestView) -> datetime | None:
        return view.tier_turns_at()

    def asked(self) -> str:
        return f"a device {'below' if self.below else 'of'} tier {self._called}"

    def found(self, view: RequestView) -> str:
        device = view.attributes.device
        reason = NOT_COMPLIANT if is_held_not_compliant(device) else device.reason
        why = reason or ("" if self.below else self._lacking(view))
        return f"yours is of tier {view.tier}{f': {why}' if why else ''}"

    def _lacking(self, view: RequestView) -> str:
        """Say what the lowest tier that would do wants besides."""
        wanted = next(iter(view.tiers_from(self.tier)), None)
        lacking = [each for each in wanted.conditions if _lacks(each, view)] if wanted else []
        return " and ".join(f"it wants {each.asked()} ({each.found(view)})" for each in lacking)


def _lacks(condition: Condition, view: RequestView) -> bool:
    try:
        return condition.value(view) is not True
    except Exception:  # noqa: BLE001 - it is for words alone
        return False
