"""PolicyTest files: what is read from them, and what is refused."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kzproxy.attributes.device import Fact
from kzproxy.config.mistakes import Mistakes
from kzproxy.policy_tools.asked import request_of
from kzproxy.policy_tools.case_file import load_case_file
from kzproxy.policy_tools.run_cases import run_case_file
from kzproxy.policy_tools.told_time import duration_in
from tests.policy_tools.policies import PODS, rule, written

HEAD = "apiVersion: kzproxy.dev/v1\nkind: PolicyTest\npolicyFiles: [policy.yaml]\n"
REQUEST = "request: {verb: get, resource: pods, namespace: dev, name: web}"
EVERYTHING_SAID = """
at: "2026-03-04T10:00:00+01:00"
fixtures:
  ann: {user: {name: ann, groups: [g]}}
  fresh: {authentication: {age: 10m, class: phr, methods: [hwk], bound: true}, session: {age: 1h}}
cases:
- name: one
  given: [ann, fresh]
  device: {enrolled: true, id: d}
  from: 192.0.2.7
  userAgent: kubectl/v1.36
  reason: INC-1
  namespaceLabels: {env: prod}
  object: {labels: {a: b}, privileged: true, images: [nginx]}
  request: {verb: connect, resource: pods/exec, namespace: dev, name: web, command: [ls, /]}
  expect: {decision: deny}
