"""AccessPolicy files: what they become, and what is wrong with them."""

from ipaddress import ip_network
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kzproxy.authentication.names import name_fault
from kzproxy.config.access_policy import load_access_policies
from kzproxy.config.document import Mistakes
from kzproxy.policy.calendar import WeeklyWindow
from kzproxy.policy.decision import Permit
from kzproxy.policy.engine import PolicyEngine
from kzproxy.policy.rules import AccessPolicySet, Conditions, Effect, Match, Rule
from tests.config.documents import lines, write
from tests.policy.samples import ENROLLED, asked, subject

EXAMPLE = Path(__file__).parents[2] / "config" / "policy.yaml"
HEAD = "apiVersion: kzproxy.dev/v1\nkind: AccessPolicy\nmetadata: {name: test}\n"
RULE = "- {{id: r, effect: {effect}, subjects: {{groups: [dev]}}, match: [{match}]{more}}}\n"


@pytest.fixture
def mistakes():
    return Mistakes()


@pytest.fixture
def load(tmp_path, mistakes):
    """Load one file with the given text after its head."""

    def load_text(text: str) -> AccessPolicySet:
        return load_access_policies([write(tmp_path, HEAD + text)], mistakes)

    return load_text


@pytest.fixture
def load_rule(load):
    """Load one rule, in a file where a network and a calendar are defined."""

    def load_match(match: str, *, effect: str = "allow", more: str = "") -> AccessPolicySet:
        contexts = (
            "networks: {office: ['192.0.2.0/24']}\n"
            "calendars: {hours: {timeZone: UTC,"
            " weekly: [{days: [Mon], from: '07:00', to: '20:00'}]}}\n"
        )
        rule = RULE.format(effect=effect, match=match, more=f", {more}" if more else "")
        return load(f"{contexts}rules:\n{rule}")

    return load_match


def messages(mistakes):
    return [mistake.message for mistake in mistakes.found]


def test_a_file_becomes_rules(load, mistakes):
    policies = load(
        """
networks:
  office: ["203.0.113.0/24", "2001:DB8:0::/32"]
calendars:
  shifts:
    timeZone: Europe/Prague
    weekly:
    - {days: [Mon, Tue], from: "07:00", to: "24:00"}
    - {days: [Fri], from: "22:30", to: "06:00"}
rules:
- id: a
  effect: allow
  subjects: {users: ["oidc:ann"], groups: [dev, "oidc:ops"]}
  match:
  - {verbs: [get, connect], apiGroups: ["", apps], resources: ["*"], namespaces: [dev, "dev-*"]}
  - {verbs: [get], nonResourceURLs: [/version, "/apis/*"]}
  conditions:
    networks: [office]
    time: [shifts]
    device: {enrolled: true}
  message: Ask Eve.
- id: b
  effect: deny
  subjects: {groups: ["system:authenticated"]}
  match:
  - {verbs: ["*"], apiGroups: ["*"], resources: [secrets, "pods/*"], names: [root-token]}
  conditions: {device: {enrolled: false}}
"""
    )

    assert lines(mistakes) == []
    first, second = policies.rules
    office, shifts = first.conditions.networks[0], first.conditions.time[0]
    assert first == Rule(
        id="a",
        effect=Effect.ALLOW,
        users=frozenset({"oidc:ann"}),
        groups=frozenset({"dev", "oidc:ops"}),
        match=(
            Match(
                verbs=frozenset({"get", "connect"}),
                api_groups=frozenset({"", "apps"}),
                resources=frozenset({"*"}),
                namespaces=("dev", "dev-*"),
            ),
            Match(verbs=frozenset({"get"}), non_resource_urls=frozenset({"/version", "/apis/*"})),
        ),
        conditions=Conditions(networks=(office,), time=(shifts,), device_enrolled=True),
        message="Ask Eve.",
    )
    assert office.blocks == (ip_network("203.0.113.0/24"), ip_network("2001:db8::/32"))
    assert (shifts.name, shifts.zone_name, str(shifts.zone)) == (
        "shifts",
        "Europe/Prague",
        "Europe/Prague",
    )
    assert shifts.weekly == (
        WeeklyWindow(days=frozenset({0, 1}), from_minute=420, to_minute=1440),
        WeeklyWindow(days=frozenset({4}), from_minute=1350, to_minute=360),
    )
    assert second == Rule(
        id="b",
        effect=Effect.DENY,
        groups=frozenset({"system:authenticated"}),
        match=(
            Match(
                verbs=frozenset({"*"}),
                api_groups=frozenset({"*"}),
                resources=frozenset({"secrets", "pods/*"}),
                names=("root-token",),
            ),
        ),
        conditions=Conditions(device_enrolled=False),
    )


