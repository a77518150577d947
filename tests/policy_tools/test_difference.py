"""What two policies differ in, and what is said of it, held against the engine."""

from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from kzproxy.config.access_policy import load_access_policies
from kzproxy.config.mistakes import Mistakes
from kzproxy.policy.decision import Permit
from kzproxy.policy.engine import PolicyEngine
from kzproxy.policy.revision import policy_revision
from kzproxy.policy_tools.difference import LIMITS_NOTE, difference
from kzproxy.policy_tools.rule_change import Became
from kzproxy.policy_tools.shift import Shift
from tests.policy_tools.asking import questions
from tests.policy_tools.policies import EVERYTHING, HEAD, PODS, rule
from tests.policy_tools.random_policies import DEFINITIONS, further_fields, matches, some

CONFIG = Path(__file__).parents[2] / "config"
SHIPPED = [CONFIG / "policy.yaml"] + [
    path for path in sorted(CONFIG.glob("policies/*.yaml")) if ".test." not in path.name
]


@pytest.fixture(scope="module")
def policy_of(tmp_path_factory):
    directory = tmp_path_factory.mktemp("policies")

    def load(rules, definitions=DEFINITIONS):
        path = directory / "policy.yaml"
        path.write_text(f"{HEAD}{definitions}rules:\n{rules}" if rules else f"{HEAD}rules: []\n")
        mistakes = Mistakes()
        policies = load_access_policies([path], mistakes)
        mistakes.raise_if_any()
        return policies

    return load


# Each changes one thing about DEFINITIONS, or nothing.
EDITS = [
    ("", ""),
    ('["192.0.2.0/24"]', '["192.0.2.0/24", "203.0.113.0/24"]'),
    ('["192.0.2.0/24"]', '["198.51.100.0/24"]'),
    ('to: "20:00"', 'to: "24:00"'),
    ('from: "07:00"', 'from: "12:00"'),
    ('    except: [{from: "2026-03-05", to: "2026-03-06"}]\n', ""),
    ("on-site: {networks: [office], time: [hours]}", "on-site: {networks: [office]}"),
    ("trusted: {device: {enrolled: true}}", "trusted: {authentication: {maxAge: 1h}}"),
    ("trusted: {device: {enrolled: true}}", "trusted: {when: 'authentication.acr == \"phr\"'}"),
    ("tiers:\n- {level: 1", "tiers:\n- {level: 2"),
    ("conditions: {device: {enrolled: true}}}\n", "when: 'authentication.acr == \"phr\"'}\n"),
    ("conditions: {device: {enrolled: true}}}\n", "conditions: {networks: [office]}}\n"),
]
SOMETIMES_UNKNOWN = DEFINITIONS.replace(
    "trusted: {device: {enrolled: true}}", "trusted: {when: 'authentication.acr == \"phr\"'}"
).replace(
    "conditions: {device: {enrolled: true}}}\n",
    "conditions: {device: {enrolled: true}}, when: 'authentication.acr == \"phr\"'}\n",
)


@st.composite
def parts_of_rules(draw, effect):
    return [draw(matches(effect)), draw(further_fields(effect)), draw(some(["g", "h"]))]


@st.composite
def edits(draw):
    """Strategy for two policies, text of rules and definitions, of which little differs."""
    old, new = [], []
    for number in range(draw(st.integers(1, 3))):
        effect = draw(st.sampled_from(["allow", "deny"]))
        parts = draw(parts_of_rules(effect))
        old.append((f"r{number}", effect, *parts))
        for place in draw(st.sampled_from([(), (0,), (1,), (2,)])):
            parts[place] = draw(parts_of_rules(effect))[place]
        new.append((f"r{number}", effect, *parts))
    if draw(st.integers(0, 4)) == 0:
        new.pop(draw(st.integers(0, len(new) - 1)))
    # What is denied by nobody's leave shows nothing.
    whole = rule("whole", "allow", EVERYTHING, groups='["system:authenticated"]')
    whole = draw(st.sampled_from([whole, whole, ""]))
    definitions = draw(st.sampled_from([DEFINITIONS, SOMETIMES_UNKNOWN]))
    before, after = draw(st.sampled_from(EDITS))
    return (
        ("".join(rule(*each) for each in old) + whole, definitions),
        ("".join(rule(*each) for each in new) + whole, definitions.replace(before, after)),
    )


