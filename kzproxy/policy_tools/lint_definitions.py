"""Definitions that nobody uses, and dates that are over."""

import re
from collections.abc import Iterator
from datetime import datetime
from zoneinfo import ZoneInfo

from kzproxy.policy_tools.finding import Finding, Lint
from kzproxy.policy_tools.policy_text import Definition, PolicyText

# Expressions name a network or calendar as text, a condition as a member.
_TEXT = re.compile(r"""["']([^"']*)["']""")
_MEMBER = re.compile(r"\bconditions\.([A-Za-z0-9_]+)")


def unused(text: PolicyText) -> Iterator[Finding]:
    """Find networks, calendars, tiers and conditions that no rule comes to."""
    used = _used(text)
    for definition in text.definitions:
        if definition.section == "tiers":
            continue
        if (definition.section, definition.name) not in used:
            what = definition.section.removesuffix("s")
            yield Finding(
                lint=Lint.UNUSED,
                place=definition.place,
                rule="",
                message=f"{what} {definition.name} is used by no rule",
            )
    tiers = [d for d in text.definitions if d.section == "tiers"]
    if tiers and ("tiers", "") not in used:
        yield Finding(
            lint=Lint.UNUSED,
            place=tiers[0].place,
            rule="",
            message="no rule asks for a tier",
        )


def expired(text: PolicyText, at: datetime) -> Iterator[Finding]:
    """Find dates of calendars that were over at ``at``."""
    for definition in text.definitions:
        value = definition.value
        if definition.section != "calendars" or not isinstance(value, dict):
            continue
        for field in ("dated", "except"):
            spans = value.get(field)
            for span in spans if isinstance(spans, list) else []:
                yield from _expired(definition, field, span, str(value["timeZone"]), at)


def _expired(
    definition: Definition, field: str, span: object, zone: str, at: datetime
) -> Iterator[Finding]:
    if not isinstance(span, dict):
        return
    # A date alone is its midnight; both are local to the calendar's zone.
    end = datetime.fromisoformat(str(span["to"])).replace(tzinfo=ZoneInfo(zone))
    if end <= at:
        yield Finding(
            lint=Lint.EXPIRED,
            place=definition.place,
            rule="",
            message=f"the {field} time of calendar {definition.name} that ends {span['to']} is"
            " over; remove it or give it a new date",
        )


def _used(text: PolicyText) -> set[tuple[str, str]]:
    """Follow from rules to conditions to what those use."""
    used: set[tuple[str, str]] = set()
    for rule in text.rules:
        used |= _uses(rule.conditions) | _uses_of_expression(rule.when)
    open_ends = True
    while open_ends:
        before = len(used)
        for definition in text.definitions:
            is_reached = (definition.section, definition.name) in used or (
                definition.section == "tiers" and ("tiers", "") in used
            )
            if is_reached and isinstance(definition.value, dict):
                used |= _uses_of_definition(definition)
        open_ends = len(used) > before
    return used


def _uses_of_definition(definition: Definition) -> set[tuple[str, str]]:
    value = definition.value if isinstance(definition.value, dict) else {}
    if definition.section == "tiers":
        inner = value.get("conditions")
        return _uses(inner if isinstance(inner, dict) else {}) | _uses_of_expression(
            str(value.get("when", ""))
        )
    return _uses(value) if definition.section == "conditions" else set()


def _uses(conditions: dict[str, object]) -> set[tuple[str, str]]:
    used = {("networks", name) for name in _listed(conditions, "networks")}
    used |= {("calendars", name) for name in _listed(conditions, "time")}
    for word in ("all", "any", "none"):
        used |= {("conditions", name) for name in _listed(conditions, word)}
    device = conditions.get("device")
    if isinstance(device, dict) and {"tier", "belowTier"} & device.keys():
        used.add(("tiers", ""))
    when = conditions.get("when")
    return used | (_uses_of_expression(when) if isinstance(when, str) else set())


def _uses_of_expression(expression: str) -> set[tuple[str, str]]:
    names = _TEXT.findall(expression)
    used = {(section, name) for section in ("networks", "calendars") for name in names}
    # In an expression a name's "-" is written "_".
    used |= {("conditions", name) for name in _MEMBER.findall(expression)}
    used |= {("conditions", name.replace("_", "-")) for name in _MEMBER.findall(expression)}
    if "device.tier" in expression:
        used.add(("tiers", ""))
    return used


def _listed(conditions: dict[str, object], name: str) -> list[str]:
    value = conditions.get(name)
    return [str(item) for item in value] if isinstance(value, list) else []