def test_a_policy_without_rules_denies_everything(load, mistakes):
    assert load("rules: []") == AccessPolicySet(rules=())
    assert lines(mistakes) == []


def test_no_files_are_a_policy_without_rules(mistakes):
    assert load_access_policies([], mistakes) == AccessPolicySet(rules=())
    assert lines(mistakes) == []


def test_an_empty_file_is_a_mistake(tmp_path, mistakes):
    load_access_policies([write(tmp_path, "")], mistakes)

    assert lines(mistakes) == ["file.yaml: the file is empty"]


def test_one_mistake_leaves_no_rule_at_all(load, mistakes):
    """A caller that forgets to look at the mistakes must not run with half of the deny rules."""
    good = RULE.format(effect="allow", match="{verbs: [get], nonResourceURLs: [/version]}", more="")

    assert load(f"rules:\n{good}- {{}}\n") == AccessPolicySet(rules=())
    assert len(mistakes) == 1


def test_names_are_shared_by_all_files_and_documents(tmp_path, mistakes):
    contexts = write(
        tmp_path,
        f"{HEAD}networks: {{office: ['192.0.2.0/24']}}\nrules: []\n",
        "contexts.yaml",
    )
    more = RULE.format(
        effect="allow",
        match="{verbs: [get], nonResourceURLs: [/version]}",
        more=", conditions: {networks: [office]}",
    )
    rules = write(
        tmp_path,
        f"{HEAD.replace('test', 'one')}rules: []\n---\n{HEAD.replace('test', 'two')}rules:\n{more}",
        "rules.yaml",
    )

    policies = load_access_policies([rules, contexts], mistakes)

    assert lines(mistakes) == []
    assert policies.rules[0].conditions.networks[0].name == "office"


def test_a_name_is_used_once_over_all_files(tmp_path, mistakes):
    rule = RULE.format(effect="allow", match="{verbs: [get], nonResourceURLs: [/version]}", more="")
    text = f"""{HEAD}networks: {{office: ["192.0.2.0/24"]}}
calendars: {{all: {{timeZone: UTC, weekly: [{{days: [Mon], from: "00:00", to: "24:00"}}]}}}}
rules:
{rule}"""
    paths = [write(tmp_path, text, "a.yaml"), write(tmp_path, text, "b.yaml")]

    load_access_policies(paths, mistakes)

    assert lines(mistakes) == [
        f"b.yaml:3:18: policy test is already at {tmp_path}/a.yaml:3; choose another name",
        "b.yaml:4:12: network office is already defined in another document",
        "b.yaml:5:13: calendar all is already defined in another document",
        f"b.yaml:7:8: rule r is already at {tmp_path}/a.yaml:7; choose another name",
    ]


