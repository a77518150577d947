"""The JSON Schema of AccessPolicy files lets pass what the loader reads, and knows its fields."""

import copy
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import given, settings

import bench.mixed_rules
import bench.policy
from kzproxy.config.access_policy import load_access_policies
from kzproxy.config.document import Mistakes
from kzproxy.config.policy_schema import access_policy_schema
from kzproxy.demo.sample import Namespaces, Sample, WorkingHours
from tests.policy_tools.policies import HEAD
from tests.policy_tools.random_policies import DEFINITIONS, policies

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "docs" / "reference" / "access-policy.schema.json"
VALIDATOR = jsonschema.Draft7Validator(access_policy_schema())

FULL = yaml.safe_load("""
apiVersion: kzproxy.dev/v1
kind: AccessPolicy
metadata: {name: full}
networks:
  office: ["203.0.113.0/24", "2001:db8::/32"]
calendars:
  hours:
    timeZone: Europe/Prague
    weekly: [{days: [Mon, Tue], from: "07:00", to: "24:00"}]
    dated: [{from: "2026-12-01", to: "2026-12-01T08:00"}]
    except: [{from: "2026-12-24", to: "2027-01-02"}]
    holidays: {country: DE, subdivision: BY}
conditions:
  first: {networks: [office]}
  every:
    networks: [office]
    countries: [DE, FR]
    asns: [64500]
    time: [hours]
    device:
      enrolled: true
      tier: 1
      managed: true
      state: approved
      owner: self
      checks: {passed: [disk_encrypted, firewall], maxAge: 15m}
      postureAge: {atMost: 1h}
      os: [{platform: ubuntu, minVersion: "24.04"}, {platform: macos}]
      risk: {atMost: LOW}
      belowTier: 2
    authentication: {maxAge: 8h, classes: [phr], methods: [hwk], issuers: ["https://idp.example"]}
    session:
      {maxAge: 12h, mode: session, risk: {atMost: MEDIUM}, sameAddress: true, sameCountry: true}
    workload: {spiffeIDs: ["spiffe://example.org/*"]}
    request: {userAgents: ["kubectl/*"], dryRun: true, commands: ["ls *"], containers: [app]}
    all: [first]
    any: [first]
    none: [first]
    when: user.name == "ann"
tiers:
- level: 1
  name: known
  conditions: {device: {enrolled: true}}
  when: user.name == "ann"
rules:
- id: allows
  effect: allow
  subjects:
    users: [ann]
    groups: ["oidc:developers"]
    serviceAccounts: [ci/deployer]
    spiffeIDs: ["spiffe://example.org/ns/ci/*"]
  match:
  - verbs: [list, watch]
    apiGroups: ["", apps]
    resources: ["*", "!secrets"]
    namespaces: ["dev-*"]
    names: [web]
    namespaceSelector:
      matchLabels: {env: dev}
      matchExpressions: [{key: team, operator: In, values: [a]}, {key: x, operator: Exists}]
    labelSelector: team=a
    fieldSelector: spec.nodeName=n
  - {verbs: [get], nonResourceURLs: ["/healthz/*"]}
  - {verbs: [create], apiGroups: [""], resources: [pods]}
  conditions:
    networks: [office]
    countries: [DE]
    asns: [64500, 4200000000]
    time: [hours]
    device:
      enrolled: true
      tier: 1
      managed: true
      state: approved
      owner: self
      checks: {passed: [disk_encrypted, firewall], maxAge: 15m}
      postureAge: {atMost: 1h}
      os: [{platform: ubuntu, minVersion: "24.04"}, {platform: macos}]
      risk: {atMost: LOW}
    authentication: {maxAge: 8h, classes: [phr], methods: [hwk], issuers: ["https://idp.example"]}
    session:
      {maxAge: 12h, mode: session, risk: {atMost: MEDIUM}, sameAddress: true, sameCountry: true}
    workload: {spiffeIDs: ["spiffe://example.org/*"]}
    request: {userAgents: ["kubectl/*"], dryRun: true, commands: ["ls *"], containers: [app]}
    object:
      privileged: true
      hostNamespaces: true
      serviceAccounts: ["*"]
      images: ["*"]
      labels: {matchLabels: {a: b}, matchExpressions: [{key: team, operator: NotIn, values: [a]}]}
    all: [first]
    any: [first]
    none: [first]
  when: user.name == "ann"
  needs: [object]
  patches: allow
  obligations:
    mfa: {classes: [phr], methods: [hwk], maxAge: 8h}
    reauth: {maxAge: 15m}
    reason: required
    maxSession: 1h
    idle: 10m
    readOnly: true
    dryRunOnly: true
    bound: true
  message: Ask.
- id: denies
  effect: deny
  subjects: {groups: ["system:authenticated"]}
  match: [{verbs: ["*"], apiGroups: ["*"], resources: ["*"]}]
  conditions: {device: {enrolled: false, belowTier: 1}, none: [first]}
""")
# What the loader alone can tell, by the words of its mistakes.
BEYOND_A_SCHEMA = re.compile(
    "|".join(
        [
            r"is not defined under|is no tier",
            r"is already (at|defined)|is level \d+ already",
            r"is no address block|has bits set after its prefix|holds IPv4 addresses",
            r"is no IANA time zone|is no country or part of one",
            r'is no date|"to" must be after "from"|"from" and "to" are the same',
            r"of the expression\)",  # of CEL: types, names
            r"no condition looks at the object|patches matter only where the object is looked at",
            r"the rule looks at the object; say so",  # behind a name
            r"no request that this rule reaches has an object",
            r"never has the verb|is judged as verb",
            r"this deny on .* does not cover exec",
        ]
    )
)


