"""What is asked of devices and would hardly do what is meant."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from kzproxy.config.mistakes import did_you_mean
from kzproxy.policy.device_features import KNOWN_CHECKS
from kzproxy.policy_tools.finding import Finding, Lint
from kzproxy.policy_tools.policy_text import Place, PolicyText

_ASKED_OF_PASSED = re.compile(r"""["']([^"']*)["']\s+in\s+device\.(?:passed|failed|unknown)""")
_LEVEL = re.compile(r"device\.tier\b")


class _Asking(NamedTuple):
    """Conditions somewhere in a policy: of a rule, a tier or a name."""

    place: Place
    rule: str
    conditions: dict[str, object]
    when: str

    def found(self, lint: Lint, message: str) -> Finding:
        return Finding(lint=lint, place=self.place, rule=self.rule, message=message)

    @property
    def device(self) -> dict[str, object]:
        return _mapping(self.conditions.get("device"))

    @property
    def checks(self) -> list[str]:
        names = _mapping(self.device.get("checks")).get("passed")
        return [str(name) for name in names] if isinstance(names, list) else []


def unknown_checks(text: PolicyText) -> Iterator[Finding]:
    """Find checks that kzproxy does not know, which pass only where a provider tells of them."""
    for asking in _askings(text):
        for name in [*asking.checks, *_ASKED_OF_PASSED.findall(asking.when)]:
            if name not in KNOWN_CHECKS:
                hint = did_you_mean(name, KNOWN_CHECKS)
                message = f"kzproxy knows no check {name}{hint}; it passes only where a provider"
                yield asking.found(Lint.UNKNOWN_CHECK, f"{message} of posture tells of it")


def posture_of_any_age(text: PolicyText) -> Iterator[Finding]:
    """Find checks that pass for as long as whoever tells of them lets them."""
    for asking in _askings(text):
        limits = (
            _mapping(asking.device.get("checks")).get("maxAge"),
            asking.device.get("postureAge"),
        )
        if asking.checks and not any(limits):
            yield asking.found(
                Lint.POSTURE_AGE,
                f"{', '.join(asking.checks)} may have passed as long ago as its source lets it; say"
                " how long: checks: {maxAge: 15m}, or postureAge",
            )


def not_shown(text: PolicyText) -> Iterator[Finding]:
    """Find allow rules that take for passed what only has not failed."""
    for asking in _askings(text):
        reads = {word for word in ("failed", "unknown") if f"device.{word}" in asking.when}
        if reads and "device.passed" not in asking.when and _is_allow(asking.rule, text):
            words = " and ".join(f"device.{word}" for word in sorted(reads))
            yield asking.found(
                Lint.NOT_SHOWN,
                f"{words} alone lets in what has not failed, known or not; ask what is in"
                " device.passed",
            )


def low_tiers(text: PolicyText) -> Iterator[Finding]:
    """Find tiers below all that are asked for: whether a device reaches them decides nothing."""
    askings = list(_askings(text))
    levels = {d.name: d for d in text.definitions if d.section == "tiers"}
    names = {str(_mapping(d.value).get("name")): level for level, d in levels.items()}
    asked = [
        int(names.get(str(level), str(level)))
        for asking in askings
        for level in (asking.device.get("tier"), asking.device.get("belowTier"))
        if level is not None
    ]
    if not asked or any(_LEVEL.search(asking.when) for asking in askings):
        return
    for level, definition in levels.items():
        if int(level) < min(asked):
            name = _mapping(definition.value).get("name")
            yield Finding(
                lint=Lint.UNUSED,
                place=definition.place,
                rule="",
                message=f"tier {name} (level {level}) is below every tier that is asked for",
            )


def _askings(text: PolicyText) -> Iterator[_Asking]:
    for rule in text.rules:
        place = rule.at("conditions") if rule.conditions else rule.at("when")
        yield _Asking(place, rule.id, rule.conditions, rule.when)
    for definition in text.definitions:
        value = _mapping(definition.value)
        if definition.section == "tiers":
            within = _mapping(value.get("conditions"))
            yield _Asking(definition.place, "", within, str(value.get("when", "")))
        elif definition.section == "conditions":
            yield _Asking(definition.place, "", value, str(value.get("when", "")))


def _is_allow(rule_id: str, text: PolicyText) -> bool:
    """Whether it is an allow rule, or stands behind a name or tier that one may use."""
    return all(rule.effect == "allow" for rule in text.rules if rule.id == rule_id)


def _mapping(value: object) -> dict[str, object]:
    return value if isinstance(value, dict) else {}