@settings(max_examples=80)
@given(edit=edits(), asked=st.lists(questions(), min_size=15, max_size=25))
def test_nothing_is_permitted_or_refused_that_is_said_not_to_be(policy_of, edit, asked):
    (old_rules, old_definitions), (new_rules, new_definitions) = edit
    old, new = policy_of(old_rules, old_definitions), policy_of(new_rules, new_definitions)
    found = difference(old, new)
    was, is_now = PolicyEngine(old), PolicyEngine(new)
    for question in asked:
        before = isinstance(was.decide(question), Permit)
        after = isinstance(is_now.decide(question), Permit)
        assert after <= before or Shift.WIDER in found.access, question
        assert before <= after or Shift.NARROWER in found.access, question


@settings(max_examples=60)
@given(edit=edits())
def test_there_is_no_difference_exactly_where_the_revision_is_the_same(policy_of, edit):
    old, new = (policy_of(*each) for each in edit)

    assert difference(old, old).is_empty
    assert difference(old, new).is_empty is (policy_revision(old) == policy_revision(new))


@settings(max_examples=60)
@given(
    parts=st.lists(parts_of_rules("allow"), min_size=2, max_size=4),
    number=st.integers(0, 1),
    other=parts_of_rules("allow"),
)
def test_a_change_of_one_rule_names_that_rule_alone(policy_of, parts, number, other):
    old = [rule(f"r{place}", "allow", *each) for place, each in enumerate(parts)]
    new = [*old]
    new[number] = rule(f"r{number}", "allow", *other)
    found = difference(policy_of("".join(old)), policy_of("".join(new)))
    same = policy_revision(policy_of("".join(old))) == policy_revision(policy_of("".join(new)))

    assert [change.id for change in found.rules] == ([] if same else [f"r{number}"])
    assert found.definitions == ()


def shuffled(value):
    """Return the same policy with every list and mapping the other way round, but for rules."""
    if isinstance(value, dict):
        turned = {key: shuffled(inner) for key, inner in reversed(list(value.items()))}
        return turned | ({"rules": turned["rules"][::-1]} if "rules" in turned else {})
    return [shuffled(each) for each in reversed(value)] if isinstance(value, list) else value


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_another_spelling_and_order_is_no_difference_and_no_other_revision(tmp_path, path):
    other = tmp_path / "other.yaml"
    documents = [shuffled(each) for each in yaml.safe_load_all(path.read_text())]
    for each in documents:
        # A condition and a tier may use the conditions before them.
        if "conditions" in each:
            each["conditions"] = dict(reversed(list(each["conditions"].items())))
    other.write_text("# Said otherwise.\n" + yaml.safe_dump_all(documents, sort_keys=False))
    old, new = (load_access_policies([each], Mistakes()) for each in (path, other))

    assert old.rules
    assert difference(old, new).is_empty
    assert policy_revision(old) == policy_revision(new)


def only(found):
    (change,) = found.rules
    return change


OFFICE = "conditions: {networks: [office]}"