"""


@pytest.fixture
def directory(tmp_path):
    written(tmp_path, rule("a", "allow", PODS) + rule("d", "deny", PODS, groups="[h]"))
    return tmp_path


def load(directory, text):
    path = directory / "policy.test.yaml"
    path.write_text(HEAD + text)
    mistakes = Mistakes()
    file = load_case_file(path, mistakes)
    return file, [(m.line, m.message) for m in mistakes.found]


def one_case(fields, more=""):
    return f'at: "2026-03-04T10:00:00Z"\n{more}cases:\n- {{name: one, {fields}}}\n'


def test_every_fact_of_a_case_is_read(directory):
    file, mistakes = load(directory, EVERYTHING_SAID)
    assert mistakes == []
    attributes = file.cases[0].attributes
    at = attributes.environment.received_at
    assert at.isoformat() == "2026-03-04T09:00:00+00:00"
    assert attributes.subject.groups == ("g",)
    assert attributes.subject.authenticated_at == at - timedelta(minutes=10)
    assert attributes.subject.authentication_class == "phr"
    assert attributes.subject.issued_at == at - timedelta(hours=1)
    assert attributes.device.enrolled is Fact.PASSED
    assert attributes.subject.confirmation == attributes.device.thumbprint != ""
    assert attributes.environment.reason == "INC-1"
    assert attributes.namespace_labels == (("env", "prod"),)
    assert attributes.api_object is not None
    assert attributes.api_object.privileged
    assert attributes.request.command == ("ls", "/")


def test_what_is_not_said_is_not_known(directory):
    user = "user: {name: ann}"
    file, mistakes = load(directory, one_case(f"{user}, {REQUEST}, expect: {{decision: deny}}"))
    assert mistakes == []
    attributes = file.cases[0].attributes
    assert attributes.device.enrolled is Fact.UNKNOWN
    assert attributes.subject.authenticated_at is None
    assert attributes.namespace_labels is None
    assert attributes.api_object is None


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (f"{REQUEST}, expect: {{decision: deny}}", "user: {name: ...} must be set"),
        ("user: {name: a}, request: {verb: get, resource: pods}, expect: {decision: deny}", "name"),
        ("user: {name: a}, request: {}, expect: {decision: deny}", "must have verb and resource"),
        (
            "user: {name: a}, request: {verb: get, resource: pods/exec, name: x, namespace: y},"
            " expect: {decision: deny}",
            "has the verb connect",
        ),
        (
            "user: {name: a}, request: {method: BREW, path: /api}, expect: {decision: deny}",
            "refused before any rule",
        ),
        (f"given: [bob], {REQUEST}, expect: {{decision: deny}}", "bob is no fixture"),
        (f"user: {{name: a}}, {REQUEST}, expect: {{decision: allow, rule: z}}", "no rule z"),
        (f"user: {{name: a}}, {REQUEST}, expect: {{decision: allow, unmet: [mfa]}}", "no unmet"),
        (f"user: {{name: a}}, from: here, {REQUEST}, expect: {{decision: deny}}", "no IP address"),
        (
            f"user: {{name: a}}, at: 10 o'clock, {REQUEST}, expect: {{decision: deny}}",
            "with its offset",
        ),
        (
            f"user: {{name: a}}, authentication: {{age: soon}}, {REQUEST},"
            " expect: {decision: deny}",
            "is no duration",
        ),
        *(
            (f"user: {{name: a}}, {field}, {REQUEST}, expect: {{decision: deny}}", said)
            for field, said in [
                ("authentication: {age: 999999d}", "999999d is too long; write 36500d at most"),
                ("session: {age: 36501d}", "too long"),
                ("device: {enrolled: true, postureAge: 999999d}", "too long"),
                ('at: "9999-12-31T23:59:59Z"', "a year from 1970 to 9998"),
                ('at: "0001-01-01T00:00:00+14:00"', "too far away"),
            ]
        ),
        (f"user: {{name: a}}, devise: {{}}, {REQUEST}, expect: {{decision: deny}}", "did you mean"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(directory, fields, message):
    _, mistakes = load(directory, one_case(fields))
    assert any(message in text and line == 6 for line, text in mistakes), mistakes


def test_a_fixture_that_no_case_is_given_is_a_mistake(directory):
    more = "fixtures: {bob: {user: {name: bob}}}\n"
    fields = f"user: {{name: a}}, {REQUEST}, expect: {{decision: deny}}"
    _, mistakes = load(directory, one_case(fields, more))
    assert [text for _, text in mistakes] == ["no case is given bob; use it or remove it"]


def test_rules_that_no_case_tries_are_found(directory):
    fields = f"user: {{name: ann, groups: [g]}}, {REQUEST}, expect: {{decision: allow, rule: a}}"
    file, mistakes = load(directory, one_case(fields))
    assert mistakes == []
    result = run_case_file(file)
    assert [(gap.rule, gap.message) for gap in result.gaps] == [
        ("a", "no case is without it"),
        ("d", "no case matches it"),
    ]
    assert not result.passed


@pytest.mark.parametrize(
    ("coverage", "gaps"),
    [("matched", ["d"]), ("none", []), ("matched-and-unmatched", ["a", "d"])],
)
def test_a_file_says_how_much_must_be_tried(directory, coverage, gaps):
    fields = f"user: {{name: ann, groups: [g]}}, {REQUEST}, expect: {{decision: allow}}"
    file, _ = load(directory, one_case(fields, f"coverage: {{rules: {coverage}}}\n"))
    assert [gap.rule for gap in run_case_file(file).gaps] == gaps


def test_what_differs_is_named_with_both_sides(directory):
    fields = f"user: {{name: bob, groups: [h]}}, {REQUEST}, expect: {{decision: allow, rule: a}}"
    file, _ = load(directory, one_case(fields))
    (one,) = run_case_file(file).results
    assert [(d.field, d.expected, d.actual) for d in one.differences] == [
        ("decision", "allow", "deny"),
        ("rule", "a", "d"),
    ]


@given(st.text(max_size=8))
def test_only_durations_are_durations(text):
    try:
        duration = duration_in(text)
    except ValueError:
        return
    assert text[-1] in "smhd"
    assert duration > timedelta()


@pytest.mark.parametrize(
    ("verb", "resource", "name"),
    [
        ("get", "pods", "web"),
        ("list", "pods", ""),
        ("list", "pods", "web"),
        ("watch", "deployments.apps", ""),
        ("create", "deployments.apps", ""),
        ("create", "pods/eviction", "web"),
        ("update", "deployments.apps/scale", "web"),
        ("patch", "pods", "web"),
        ("delete", "pods", "web"),
        ("deletecollection", "pods", ""),
        ("connect", "pods/exec", "web"),
        ("proxy", "services/proxy", "web"),
    ],
)
def test_a_question_is_made_into_the_request_that_asks_it(verb, resource, name):
    request = request_of(verb, resource, "dev", name)
    plural, _, subresource = resource.partition("/")
    assert request.verb == verb
    assert request.resource == plural.partition(".")[0]
    assert request.subresource == subresource
    assert request.name == name
    assert request.namespace == "dev"