@pytest.fixture(scope="module")
def mistakes_of(tmp_path_factory):
    path = tmp_path_factory.mktemp("policy") / "policy.yaml"

    def load(document: Any) -> list[str]:
        path.write_text(json.dumps(document))  # which is YAML, and quicker
        mistakes = Mistakes()
        load_access_policies([path], mistakes)
        return [mistake.message for mistake in mistakes.found]

    return load


def test_the_shipped_schema_is_that_of_the_code():
    """To mend: kzproxy policy schema > docs/reference/access-policy.schema.json."""
    assert json.loads(SHIPPED.read_text()) == access_policy_schema()


def test_it_is_a_schema_whose_every_field_is_described():
    jsonschema.Draft7Validator.check_schema(access_policy_schema())
    told = [(name, schema) for name, schema in fields_of(access_policy_schema())]

    assert len(told) > 60
    assert [n for n, s in told if "description" not in s and s.keys() - {"$ref", "allOf"}] == []


def fields_of(schema: Any) -> Iterator[tuple[str, Any]]:
    """Yield name and schema of all fields of mappings that are said to have no others."""
    if isinstance(schema, list):
        for each in schema:
            yield from fields_of(each)
    elif isinstance(schema, dict):
        if schema.get("additionalProperties") is False:
            yield from schema["properties"].items()
        for each in schema.values():
            yield from fields_of(each)


def documents() -> Iterator[Any]:
    """Yield every policy that we ship, show or build."""
    files = [*ROOT.glob("config/**/*.yaml"), *ROOT.glob("deploy/**/*.yaml")]
    texts = [path.read_text() for path in files]
    for page in [*ROOT.glob("docs/**/*.md"), *ROOT.glob("*.md")]:
        texts += re.findall(r"```yaml\n(.*?)```", page.read_text(), re.DOTALL)
    texts.append(Sample(WorkingHours(zone_name="UTC"), Namespaces()).policy())
    yield from (bench.policy.policy(), bench.mixed_rules.policy())
    for text in texts:
        if "kind: AccessPolicy" in text:
            yield from yaml.safe_load_all(text)


def test_every_policy_that_is_shipped_or_shown_is_valid():
    found = list(documents())

    assert len(found) > 12
    assert [str(error) for each in found for error in VALIDATOR.iter_errors(each)] == []