# One mistake a line; an indented line goes on with the one before it.
EXPECTED = """
1:13: "kzproxy.dev/v2" is not one of kzproxy.dev/v1; did you mean kzproxy.dev/v1?
3:18: "Test" is no name: use lower-case letters, digits, "-" and ".", beginning and
    ending with a letter or digit, 63 at most
4:1: unknown field network; did you mean networks?; allowed here: apiVersion, kind,
    metadata, rules, networks, calendars, conditions, tiers
6:12: 192.0.2.1/24 has bits set after its prefix; the network is 192.0.2.0/24
6:28: 192.0.2.1 needs a prefix length; write 192.0.2.1/32
6:39: 10.0.0.0/255.0.0.0 needs a prefix length; write 10.0.0.0/8
6:61: x is no address block; write it as "192.0.2.0/24" or "2001:db8::/32"
6:64: ::ffff:10.0.0.0/104 holds IPv4 addresses; write them as IPv4
7:12: an empty list could mean all or none; name address blocks
10:15: Europe/Praha is no IANA time zone, such as Europe/Prague or UTC; did you mean
    Europe/Prague?
12:15: "Mo" is not one of Mon, Tue, Wed, Thu, Fri, Sat, Sun; did you mean Mon?
12:31: YAML reads 9:00 as a number; write "9:00" in quotes
12:41: 24:01 is no time of day; write "HH:MM", 00:00 to 24:00, in quotes
13:14: an empty list could mean all or none; name days
13:24: 24:00 is no time of day; write "HH:MM", 00:00 to 23:59, in quotes
14:40: "from" and "to" are the same; a whole day is "00:00" to "24:00"
14:49: unknown field zone; allowed here: days, from, to
15:21: localtime is no IANA time zone, such as Europe/Prague or UTC
15:40: an empty list could mean all or none; name windows
17:7: "Rule One" is no name: use lower-case letters, digits, "-" and ".", beginning and
    ending with a letter or digit, 63 at most
18:11: "permit" is not one of allow, deny
19:13: name users, groups, serviceAccounts or spiffeIDs; for every signed-in user, groups:
    [system:authenticated]
20:10: an empty list could mean all or none; name a match
23:21: an empty list could mean all or none; name users
23:34: a subject is written out; for every signed-in user, groups:
    [system:authenticated]
23:39: nobody who comes here has this name, for it begins or ends with a blank
23:47: system:anonymous never comes here: requests without a credential are refused
    before
24:10: must be a list, not a mapping
25:15: name networks, countries, asns, time, device, authentication, session, workload, request,
    object, all, any or none, or leave them out
26:7: rule two is already at FILE:21; choose another name
28:47: "x" is no ServiceAccount; write "NAMESPACE/NAME"
30:5: apiGroups must be set here: name resources and their apiGroups ("" is the core
    group), or nonResourceURLs
31:5: apiGroups and resources must be set here: name resources and their apiGroups (""
    is the core group), or nonResourceURLs
32:13: an empty list could mean all or none; name verbs
32:28: an empty list could mean all or none; name apiGroups
32:43: an empty list could mean all or none; name resources
32:59: an empty list could mean all or none; name namespaces
32:70: an empty list could mean all or none; name names
33:27: offfice is not defined under networks; did you mean office?; defined: nowhere,
    office
33:51: x is not defined under calendars; defined: hours, never
33:74: a deny rule on enrolled devices is escaped by showing no certificate; write
    enrolled: false to deny every device that is not shown to be enrolled
34:12: must be one line of at most 500 characters
35:3: id, effect, subjects, match must be set here
"""


def test_every_mistake_has_its_place_and_all_come_at_once(tmp_path, mistakes):
    path = write(
        tmp_path,
        """
        apiVersion: kzproxy.dev/v2
        kind: AccessPolicy
        metadata: {name: Test}
        network: {}
        networks:
          office: ["192.0.2.1/24", 192.0.2.1, "10.0.0.0/255.0.0.0", x, "::ffff:10.0.0.0/104"]
          nowhere: []
        calendars:
          hours:
            timeZone: Europe/Praha
            weekly:
            - {days: [Mo, Tue], from: 9:00, to: "24:01"}
            - {days: [], from: "24:00", to: "08:00"}
            - {days: [Sun], from: "08:00", to: "08:00", zone: UTC}
          never: {timeZone: localtime, weekly: []}
        rules:
        - id: Rule One
          effect: permit
          subjects: {}
          match: []
        - id: two
          effect: allow
          subjects: {users: [], groups: ["*", " dev", "system:anonymous"]}
          match: {verbs: [get]}
          conditions: {}
        - id: two
          effect: deny
          subjects: {groups: [dev], serviceAccounts: [x]}
          match:
          - {verbs: [get], resources: [pods]}
          - {verbs: [get]}
          - {verbs: [], apiGroups: [], resources: [], namespaces: [], names: []}
          conditions: {networks: [offfice], time: [hours, x], device: {enrolled: true}}
          message: "two\\nlines"
        - {}
        """,
    )

    load_access_policies([path], mistakes)

    expected = EXPECTED.strip().replace("\n    ", " ").replace("FILE", str(path)).split("\n")
    assert lines(mistakes) == [f"file.yaml:{line}" for line in expected]


