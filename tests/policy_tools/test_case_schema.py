"""The JSON Schema of PolicyTest files lets pass what is read, and knows its fields."""

import copy
import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from kzproxy.config.mistakes import Mistakes
from kzproxy.policy_tools.case_file import load_case_file
from kzproxy.policy_tools.case_schema import policy_test_schema
from tests.config.test_policy_schema import at, fields_of, places
from tests.policy_tools.policies import PODS, rule, written

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "docs" / "reference" / "policy-test.schema.json"
VALIDATOR = jsonschema.Draft7Validator(policy_test_schema())
FULL = yaml.safe_load("""
apiVersion: kzproxy.dev/v1
kind: PolicyTest
policyFiles: [policy.yaml]
at: "2026-03-04T10:00:00+01:00"
from: 203.0.113.7
coverage: {rules: matched, obligations: none}
fixtures:
  all:
    user: {name: ann, groups: [g], uid: u, extra: {team: [a]}, issuer: "https://idp.example"}
    authentication: {age: 1h, class: phr, methods: [hwk], bound: true}
    session:
      {age: 1h, mode: session, risk: LOW, signedInFrom: 203.0.113.7, signInCountry: DE}
    device:
      enrolled: true
      id: laptop
      managed: true
      state: approved
      owner: ann
      passed: [firewall]
      failed: [patched]
      postureAge: 10m
      os: ubuntu
      osVersion: "24.04"
      risk: LOW
    object:
      labels: {a: b}
      privileged: true
      hostNamespaces: true
      serviceAccount: default
      images: [x]
      isPatch: false
    request:
      verb: list
      apiGroup: ""
      apiVersion: v1
      resource: pods
      namespace: dev
      name: web
      labelSelector: a=b
      dryRun: true
    country: DE
    asn: 64500
    userAgent: kubectl/1
    reason: INC-1
    namespaceLabels: {env: dev}
  workload: {user: {name: bot, spiffeID: "spiffe://example.org/ci"}}
cases:
- name: pods are listed
  given: [all]
  expect: {decision: allow, rule: r}
- name: a command is not run
  given: [workload]
  request: {verb: connect, resource: pods/exec, namespace: dev, name: web, command: [ls],
            container: app}
  expect: {decision: deny, rule: "", cause: no-rule, unmet: [], hintContains: x}
- name: by its path
  given: [workload]
  request: {method: GET, path: /version}
  expect: {decision: deny}
- name: by a field
  given: [workload]
  request: {verb: list, resource: pods, fieldSelector: spec.nodeName=n}
  expect: {decision: deny}
""")
# Mappings whose keys the operator chooses.
CHOSEN = {"fixtures", "extra", "labels", "namespaceLabels"}
MAPPINGS = [
    place
    for place in places(FULL)
    if isinstance(at(FULL, place), dict) and not (place and place[-1] in CHOSEN)
]


@pytest.fixture
def mistakes_of(tmp_path):
    written(tmp_path, rule("r", "allow", PODS))

    def load(document: Any) -> list[str]:
        path = tmp_path / "policy.test.yaml"
        path.write_text(json.dumps(document))  # which is YAML
        mistakes = Mistakes()
        load_case_file(path, mistakes)
        return [mistake.message for mistake in mistakes.found]

    return load


def test_the_shipped_schema_is_that_of_the_code():
    """To mend: kzproxy policy schema --kind PolicyTest > docs/reference/policy-test.schema.json."""
    assert json.loads(SHIPPED.read_text()) == policy_test_schema()


def test_every_test_file_that_is_shipped_or_shown_is_valid():
    texts = [path.read_text() for path in ROOT.glob("config/**/*.test.yaml")]
    for page in ROOT.glob("docs/**/*.md"):
        texts += re.findall(r"```yaml\n(.*?)```", page.read_text(), re.DOTALL)
    found = [yaml.safe_load(text) for text in texts if "kind: PolicyTest" in text]

    assert len(found) > 4
    assert [str(error) for each in found for error in VALIDATOR.iter_errors(each)] == []


def test_the_full_example_has_every_field_and_is_right(mistakes_of):
    assert mistakes_of(FULL) == []
    VALIDATOR.validate(FULL)
    names = {name for place in places(FULL) for name in place if isinstance(name, str)}
    assert {name for name, _ in fields_of(policy_test_schema())} <= names


@pytest.mark.parametrize("place", MAPPINGS, ids=lambda place: ".".join(map(str, place)) or "file")
def test_the_same_fields_are_known(mistakes_of, place):
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


@pytest.mark.parametrize("place", list(places(FULL))[1:], ids=lambda p: ".".join(map(str, p)))
def test_nothing_is_refused_that_is_read(mistakes_of, place):
    for value in (None, {}, [], "", "x", 1, True, ["x"]):
        changed = copy.deepcopy(FULL)
        at(changed, place[:-1])[place[-1]] = value

        assert mistakes_of(changed) or VALIDATOR.is_valid(changed), value