@settings(max_examples=60)
@given(rules=policies())
def test_every_random_policy_is_valid(rules):
    VALIDATOR.validate(yaml.safe_load(f"{HEAD}{DEFINITIONS}rules:\n{rules}"))


def test_the_full_example_has_every_field_and_is_right(mistakes_of):
    assert mistakes_of(FULL) == []
    VALIDATOR.validate(FULL)
    written = {name for place in places(FULL) for name in place if isinstance(name, str)}

    assert {name for name, _ in fields_of(access_policy_schema())} <= written


def places(value: Any, before: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the way to every value."""
    yield before
    inner = value.items() if isinstance(value, dict) else ()
    for key, each in enumerate(value) if isinstance(value, list) else inner:
        yield from places(each, (*before, key))


def at(document: Any, place: tuple[Any, ...]) -> Any:
    for key in place:
        document = document[key]
    return document


# The operator chooses the keys of these.
CHOSEN = {"networks", "calendars", "conditions", "matchLabels"}
MAPPINGS = [
    place
    for place in places(FULL)
    if isinstance(at(FULL, place), dict)
    and not (place and place[-1] in CHOSEN and (len(place) == 1 or place[-1] == "matchLabels"))
]


@pytest.mark.parametrize("place", MAPPINGS, ids=lambda place: ".".join(map(str, place)) or "file")
def test_the_loader_and_the_schema_know_the_same_fields(mistakes_of, place):
    changed = copy.deepcopy(FULL)
    at(changed, place)["zzz"] = 1
    allowed = next(m for m in mistakes_of(changed) if "unknown field zzz" in m)
    refused = [
        error
        for error in VALIDATOR.iter_errors(changed)
        if error.validator == "additionalProperties" and tuple(error.absolute_path) == place
    ]

    assert refused
    for error in refused:
        names = allowed.partition("allowed here: ")[2].split(", ")
        assert set(error.schema["properties"]) == set(names)


EVERYWHERE = [None, {}, [], "", "x"]
HERE_AND_THERE = [
    *("X y", "*", "a b\nc", 0, 1, 100, True, False),
    *([""], ["x"], ["*"], ["X"], [1], [None], ["x", {}], {"x": "y"}, {"zzz": 1}, [{}]),
    *("20:00", "24:00", "2026-02-03", "10m", "0h", "1.5h", "192.0.2.0/24", "a/b", "a=b", "a!=b"),
    *(["!pods"], ["pods/exec"], ["apps/v1"], ["core"], ["get"], ["post"], ["/api/v1/pods"]),
    *(["/api/v1/"], ["/apis/a/v1/"], ["/api/v1/*"], ["/apis/a/v1/*"]),
    *(["//x"], ["/a*b"], ["/a?b"], ["system:anonymous"], [" a"], "allow", "deny", ["object"]),
    *(["connect"], "In", "Exists", "required", ["a/b"], ["spiffe://example.org/x"], "x" * 501),
]


def changes(place: tuple[Any, ...]) -> Iterator[Any]:
    """Yield the example with one value gone or another; every value is tried in some places."""
    if place:
        gone = copy.deepcopy(FULL)
        del at(gone, place[:-1])[place[-1]]
        yield gone
        first = PLACES.index(place) % STRIDE
        for value in [*EVERYWHERE, *HERE_AND_THERE[first::STRIDE]]:
            changed = copy.deepcopy(FULL)
            at(changed, place[:-1])[place[-1]] = value
            yield changed


PLACES = list(places(FULL))
STRIDE = 9


@pytest.mark.parametrize("place", PLACES, ids=lambda place: ".".join(map(str, place)) or "file")
def test_the_schema_refuses_what_the_loader_does_but_for_what_only_that_can_tell(
    mistakes_of, place
):
    for changed in changes(place):
        found = mistakes_of(changed)
        structural = [each for each in found if not BEYOND_A_SCHEMA.search(each)]
        errors = [error.message for error in VALIDATOR.iter_errors(changed)]
        assert bool(errors) is bool(structural) or (found and not structural), (
            at(changed, place[:-1]),
            found,
            errors,
        )
