"""An explanation says what the engine does, and what it advises works."""

from datetime import UTC, datetime

from kzproxy.policy.decision import Cause
from kzproxy.policy_tools.asked import Asked, attributes_of
from kzproxy.policy_tools.change_candidates import ChangeKind
from kzproxy.policy_tools.explain import explain_decision
from tests.policy_tools.policies import EVERYTHING, PODS, loaded, rule, text_of, written
from tests.policy_tools.random_policies import NETWORKS


def asked(**more):
    fields = {
        "verb": "get",
        "resource": "pods",
        "name": "web",
        "namespace": "dev",
        "user": "ann",
        "groups": ("g",),
        "spiffe_id": "",
        "signed_in": "",
        "authentication_class": "",
        "methods": (),
        "device_enrolled": False,
        "source": "203.0.113.7",
        "at": datetime(2026, 3, 4, 9, tzinfo=UTC),
        "reason": "",
    }
    return attributes_of(Asked(**{**fields, **more}))


def explained(path, attributes):
    return explain_decision(loaded(path), text_of(path), attributes)


def test_the_first_condition_that_fails_is_named_with_what_was_found(tmp_path):
    both = "conditions: {networks: [office], device: {enrolled: true}}"
    path = written(tmp_path, rule("a", "allow", PODS, both), NETWORKS)
    (reading,) = explained(path, asked()).rules
    assert reading.first_failed.name == "networks"
    assert reading.first_failed.found == "203.0.113.7, in none of the networks"
    assert [part.holds for part in reading.parts] == [True, True, False, False]


def test_what_would_change_the_answer_is_the_least_that_does(tmp_path):
    both = "conditions: {networks: [office], device: {enrolled: true}}"
    path = written(tmp_path, rule("a", "allow", PODS, both), NETWORKS)
    (change,) = explained(path, asked()).changes
    assert change.kinds == (ChangeKind.DEVICE, ChangeKind.NETWORK)
    (change,) = explained(path, asked(device_enrolled=True)).changes
    assert change.text == "come from network office"


def test_a_group_is_advised_only_where_nothing_else_helps(tmp_path):
    rules = rule("a", "allow", PODS, "conditions: {device: {enrolled: true}}")
    rules += rule("b", "allow", PODS, groups="[h]")
    path = written(tmp_path, rules)
    (change,) = explained(path, asked()).changes
    assert change.kinds == (ChangeKind.DEVICE,)
    changes = explained(path, asked(groups=())).changes
    assert [change.text for change in changes] == ["be made a member of h"]


def test_the_part_of_a_match_that_does_not_fit_is_named(tmp_path):
    match = '{verbs: [get], apiGroups: [""], resources: [pods], namespaces: [prod]}'
    (reading,) = explained(written(tmp_path, rule("a", "allow", match)), asked()).rules
    assert reading.first_failed.wanted == {"namespaces": ["prod"]}


def test_what_nothing_changes_has_no_advice(tmp_path):
    rules = rule("a", "allow", PODS) + rule("d", "deny", PODS)
    assert explained(written(tmp_path, rules), asked()).changes == ()


def test_obligations_are_shown_met_and_unmet_with_what_meets_them(tmp_path):
    more = "obligations: {mfa: {maxAge: 1h, classes: [phr]}, reason: required, idle: 5m}"
    path = written(tmp_path, rule("a", "allow", PODS, more))
    explanation = explained(path, asked(signed_in="2h"))
    (reading,) = explanation.rules
    assert (reading.met, reading.unmet) == (("idle",), ("mfa", "reason"))
    (change,) = explanation.changes
    assert change.kinds == (ChangeKind.SIGN_IN, ChangeKind.REASON)
    assert change.text == (
        "sign in again with class phr (kzproxy login --acr phr),"
        " and give a reason (kzproxy reason ...)"
    )


def test_the_next_opening_of_a_calendar_is_named(tmp_path):
    calendars = (
        "calendars:\n  hours:\n    timeZone: Europe/Prague\n    weekly:\n"
        '    - {days: [Mon, Tue], from: "07:00", to: "20:00"}\n'
        '    except: [{from: "2026-03-09", to: "2026-03-10"}]\n'
    )
    path = written(tmp_path, rule("a", "allow", PODS, "conditions: {time: [hours]}"), calendars)
    (change,) = explained(path, asked()).changes
    assert change.text == "wait until 2026-03-10T06:00+00:00"


