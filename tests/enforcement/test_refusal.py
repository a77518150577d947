import json
from datetime import timedelta

import pytest

from kzproxy.enforcement.refusal import denial
from kzproxy.errors.bearer_challenge import bearer_challenge
from kzproxy.errors.kinds import StepUpRequired
from kzproxy.errors.status import status_body
from kzproxy.policy.decision import Challenge, Deny
from kzproxy.policy.obligations import Obligations
from kzproxy.policy.rules import Conditions, Rule
from tests.policy.samples import OFFICE_HOURS, WEDNESDAY_MORNING, allow, asked, decide, deny, match

PODS = "/api/v1/namespaces/prod/pods"


def told(*rules: Rule, target: str = PODS, hours: float = 0) -> str:
    at = WEDNESDAY_MORNING + timedelta(hours=hours)
    decision = decide(rules, asked("GET", target, at=at))
    assert isinstance(decision, Deny)
    return denial(decision).message


def test_a_denial_begins_with_the_api_servers_own_sentence() -> None:
    assert told() == (
        'User "ann" cannot list resource "pods" in API group "" in the namespace "prod":'
        " no kzproxy rule allows it"
    )


def test_a_cluster_wide_request_and_a_url_are_named_as_such() -> None:
    assert 'resource "nodes" in API group "" at the cluster scope:' in told(target="/api/v1/nodes")
    assert told(target="/metrics").startswith('User "ann" cannot get path "/metrics": ')


def test_a_deny_rule_is_named_with_its_message() -> None:
    rule = deny("no-pods", match("*", "pods"), message="Ask the owners.")

    assert told(rule).endswith(": kzproxy rule no-pods denies this. Ask the owners.")


def test_an_allow_rule_that_nearly_matched_says_what_would_help() -> None:
    rule = allow("in-hours", match("list", "pods"), conditions=Conditions(time=(OFFICE_HOURS,)))
    said = told(rule, hours=12)

    assert "no kzproxy rule allows it as things are; rule in-hours wants time office-hours" in said
    assert "(opens Thu 07:00 Europe/Prague)" in said


def test_a_challenge_says_what_sign_in_is_wanted() -> None:
    rule = allow("fresh", match("list", "pods"), obligations=Obligations(reauth=timedelta(hours=1)))
    decision = decide([rule], asked("GET", PODS))
    assert isinstance(decision, Challenge)
    error = denial(decision)

    assert isinstance(error, StepUpRequired)
    assert (error.code, error.reason, error.max_age_seconds) == (401, "Unauthorized", 3600)
    assert error.message.startswith('User "ann" cannot list resource "pods"')
    assert "kzproxy asks for a sign-in that is fresher or stronger; rule fresh" in error.message
    assert error.command == "kzproxy login --max-age 1h"
    status = json.loads(status_body(error, "an-id"))
    assert {"reason": "StepUpRequired", "message": error.command} in status["details"]["causes"]


@pytest.mark.parametrize(
    ("error", "header"),
    [
        (
            StepUpRequired("sign in", acr_values=("a", "b"), max_age_seconds=0),
            'error_description="sign in", acr_values="a b", max_age="0"',
        ),
        (StepUpRequired('a "quoted"\\ ü\n'), "error_description=\"a 'quoted'' ''\""),
        (
            StepUpRequired("x", acr_values=('a"b', "c d", "e\r\nf", "g")),
            'error_description="x", acr_values="g"',
        ),
    ],
)
def test_the_header_holds_nothing_that_ends_it(error: StepUpRequired, header: str) -> None:
    expected = f'Bearer error="insufficient_user_authentication", {header}'
    assert bearer_challenge(error) == expected
