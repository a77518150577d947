"""PolicyTest files: cases with fixtures, a fixed clock and what each must come to."""

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path

import msgspec

from kzproxy.attributes.attributes import Attributes
from kzproxy.config.document import Mistakes, Node, read_document
from kzproxy.policy.decision import Cause
from kzproxy.policy.rules import AccessPolicySet
from kzproxy.policy_tools.case_fields import FIELDS, Facts, facts_of, merged, read_attributes
from kzproxy.policy_tools.policy_text import Place, PolicyText, load_policy_text

API_VERSION = "kzproxy.dev/v1"
KIND = "PolicyTest"

DECISIONS = ("allow", "challenge", "deny")
OBLIGATION_NAMES = (
    *("mfa", "reauth", "reason", "maxSession", "idle"),
    *("readOnly", "dryRunOnly", "bound"),
)


class Coverage(StrEnum):
    """How much the cases must have tried."""

    BOTH = "both"
    FIRST = "first"
    NONE = "none"


class Expectation(msgspec.Struct, frozen=True, kw_only=True):
    """What a decision must be; None where it does not matter."""

    decision: str
    rule: str | None = None
    cause: str | None = None
    unmet: tuple[str, ...] | None = None
    hint_contains: str | None = None


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """One question and its answer."""

    name: str
    place: Place
    attributes: Attributes
    expectation: Expectation


class CaseFile(msgspec.Struct, frozen=True, kw_only=True):
    """One file.

    Attributes:
        path: As the operator named it.
        policies: That its cases are put to.
        text: What stands in their files.
        rule_coverage: BOTH asks for each rule matched and not matched, FIRST for matched.
        obligation_coverage: BOTH asks for each obligation met and unmet, FIRST for met.
    """

    path: Path
    policies: AccessPolicySet
    text: PolicyText
    cases: tuple[Case, ...]
    rule_coverage: Coverage
    obligation_coverage: Coverage


RULE_COVERAGE = {
    "matched-and-unmatched": Coverage.BOTH,
    "matched": Coverage.FIRST,
    "none": Coverage.NONE,
}
OBLIGATION_COVERAGE = {
    "met-and-unmet": Coverage.BOTH,
    "met": Coverage.FIRST,
    "none": Coverage.NONE,
}


def load_case_file(path: Path, mistakes: Mistakes) -> CaseFile:
    """Read a file and the policies that it names, relative to it; mistakes are recorded."""
    fields = read_document(path, mistakes).mapping(
        required=("apiVersion", "kind", "policyFiles", "cases"),
        optional=("fixtures", "coverage", "at", "from"),
    )
    fields["apiVersion"].choice([API_VERSION])
    fields["kind"].choice([KIND])
    paths = tuple(path.parent / name for name in fields["policyFiles"].strings() if name)
    policies, text = load_policy_text(paths, mistakes)
    rules, obligations = _coverage(fields.get("coverage"))
    return CaseFile(
        path=path,
        policies=policies,
        text=text,
        cases=_cases(fields, {rule.id for rule in policies.rules}),
        rule_coverage=rules,
        obligation_coverage=obligations,
    )


def read_case_parts(fields: dict[str, Node]) -> tuple[Facts, dict[str, Facts]]:
    """Return what holds for the whole file, and the fixtures by name."""
    fixtures: dict[str, Facts] = {}
    if "fixtures" in fields:
        for key, value in fields["fixtures"].entries():
            fixtures[key.string()] = facts_of(value.mapping(optional=FIELDS))
    return facts_of({name: fields[name] for name in ("at", "from") if name in fields}), fixtures


def _coverage(node: Node | None) -> tuple[Coverage, Coverage]:
    fields = node.mapping(optional=("rules", "obligations")) if node is not None else {}
    rules = fields["rules"].choice(list(RULE_COVERAGE)) if "rules" in fields else ""
    kept = (
        fields["obligations"].choice(list(OBLIGATION_COVERAGE)) if "obligations" in fields else ""
    )
    return (
        RULE_COVERAGE.get(rules, Coverage.BOTH),
        OBLIGATION_COVERAGE.get(kept, Coverage.BOTH),
    )


def _cases(fields: dict[str, Node], rule_ids: set[str]) -> tuple[Case, ...]:
    everywhere, fixtures = read_case_parts(fields)
    used: set[str] = set()
    names: set[str] = set()
    cases: list[Case] = []
    nodes = fields["cases"].sequence()
    if fields["cases"].is_sequence() and not nodes:
        fields["cases"].mistake("a test without a case proves nothing; write one")
    for node in nodes:
        written = node.mapping(required=("name", "expect"), optional=("given", *FIELDS))
        name = written["name"].string()
        if name in names:
            written["name"].mistake(f"another case is already called {name}")
        names.add(name)
        layers = [everywhere, *_given(written.get("given"), fixtures, used), facts_of(written)]
        attributes = read_attributes(merged(layers), node)
        expectation = _expectation(written["expect"], rule_ids)
        if attributes is not None:
            place = Place(source=node.source, line=node.line, column=node.column)
            case = Case(name=name, place=place, attributes=attributes, expectation=expectation)
            cases.append(case)
    if "fixtures" in fields:
        for key, _ in fields["fixtures"].entries():
            if key.string() not in used:
                key.mistake(f"no case is given {key.string()}; use it or remove it")
    return tuple(cases)


def _given(node: Node | None, fixtures: dict[str, Facts], used: set[str]) -> Sequence[Facts]:
    found: list[Facts] = []
    for item in node.sequence() if node is not None else ():
        name = item.string()
        if name in fixtures:
            used.add(name)
            found.append(fixtures[name])
        elif name:
            known = ", ".join(sorted(fixtures)) or "nothing"
            item.mistake(f"{name} is no fixture; defined: {known}")
    return found


def _expectation(node: Node, rule_ids: set[str]) -> Expectation:
    fields = node.mapping(
        required=("decision",), optional=("rule", "cause", "unmet", "hintContains")
    )
    decision = fields["decision"].choice(DECISIONS)
    rule = fields["rule"].string(may_be_empty=True) if "rule" in fields else None
    if rule and rule_ids and rule not in rule_ids:
        fields["rule"].mistake(f"there is no rule {rule}")
    for name in ("cause", "unmet", "hintContains"):
        if decision == "allow" and name in fields:
            fields[name].mistake(f"what is allowed has no {name}")
    return Expectation(
        decision=decision,
        rule=rule,
        cause=fields["cause"].choice([c.value for c in Cause]) if "cause" in fields else None,
        unmet=_unmet(fields["unmet"]) if "unmet" in fields else None,
        hint_contains=fields["hintContains"].string() if "hintContains" in fields else None,
    )


def _unmet(node: Node) -> tuple[str, ...]:
    return tuple(item.choice(OBLIGATION_NAMES) for item in node.sequence())