@pytest.mark.parametrize(
    ("effect", "before", "after", "access"),
    [
        ("allow", (PODS, ""), (EVERYTHING, ""), Shift.WIDER),
        ("deny", (PODS, ""), (EVERYTHING, ""), Shift.NARROWER),
        ("allow", (EVERYTHING, ""), (EVERYTHING, OFFICE), Shift.NARROWER),
        ("deny", (EVERYTHING, ""), (EVERYTHING, OFFICE), Shift.WIDER),
        ("allow", (PODS, OFFICE), (EVERYTHING, "conditions: {time: [hours]}"), Shift.EITHER),
        ("allow", (PODS, ""), (PODS, "when: 'user.name == \"ann\"'"), Shift.NARROWER),
        # Where it fails the deny rule denies, but it denied anyway.
        ("deny", (PODS, ""), (PODS, "when: 'user.name == \"ann\"'"), Shift.WIDER),
        # Where it fails the deny rule denies outside the office too.
        ("deny", (PODS, OFFICE), (PODS, f"{OFFICE}, when: 'user.name == \"a\"'"), Shift.EITHER),
        (
            "allow",
            (PODS, "when: 'user.name == \"ann\"'"),
            (PODS, "when: 'user.name != \"ann\"'"),
            Shift.EITHER,
        ),
        (
            "allow",
            (PODS, "conditions: {any: [on-site]}"),
            (PODS, "conditions: {any: [trusted, on-site]}"),
            Shift.WIDER,
        ),
        (
            "deny",
            (PODS, "conditions: {none: [on-site]}"),
            (PODS, "conditions: {none: [trusted, on-site]}"),
            Shift.WIDER,
        ),
        (
            "allow",
            (PODS, "obligations: {mfa: {classes: [phr], maxAge: 1h}}"),
            (PODS, "obligations: {mfa: {classes: [phr, phrh], maxAge: 2h}}"),
            Shift.WIDER,
        ),
        (
            "allow",
            (PODS, "obligations: {idle: 1h}"),
            (PODS, "obligations: {idle: 5m}"),
            Shift.NARROWER,
        ),
        ("allow", (PODS, "message: a"), (PODS, "message: b"), Shift.NONE),
        (
            "allow",
            ('{verbs: [get, list], apiGroups: [""], resources: [pods, secrets]}', ""),
            (
                '{verbs: [list, get], apiGroups: [""], resources: [secrets]}, '
                '{verbs: ["*"], apiGroups: [""], resources: [pods]}',
                "",
            ),
            Shift.WIDER,
        ),
        (
            "allow",
            (PODS.replace("}", ", namespaceSelector: {matchLabels: {env: dev}}}"), ""),
            (PODS.replace("}", ", namespaceSelector: {matchLabels: {env: dev, a: b}}}"), ""),
            Shift.NARROWER,
        ),
        (
            "deny",
            ('{verbs: ["*"], apiGroups: [""], resources: ["*", "!pods"]}', ""),
            ('{verbs: ["*"], apiGroups: [""], resources: ["*"]}', ""),
            Shift.NARROWER,
        ),
        (
            "allow",
            ('{verbs: [proxy], apiGroups: [""], resources: [nodes/proxy]}', ""),
            # No wildcard of an allow rule reaches it.
            ('{verbs: ["*"], apiGroups: ["*"], resources: ["*"]}', ""),
            Shift.EITHER,
        ),
        (
            "deny",
            (PODS, "needs: [object], conditions: {object: {privileged: true}}"),
            (PODS, "needs: [object], patches: allow, conditions: {object: {privileged: true}}"),
            Shift.WIDER,
        ),
        (
            "allow",
            (PODS, "needs: [object], conditions: {object: {images: ['a/*']}}"),
            (PODS, "needs: [object], conditions: {object: {images: ['a/*', 'b/*']}}"),
            Shift.WIDER,
        ),
        (
            "allow",
            (PODS, "conditions: {workload: {spiffeIDs: ['spiffe://a.org/x/*']}}"),
            (PODS, "conditions: {workload: {spiffeIDs: ['spiffe://a.org/*']}}"),
            Shift.WIDER,
        ),
        (
            "allow",
            (PODS, "conditions: {request: {dryRun: true}}"),
            (PODS, "conditions: {request: {dryRun: false}}"),
            Shift.EITHER,
        ),
        # A star alone is read unlike other globs: only it hides all namespaces from a list.
        (
            "deny",
            ('{verbs: ["*"], apiGroups: [""], resources: ["*"], namespaces: ["*"]}', ""),
            ('{verbs: ["*"], apiGroups: [""], resources: ["*"], namespaces: ["**"]}', ""),
            Shift.WIDER,
        ),
    ],
)
def test_what_a_change_can_do_is_told(policy_of, effect, before, after, access):
    old, new = (policy_of(rule("r", effect, *each)) for each in (before, after))

    found = difference(old, new)
    assert found.access is access
    assert only(found).became is Became.CHANGED
    assert only(found).access is access
    assert Shift.NONE not in {f.access for f in only(found).fields} or access is Shift.NONE


@pytest.mark.parametrize(("effect", "access"), [("allow", Shift.WIDER), ("deny", Shift.NARROWER)])
def test_what_comes_or_goes_is_told_with_all_that_it_says(policy_of, effect, access):
    one, both = policy_of(""), policy_of(rule("r", effect, PODS))
    come, gone = difference(one, both), difference(both, one)

    assert (only(come).became, come.access) == (Became.ADDED, access)
    assert (only(gone).became, gone.access) == (Became.REMOVED, access.reversed)
    assert {field.path for field in only(come).fields} == {"effect", "subjects.groups", "match[0]"}