@pytest.mark.parametrize(
    ("written", "message"),
    [
        # Verbs
        ("{verbs: [GET], apiGroups: [''], resources: [pods]}", "did you mean get?"),
        ("{verbs: [post], apiGroups: [''], resources: [pods]}", "did you mean create?"),
        ("{verbs: [lst], apiGroups: [''], resources: [pods]}", "did you mean list?"),
        ("{verbs: [''], apiGroups: [''], resources: [pods]}", '"" is no verb'),
        ("{verbs: [use], apiGroups: [policy], resources: [x]}", "checks by RBAC"),
        ("{verbs: [impersonate], apiGroups: [''], resources: [users]}", "checks by RBAC"),
        ("{verbs: ['impersonate-on:user-info:get'], apiGroups: [''], resources: [x]}", "by RBAC"),
        ("{verbs: [list], nonResourceURLs: [/version]}", "HTTP method in lower case"),
        ("{verbs: [GET], nonResourceURLs: [/version]}", "did you mean get?"),
        # Verbs that a resource never has
        (
            "{verbs: [get], apiGroups: [''], resources: [pods/exec]}",
            "pods/exec is judged as verb connect, whatever the HTTP method, never as get; give it"
            " an entry of its own with verbs: [connect]",
        ),
        (
            "{verbs: [create, connect], apiGroups: [''], resources: [pods/attach]}",
            "verbs: [connect]",
        ),
        ("{verbs: [get], apiGroups: ['*'], resources: ['*/exec']}", "verbs: [connect]"),
        ("{verbs: [get], apiGroups: [''], resources: [services/proxy]}", "verbs: [proxy]"),
        ("{verbs: [connect], apiGroups: [''], resources: [nodes/proxy]}", "verbs: [proxy]"),
        ("{verbs: [connect], apiGroups: [''], resources: [pods]}", "pods never has the verb"),
        ("{verbs: [get, proxy], apiGroups: [''], resources: [pods/log]}", "pods/log never"),
        # Groups
        ("{verbs: [get], apiGroups: [apps/v1], resources: [deployments]}", "holds a version"),
        ("{verbs: [get], apiGroups: [v1], resources: [pods]}", "holds a version"),
        ("{verbs: [get], apiGroups: [core], resources: [pods]}", 'is written ""'),
        ("{verbs: [get], apiGroups: ['*.k8s.io'], resources: [pods]}", "is no API group"),
        # Resources
        ("{verbs: [get], apiGroups: [''], resources: [Pods]}", "is no resource"),
        ("{verbs: [get], apiGroups: [''], resources: ['deploy*']}", "is no resource"),
        ("{verbs: [get], apiGroups: [''], resources: [pods/log/x]}", "is no resource"),
        ("{verbs: [get], apiGroups: [''], resources: ['']}", "is no resource"),
        # Namespaces and names
        (
            "{verbs: [get], apiGroups: [''], resources: [pods], namespaces: ['']}",
            "leave namespaces",
        ),
        ("{verbs: [get], apiGroups: [''], resources: [pods], namespaces: [Dev]}", "no namespace"),
        (
            "{verbs: [get], apiGroups: [''], resources: [pods], names: ['a?']}",
            "no name of an object",
        ),
        ("{verbs: [get], apiGroups: [''], resources: [pods], names: ['']}", "no name of an object"),
        # URLs
        ("{verbs: [get], nonResourceURLs: [version]}", "must begin with /"),
        ("{verbs: [get], nonResourceURLs: ['/a*b']}", "one * at its end"),
        ("{verbs: [get], nonResourceURLs: ['/a?b']}", "plain path"),
        ("{verbs: [get], nonResourceURLs: ['/a%20b']}", "plain path"),
        ("{verbs: [get], nonResourceURLs: ['//a']}", "plain path"),
        ("{verbs: [get], nonResourceURLs: [/api/v1/pods]}", "is a resource request"),
        ("{verbs: [get], nonResourceURLs: ['/api/v1/*']}", "is a resource request"),
        ("{verbs: [get], nonResourceURLs: ['/apis/apps/v1/*']}", "is a resource request"),
        ("{verbs: [get], nonResourceURLs: [/version], namespaces: [dev]}", "entries of their own"),
        (
            "{verbs: [get], nonResourceURLs: [/version], apiGroups: [''], resources: [pods]}",
            "nonResourceURLs and apiGroups, resources need entries of their own",
        ),
        ("{apiGroups: [''], resources: [pods]}", "verbs must be set here"),
    ],
)
def test_a_match_that_cannot_be_meant_is_a_mistake(load_rule, mistakes, written, message):
    assert load_rule(written) == AccessPolicySet(rules=())

    assert len(mistakes) == 1
    assert message in messages(mistakes)[0]