def test_an_expression_is_shown_with_whether_it_holds(tmp_path):
    path = written(tmp_path, rule("a", "allow", PODS, 'when: request.name == "db"'))
    (reading,) = explained(path, asked()).rules
    assert reading.first_failed.name == "when"
    assert reading.first_failed.wanted == 'request.name == "db"'


def test_what_cannot_be_judged_says_why(tmp_path):
    more = 'needs: [object], when: "object.privileged"'
    enter = '{verbs: [connect], apiGroups: [""], resources: [pods/exec]}'
    path = written(tmp_path, rule("a", "allow", enter, more))
    question = asked(verb="connect", resource="pods/exec")
    (reading,) = explained(path, question).rules
    assert reading.first_failed.name == "when"
    assert reading.first_failed.error


def test_each_part_of_an_expression_is_shown_with_its_value(tmp_path):
    when = 'when: \'request.name == "db" && authentication.acr == "phr"\''
    (reading,) = explained(written(tmp_path, rule("a", "allow", PODS, when)), asked()).rules
    values = reading.first_failed.values
    assert (values.value, [part.value for part in values.parts]) == ("false", ["false", ""])
    assert values.parts[1].error == "cannot be told: authentication.acr is not known"


def test_a_deny_rule_that_cannot_be_judged_says_so(tmp_path):
    when = "when: 'authentication.acr == \"weak\"'"
    rules = rule("a", "allow", PODS) + rule("d", "deny", PODS, when)
    explanation = explained(written(tmp_path, rules), asked())
    assert explanation.decision.cause is Cause.RULE_ERROR
    assert [bool(reading.error) for reading in explanation.rules] == [False, True]
    assert explanation.standing.denies == ("d",)
    assert not explanation.standing.needs_allow


def test_several_rules_that_stand_against_it_are_all_named(tmp_path):
    rules = rule("near", "allow", PODS, "conditions: {device: {enrolled: true}}")
    rules += rule("d", "deny", EVERYTHING) + rule("e", "deny", PODS)
    standing = explained(written(tmp_path, rules), asked()).standing
    assert (standing.denies, standing.needs_allow, standing.nearest) == (("d", "e"), True, "near")
    assert standing.is_several


def test_a_network_of_which_a_part_is_denied_is_advised_with_an_address(tmp_path):
    networks = 'networks: {office: ["192.0.2.0/24"], lab: ["192.0.2.0/25"]}\n'
    rules = rule("a", "allow", PODS, "conditions: {networks: [office]}")
    path = written(tmp_path, rules, networks)
    texts = [change.text for change in explained(path, asked()).changes]
    assert texts == ["come from network office", "come from network lab"]
    rules += rule("d", "deny", PODS, "conditions: {networks: [lab]}")
    path = written(tmp_path, rules, networks)
    texts = [change.text for change in explained(path, asked()).changes]
    assert texts == ["come from network office, such as from 192.0.2.128"]


def test_a_dry_run_is_advised_where_it_helps(tmp_path):
    delete = '{verbs: [delete], apiGroups: [""], resources: [pods]}'
    path = written(tmp_path, rule("a", "allow", delete, "obligations: {dryRunOnly: true}"))
    (change,) = explained(path, asked(verb="delete")).changes
    assert change.text == "make it a dry run (kubectl --dry-run=server)"
    assert explained(path, asked(verb="delete", dry_run=True)).changes == ()


def test_named_conditions_and_tiers_are_shown_with_what_they_came_to(tmp_path):
    definitions = (
        f"{NETWORKS}conditions: {{on-site: {{networks: [office]}}, known: {{device: {{enrolled:"
        " true}}}\ntiers: [{level: 1, name: known, conditions: {all: [known]}}]\n"
    )
    asks = "conditions: {device: {tier: 1}, any: [on-site, known]}"
    path = written(tmp_path, rule("a", "allow", PODS, asks), definitions)
    (reading,) = explained(path, asked()).rules
    found = {part.name: part.found for part in reading.parts}
    assert found["any"] == "on-site does not hold, known cannot be told"
    assert found["device"].startswith("tier 0; enrolment unknown")


def test_a_command_is_shown_by_its_first_word_alone(tmp_path):
    enter = '{verbs: [connect], apiGroups: [""], resources: [pods/exec]}'
    more = 'conditions: {request: {commands: ["sh *"]}}'
    question = asked(verb="connect", resource="pods/exec", command=("psql", "hunter2"))
    path = written(tmp_path, rule("a", "allow", enter, more))
    (reading,) = explained(path, question).rules
    assert "psql (and 1 more words" in reading.first_failed.found
    assert "hunter2" not in repr(reading)
