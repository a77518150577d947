"""What a refused user can do about it, in words; only of rules that mean this user."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from kzproxy.attributes.attributes import Attributes
from kzproxy.attributes.request_info import RequestInfo
from kzproxy.policy.conditions import ConditionCheck
from kzproxy.policy.decision import Dependency
from kzproxy.policy.index import CompiledMatch, CompiledRule
from kzproxy.policy.reach import allows_namespace
from kzproxy.policy.time_window import DAYS, TimeWindow

_CONTEXT = (Dependency.NETWORK, Dependency.TIME, Dependency.DEVICE)
_ALMOST_A_WEEK = timedelta(days=6)


def unmet_hint(compiled: CompiledRule, unmet: Sequence[Dependency], attributes: Attributes) -> str:
    """Say which conditions of an allow rule were not met, and what would change that."""
    wanted = " and ".join(_wanted(fact, compiled.check, attributes) for fact in unmet)
    return _with_message(f"rule {compiled.rule.id} wants {wanted}", compiled)


def elsewhere_hint(candidate: CompiledMatch, request: RequestInfo) -> str:
    """Say which namespaces or names an allow rule covers instead of the ones asked for."""
    rule, match = candidate.compiled.rule, candidate.match
    if not allows_namespace(candidate, request):
        asked = request.namespace or "a request without a namespace"
        return f"rule {rule.id} covers namespaces {', '.join(match.namespaces)}, not {asked}"
    asked = request.name or "a request without a name"
    return f"rule {rule.id} covers names {', '.join(match.names)}, not {asked}"


def denied_hint(compiled: CompiledRule, attributes: Attributes) -> str:
    """Say under which conditions a deny rule denies."""
    check = compiled.check
    facts = [fact for fact in _CONTEXT if fact in check.depends_on]
    when = "".join(f" {_denied_when(fact, check, attributes)}" for fact in facts)
    return _with_message(f"rule {compiled.rule.id} denies this{when}", compiled)


def _with_message(text: str, compiled: CompiledRule) -> str:
    return f"{text}. {compiled.rule.message}" if compiled.rule.message else text


def _wanted(fact: Dependency, check: ConditionCheck, attributes: Attributes) -> str:
    match fact:
        case Dependency.NETWORK:
            return f"network {_networks(check)} ({_origin(attributes)})"
        case Dependency.TIME:
            at = attributes.environment.received_at
            opens = _moment(check, check.span(at).until, at)
            return f"time {' or '.join(w.name for w in check.conditions.time)} (opens {opens})"
        case Dependency.DEVICE:
            return f"an enrolled device ({_device_reason(attributes)})"
        case Dependency.IDENTITY:
            return "another identity"
        case _:
            return f"another {fact.value}"


def _denied_when(fact: Dependency, check: ConditionCheck, attributes: Attributes) -> str:
    match fact:
        case Dependency.NETWORK:
            return f"from network {_networks(check)} ({_origin(attributes)})"
        case Dependency.TIME:
            at = attributes.environment.received_at
            until = check.span(at).until
            return f"until {_moment(check, until, at)}" if until else "at all times"
        case Dependency.DEVICE:
            return f"without an enrolled device ({_device_reason(attributes)})"
        case Dependency.IDENTITY:
            return "to this identity"
        case _:
            return f"by its {fact.value}"


def _networks(check: ConditionCheck) -> str:
    return " or ".join(network.name for network in check.conditions.networks)


def _origin(attributes: Attributes) -> str:
    return f"you come from {attributes.environment.source_address}"


def _device_reason(attributes: Attributes) -> str:
    return attributes.device.reason or f"enrolled is {attributes.device.enrolled.value}"


def _moment(check: ConditionCheck, moment: datetime | None, now: datetime) -> str:
    """Return weekday, time and zone; with the date where the weekday alone would mislead."""
    if moment is None:
        return "never"
    window = _window_of(check.conditions.time, moment)
    local = moment.astimezone(window.zone)
    date = f" {local.date().isoformat()}" if moment - now > _ALMOST_A_WEEK else ""
    return f"{DAYS[local.weekday()]}{date} {local:%H:%M} {window.zone_name}"


def _window_of(windows: Sequence[TimeWindow], moment: datetime) -> TimeWindow:
    return next((window for window in windows if window.is_open(moment)), windows[0])