@pytest.mark.parametrize(
    "written",
    [
        "{verbs: ['*'], apiGroups: ['*'], resources: ['*', '*/*', '*/exec', pods/exec, pods]}",
        "{verbs: [connect], apiGroups: [''], resources: [pods/exec, pods/attach, 'pods/*', '*']}",
        "{verbs: [proxy], apiGroups: [''], resources: [nodes/proxy, '*/proxy']}",
        "{verbs: [get, connect, proxy], apiGroups: [''], resources: ['pods/*']}",
        "{verbs: [get], apiGroups: ['*'], resources: ['*', '*/scale', external_metrics.x]}",
        "{verbs: [get], apiGroups: [''], resources: [x], names: ['system:node:*', a.b_C@d]}",
        "{verbs: [get, head, post, put, patch, delete], nonResourceURLs: ['*', /, '/api/*']}",
        "{verbs: ['*'], nonResourceURLs: [/api, /api/, /api/v1, '/apis/apps/v1*']}",
        "{verbs: [get], nonResourceURLs: [/api/v1/, /apis/apps/, /apis/apps/v1/]}",
    ],
)
@pytest.mark.parametrize("effect", ["allow", "deny"])
def test_what_can_be_meant_is_read(load_rule, mistakes, written, effect):
    policies = load_rule(written, effect=effect)

    assert messages(mistakes) == []
    assert len(policies.rules) == 1


@pytest.mark.parametrize(
    ("verbs", "is_right"),
    [("get, create", False), ("get, connect", False), ("'*'", True), ("connect", True)],
)
def test_a_deny_on_all_subresources_has_to_name_connections(load_rule, mistakes, verbs, is_right):
    written = f"{{verbs: [{verbs}], apiGroups: [''], resources: ['pods/*']}}"
    load_rule(written, effect="deny")

    assert (messages(mistakes) == []) is is_right


def test_an_allow_on_all_subresources_may_leave_connections_out(load_rule, mistakes):
    load_rule("{verbs: [get], apiGroups: [''], resources: ['pods/*']}")

    assert messages(mistakes) == []


@pytest.mark.parametrize(
    ("effect", "enrolled", "message"),
    [
        ("allow", "true", ""),
        ("deny", "false", ""),
        ("allow", "false", "an allow rule can ask for enrolled: true only"),
        ("deny", "true", "is escaped by showing no certificate"),
        ("allow", "yes", "must be true or false"),
    ],
)
def test_the_device_condition_is_one_that_nobody_escapes(
    load_rule, mistakes, effect, enrolled, message
):
    load_rule(
        "{verbs: [get], nonResourceURLs: [/version]}",
        effect=effect,
        more=f"conditions: {{device: {{enrolled: {enrolled}}}}}",
    )

    assert message in " ".join(messages(mistakes))
    assert bool(messages(mistakes)) is bool(message)


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ("approved", ""),
        ("pending", "this would never hold; write approved"),
        ("blocked", '"blocked" is not one of approved'),
        ("[pending]", "must be a string"),
    ],
)
def test_a_rule_asks_for_no_state_that_no_device_is_ever_shown_in(
    load_rule, mistakes, state, message
):
    load_rule(
        "{verbs: [get], nonResourceURLs: [/version]}",
        more=f"conditions: {{device: {{state: {state}}}}}",
    )

    assert message in " ".join(messages(mistakes))
    assert bool(messages(mistakes)) is bool(message)


@pytest.mark.parametrize("kind", ["users", "groups"])
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("oidc:J\u00fcrgen", ""),
        ("oidc:\u55b6\u696d\u3000\u90e8", ""),
        ("oidc:Ju\u0308rgen", "not in Unicode normal form C"),
        ("oidc:a\u200bb", "holds a control, format or direction character"),
        ("oidc:ann ", "ends with a blank"),
    ],
)
def test_a_rule_means_nobody_whom_authentication_would_refuse(load, mistakes, kind, name, message):
    match = "{verbs: [get], nonResourceURLs: [/version]}"
    load(f'rules: [{{id: r, effect: deny, subjects: {{{kind}: ["{name}"]}}, match: [{match}]}}]')

    assert message in " ".join(messages(mistakes))
    assert bool(messages(mistakes)) is bool(message)
    assert bool(name_fault(name)) is bool(message)


@pytest.mark.parametrize(
    ("pattern", "is_right"),
    [
        ("spiffe://example.org/ns/ci/*", True),
        ("spiffe://*/ns/ci/sa/x", True),
        ("*", True),
        ("example.org/ns/ci/*", False),
        ("SPIFFE://example.org/*", False),
        ("spiffe://Example.org/*", False),
        ("system:serviceaccount:ci:deployer", False),
    ],
)
def test_a_workload_is_asked_for_as_one_that_there_may_be(load_rule, mistakes, pattern, is_right):
    load_rule(
        "{verbs: [get], nonResourceURLs: [/version]}",
        effect="deny",
        more=f'conditions: {{workload: {{spiffeIDs: ["{pattern}"]}}}}',
    )

    assert messages(mistakes) == ([] if is_right else messages(mistakes)[:1])
    assert is_right or "fits no SPIFFE ID" in messages(mistakes)[0]


