"""Rules that ask too little, or that can fail to be judged."""

import re
from collections.abc import Iterator

from kzproxy.policy.vocabulary import ALL
from kzproxy.policy_tools.covering import positive
from kzproxy.policy_tools.finding import Finding, Lint
from kzproxy.policy_tools.policy_text import WORKLOADS, PolicyText, RuleText

# Each says where somebody stands, and nothing of who it is.
_PLACES = frozenset({"networks", "countries", "asns", "all"})
_COUNTRY_LEFT_OUT = re.compile(r"![^=].*\bsource\.country\b|\bsource\.country\s*!=", re.DOTALL)


def network_only(text: PolicyText) -> Iterator[Finding]:
    """Find allow rules that everybody passes who stands in the right network.

    Rules for workloads alone are left out: a workload has no device and no sign-in to ask for.
    """
    for rule in _allows(text):
        if {kind for kind, _ in rule.subjects} <= WORKLOADS:
            continue
        names = set(rule.conditions) | _within_named(rule, text)
        if names and names <= _PLACES and not rule.when and not rule.obligations:
            message = (
                "rests on the network alone, which is a place and no proof; ask for a device, a"
                " fresh sign-in or an obligation too, or check with --allow-network-only"
            )
            yield Finding(
                lint=Lint.NETWORK_ONLY,
                place=rule.at("conditions"),
                rule=rule.id,
                message=message,
            )


def wildcard(text: PolicyText) -> Iterator[Finding]:
    """Find allow rules on everything that ask for nothing."""
    for rule in _allows(text):
        if rule.conditions or rule.when or rule.obligations:
            continue
        for match in rule.matches:
            wide = [
                name
                for name, words in (
                    ("verbs", match.verbs),
                    ("apiGroups", match.api_groups),
                    ("resources", positive(match.resources)),
                    ("nonResourceURLs", match.urls),
                )
                if ALL in words
            ]
            if wide:
                yield Finding(
                    lint=Lint.WILDCARD,
                    place=match.place,
                    rule=rule.id,
                    message=f"* in {' and '.join(wide)}, with no condition and no obligation;"
                    " name what is meant, or ask for something",
                )


def deny_that_can_error(text: PolicyText) -> Iterator[Finding]:
    """Find deny rules that, where they cannot be judged, deny what they were not meant for."""
    for rule in text.rules:
        if rule.effect != "deny":
            continue
        if rule.when:
            yield Finding(
                lint=Lint.DENY_CAN_ERROR,
                place=rule.at("when"),
                rule=rule.id,
                message="an expression that fails denies every request that gets so far; say it"
                " in conditions where they can",
            )
        elif rule.needs:
            yield Finding(
                lint=Lint.DENY_CAN_ERROR,
                place=rule.at("needs"),
                rule=rule.id,
                message="where the object cannot be read, this denies every request that gets so"
                " far",
            )


def country_left_out(text: PolicyText) -> Iterator[Finding]:
    """Find allow rules that let in from everywhere but some countries."""
    named = {d.name: d.value for d in text.definitions if d.section == "conditions"}
    for rule in _allows(text):
        none = rule.conditions.get("none")
        asked = [named.get(str(name)) for name in none] if isinstance(none, list) else []
        field = "conditions" if any(isinstance(a, dict) and "countries" in a for a in asked) else ""
        if _COUNTRY_LEFT_OUT.search(rule.when) and "source.geoKnown" not in rule.when:
            field = "when"
        if field:
            yield Finding(
                lint=Lint.COUNTRY_LEFT_OUT,
                place=rule.at(field),
                rule=rule.id,
                message="lets in from every country but some, which an address elsewhere passes;"
                " where nobody knows the country it lets nobody in: name those that are meant, or"
                " deny the others, and say source.geoKnown where an expression asks",
            )


def _allows(text: PolicyText) -> Iterator[RuleText]:
    return (rule for rule in text.rules if rule.effect == "allow")


def _within_named(rule: RuleText, text: PolicyText) -> set[str]:
    """Return what the named conditions of ``all`` ask; the other two count as something."""
    named = {d.name: d.value for d in text.definitions if d.section == "conditions"}
    listed = rule.conditions.get("all")
    asked: set[str] = set()
    for name in listed if isinstance(listed, list) else []:
        value = named.get(str(name))
        asked |= set(value) if isinstance(value, dict) else {"?"}
    return asked