@pytest.mark.parametrize(
    ("edit", "name", "users", "access"),
    [
        (EDITS[1], ("networks", "office"), ("by-name", "here", "cel"), Shift.EITHER),
        (EDITS[3], ("calendars", "hours"), ("by-name",), Shift.WIDER),
        (EDITS[4], ("calendars", "hours"), ("by-name",), Shift.NARROWER),
        (EDITS[6], ("conditions", "on-site"), ("by-name",), Shift.WIDER),
        (EDITS[11], ("tiers", "1"), ("tier",), Shift.EITHER),
    ],
)
def test_a_definition_names_the_rules_that_it_reaches(policy_of, edit, name, users, access):
    rules = (
        rule("by-name", "allow", PODS, "conditions: {all: [on-site]}")
        + rule("here", "allow", PODS, OFFICE)
        + rule("cel", "allow", PODS, "when: '\"office\" in source.networks'")
        + rule("tier", "allow", PODS, "conditions: {device: {tier: 1}}")
        + rule("none", "allow", PODS)
    )
    found = difference(policy_of(rules), policy_of(rules, DEFINITIONS.replace(*edit)))
    (definition,) = found.definitions

    assert (definition.name, definition.rules) == (name, users)
    assert tuple(change.id for change in found.rules) == users
    assert {change.became for change in found.rules} == {Became.REACHED}
    assert {change.through for change in found.rules} == {(name,)}
    assert found.access is access


def test_an_expression_that_reads_a_whole_list_is_reached_by_all_of_it(policy_of):
    rules = rule("r", "allow", PODS, "when: 'size(source.networks) > 0'")
    new = policy_of(rules, DEFINITIONS.replace("networks: {", 'networks: {lab: ["10.0.0.0/8"], '))

    found = difference(policy_of(rules), new)
    assert [each.rules for each in found.definitions] == [("r",)]
    assert found.access is Shift.EITHER


def test_a_rule_that_is_only_called_otherwise_is_renamed(policy_of):
    found = difference(policy_of(rule("a", "allow", PODS)), policy_of(rule("b", "allow", PODS)))

    assert (only(found).became, only(found).was, only(found).id) == (Became.RENAMED, "a", "b")
    assert found.access is Shift.NONE


def test_the_order_counts_among_rules_of_one_effect(policy_of):
    a, b = rule("a", "allow", PODS), rule("b", "allow", PODS, "obligations: {idle: 5m}")
    never = rule("never", "deny", PODS)
    apart = difference(policy_of(a + b + never), policy_of(never + a + b))
    swapped = difference(policy_of(a + b + never), policy_of(b + a + never))

    assert apart.is_empty
    assert [(change.became, change.is_moved) for change in swapped.rules] == [(Became.MOVED, True)]
    assert swapped.access is Shift.NONE
    assert swapped.notes == (LIMITS_NOTE,)


def test_a_rule_that_turns_round_goes_one_way_alone(policy_of):
    allow, deny = policy_of(rule("r", "allow", PODS)), policy_of(rule("r", "deny", PODS, OFFICE))

    assert difference(allow, deny).access is Shift.NARROWER
    assert difference(deny, allow).access is Shift.WIDER


def test_objects_beside_other_conditions_of_a_deny_rule_cannot_be_told(policy_of):
    """An object that is not known makes the rule deny, whatever its other conditions say."""
    asks = "needs: [object], conditions: {object: {privileged: true}%s}"
    named = DEFINITIONS.replace("trusted: {device: {enrolled: true}}", "trusted: {object: {%s}}")
    definitions = named % "privileged: true"
    plain = policy_of(rule("r", "deny", PODS, asks % ""), definitions)
    office = policy_of(rule("r", "deny", PODS, asks % ", networks: [office]"), definitions)
    both = policy_of(rule("r", "deny", PODS, asks % ", all: [trusted]"), definitions)

    assert difference(plain, office).access is Shift.WIDER
    assert difference(plain, both).access is Shift.EITHER