NAMESPACE = "/api/v1/namespaces/"


@pytest.mark.parametrize(
    ("groups", "method", "target", "is_permitted"),
    [
        ("", "GET", "/version", True),
        ("", "GET", f"{NAMESPACE}dev/pods", False),
        ("oidc:developers", "GET", f"{NAMESPACE}dev/pods", True),
        ("oidc:developers", "POST", f"{NAMESPACE}dev/pods/p/exec?command=sh", True),
        ("oidc:developers", "GET", f"{NAMESPACE}prod/pods", False),
        ("oidc:operators", "GET", f"{NAMESPACE}prod/pods", True),
        ("oidc:operators", "GET", f"{NAMESPACE}prod/pods/p/exec?command=sh", True),
        ("oidc:admins", "GET", "/api/v1/nodes", True),
        ("oidc:admins", "GET", "/api/v1/nodes/n/proxy/", False),
        ("oidc:admins", "GET", "/api/v1/secrets", False),
        ("oidc:admins", "GET", f"{NAMESPACE}prod/secrets/other", True),
    ],
)
def test_the_shipped_example_does_what_its_comments_say(
    mistakes, groups, method, target, is_permitted
):
    policies = load_access_policies([EXAMPLE], mistakes)
    mistakes.raise_if_any()
    request = asked(
        method, target, who=subject("ann", groups), device=ENROLLED, come_from="203.0.113.9"
    )

    assert isinstance(PolicyEngine(policies).decide(request), Permit) is is_permitted


@given(data=st.data())
def test_any_change_of_the_example_is_read_or_a_mistake(tmp_path_factory, data):
    """A line of the example is cut, doubled or has a piece replaced."""
    text = EXAMPLE.read_text().splitlines()
    number = data.draw(st.integers(0, len(text) - 1))
    piece = data.draw(st.sampled_from(["", "*", "x", "[]", "{}", "null", "0", '""', "deny", "get"]))
    start = data.draw(st.integers(0, len(text[number])))
    end = data.draw(st.integers(start, len(text[number])))
    text[number] = text[number][:start] + piece + text[number][end:]
    path = tmp_path_factory.mktemp("changed") / "policy.yaml"
    path.write_text("\n".join(text))
    mistakes = Mistakes()

    policies = load_access_policies([path], mistakes)

    assert len(mistakes) == 0 or policies == AccessPolicySet(rules=())
    PolicyEngine(policies).decide(asked("GET", "/api/v1/namespaces/dev/pods"))


@pytest.mark.parametrize(
    ("match", "has_object"),
    [
        ('{verbs: [get, list, watch, delete], apiGroups: [""], resources: [secrets]}', False),
        ('{verbs: [list], apiGroups: ["*"], resources: ["*"]}', False),
        ('{verbs: ["*"], nonResourceURLs: ["*"]}', False),
        ('{verbs: [get], apiGroups: [""], resources: [pods]}', True),
        ('{verbs: [connect], apiGroups: [""], resources: ["pods/*"]}', True),
        ("{verbs: [list, create], apiGroups: [apps], resources: [deployments]}", True),
    ],
)
@pytest.mark.parametrize("effect", ["allow", "deny"])
def test_a_rule_that_needs_objects_reaches_requests_that_have_one(
    load, mistakes, effect, match, has_object
):
    more = ", needs: [object], conditions: {object: {privileged: true}}"
    if effect == "deny" and "pods/*" in match:
        match = match.replace("connect", "connect, proxy")
    load("rules:\n" + RULE.format(effect=effect, match=match, more=more))

    found = [line for line in lines(mistakes) if "has an object to look at" in line]
    assert len(found) == (0 if has_object else 1)
    assert len(mistakes) == len(found)


@pytest.mark.parametrize(
    "asks", ["{device: {tier: good}}", "{when: 'device.tier >= 1'}", "{none: [first]}"]
)
def test_a_tier_does_not_ask_for_itself_by_a_named_condition(load, mistakes, asks):
    load(
        "conditions:\n"
        "  first: {device: {belowTier: good}}\n"
        f"  asks: {asks}\n"
        "tiers: [{level: 1, name: good, conditions: {any: [asks]}}]\n"
        "rules: []\n"
    )
    assert any("a tier cannot ask for a tier" in each for each in messages(mistakes))
