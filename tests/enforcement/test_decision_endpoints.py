"""Who is told of a decision, and what: nothing that the record or the policy does not say."""

import asyncio
from datetime import datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from kzproxy.attributes.attributes import Attributes
from kzproxy.attributes.identity import Identity
from kzproxy.audit.past_decisions import PastDecisions
from kzproxy.audit.recent import RecentRefusals
from kzproxy.audit.records import (
    Arrival,
    Caller,
    decision_record,
    own_record,
    recorded_caller,
    recorded_request,
    refusal_record,
)
from kzproxy.audit.schema import CompletedRecord, DecisionRecord, Termination
from kzproxy.audit.search import Found
from kzproxy.enforcement.decision_endpoints import DecisionsEndpoint, Judgement, is_of
from kzproxy.enforcement.own_endpoints import Asked
from kzproxy.enforcement.refusal import denial
from kzproxy.enforcement.told_decision import UNKNOWN, DecisionExplanation, Outlook, told
from kzproxy.errors.kinds import NotServed, ProxyError, TooManyRequests, Unauthenticated
from kzproxy.policy.decision import Permit
from kzproxy.policy.engine import PolicyEngine
from kzproxy.policy.obligations import Obligations
from kzproxy.policy.rules import AccessPolicySet, Conditions, ObjectFeatures, Rule
from tests.authentication.manual_clock import ManualClock
from tests.policy.samples import (
    OFFICE,
    OFFICE_HOURS,
    WEDNESDAY_MORNING,
    allow,
    asked,
    deny,
    match,
    subject,
)

AUDIT_ID = "2b1c7c0e-6a64-4f3e-9c0b-7d0f5a1b2c3d"
PODS = "/api/v1/namespaces/prod/pods"
ANY_PODS = match("*", "pods")
EVENING = WEDNESDAY_MORNING + timedelta(hours=12)


def judgement(*rules: Rule, now: datetime = WEDNESDAY_MORNING) -> Judgement:
    policies = AccessPolicySet(rules=rules, networks=(OFFICE,))
    clock = ManualClock()
    clock.jump(now - clock.now())
    return Judgement(engine=PolicyEngine(policies), policies=policies, clock=clock)


def arrival(attributes: Attributes) -> Arrival:
    return Arrival(
        audit_id=AUDIT_ID,
        received_at=attributes.environment.received_at,
        source_address=attributes.environment.source_address,
        source_port=50123,
    )


def recorded(judged: Judgement, attributes: Attributes) -> DecisionRecord:
    decision = judged.engine.decide(attributes)
    message = denial(decision).message if not isinstance(decision, Permit) else ""
    return decision_record(
        decision,
        arrival(attributes),
        decided_at=attributes.environment.received_at,
        caller=recorded_caller(attributes.subject, attributes.device, "s-1"),
        request=recorded_request(attributes.request, arrival(attributes)),
        message=message,
    )


def refused(error: ProxyError) -> DecisionRecord:
    attributes = asked("GET", PODS)
    caller = Caller(identity=subject(), request=attributes.request)
    at = WEDNESDAY_MORNING
    return refusal_record(error, arrival(attributes), decided_at=at, caller=caller)


def explained(
    *rules: Rule, target: str = PODS, method: str = "GET", at: datetime = WEDNESDAY_MORNING
) -> DecisionExplanation:
    judged = judgement(*rules, now=at)
    record = recorded(judged, asked(method, target, at=at))
    found = Found(decision=record)
    return told(found, judged.outlook(record), revision=judged.engine.revision)


def test_a_refusal_by_no_rule_says_whom_to_ask() -> None:
    answer = explained()
    assert (answer.answer, answer.cause) == ("denied", "no-rule")
    assert answer.failed == "no rule means you and this request"
    assert answer.message.startswith('User "ann" cannot list resource "pods"')
    assert answer.to_do is not None
    assert "ask whoever runs kzproxy for access" in answer.to_do.text


def test_a_challenge_names_the_sign_in_and_its_command() -> None:
    rule = allow("a", ANY_PODS, obligations=Obligations(reauth=timedelta(minutes=5)))
    answer = explained(rule)
    assert (answer.answer, answer.cause, answer.unmet) == ("challenged", "sign-in", ("reauth",))
    assert answer.failed.startswith("rule a asks for a sign-in at most 5m old")
    assert answer.to_do is not None
    (step,) = answer.to_do.steps
    assert (step.kind, step.command) == ("sign-in", "kzproxy login --max-age 5m")


def test_a_condition_says_what_was_wanted_and_what_there_was() -> None:
    answer = explained(allow("a", ANY_PODS, conditions=Conditions(networks=(OFFICE,))))
    assert answer.failed == "rule a wants network office (you come from 192.0.2.7)"
    assert answer.to_do is not None
    assert answer.to_do.text == "come from network office"


def test_time_alone_is_told_with_its_end() -> None:
    answer = explained(
        allow("a", ANY_PODS, conditions=Conditions(time=(OFFICE_HOURS,))), at=EVENING
    )
    assert answer.to_do is not None
    assert answer.to_do.text == "wait until 2026-01-15T06:00:00Z"
    assert answer.to_do.allowed_from == datetime.fromisoformat("2026-01-15T06:00:00Z")
    assert answer.to_do.allowed_until == datetime.fromisoformat("2026-01-15T19:00:00Z")


@pytest.mark.parametrize(
    ("obligations", "names", "text"),
    [
        (Obligations(reason=True), ("reason",), "give a reason"),
        (Obligations(read_only=True), ("readOnly",), "changes are not"),
        (Obligations(dry_run_only=True), ("dryRunOnly",), "--dry-run=server"),
        (Obligations(bound=True), ("bound",), "bound to your client certificate"),
        (Obligations(reason=True, bound=True), ("reason", "bound"), "ask whoever runs kzproxy"),
    ],
)
def test_obligations_are_named_with_what_meets_them(
    obligations: Obligations, names: tuple[str, ...], text: str
) -> None:
    answer = explained(allow("a", ANY_PODS, obligations=obligations), method="POST")
    assert (answer.cause, answer.unmet) == ("obligation", names)
    assert answer.to_do is not None
    assert text in answer.to_do.text


def test_a_deny_rule_is_nothing_to_get_around() -> None:
    rules = allow("a", ANY_PODS), deny("d", ANY_PODS, message="Not here.")
    answer = explained(*rules)
    assert answer.rule == "d"
    assert answer.failed.endswith("Not here.")
    assert answer.to_do is not None
    assert answer.to_do.steps == ()


def test_what_is_allowed_by_now_is_said_to_be() -> None:
    rules = (allow("a", ANY_PODS, conditions=Conditions(time=(OFFICE_HOURS,))),)
    then = judgement(*rules)
    record = recorded(then, asked("GET", PODS, at=EVENING))
    outlook = judgement(*rules, now=EVENING + timedelta(hours=9)).outlook(record)
    answer = told(Found(decision=record), outlook, revision=then.engine.revision)

    assert answer.to_do is not None
    assert answer.to_do.allowed_now
    assert answer.to_do.text == "do it again: it would be allowed now"


def test_another_policy_is_said_to_be_in_force() -> None:
    record = recorded(judgement(), asked("GET", PODS))
    now = judgement(allow("a", ANY_PODS))
    answer = told(Found(decision=record), now.outlook(record), revision=now.engine.revision)

    assert answer.policy_has_changed
    assert answer.to_do is not None
    assert answer.to_do.allowed_now


def test_nothing_is_said_of_what_the_record_does_not_hold() -> None:
    features = Conditions(api_object=ObjectFeatures(privileged=False))
    judged = judgement(allow("a", ANY_PODS, conditions=features))
    record = recorded(judged, asked("GET", f"{PODS}/p/exec?command=id"))
    assert judged.outlook(record) == UNKNOWN

    cut = msgspec.structs.replace(
        record, user=msgspec.structs.replace(record.user, groups_omitted=3)
    )
    assert judgement().outlook(cut) == UNKNOWN
    # A record that this policy cannot have led to rests on something that is not in it.
    other = msgspec.structs.replace(recorded(judgement(), asked("GET", PODS)), rule="another")
    assert judgement().outlook(other) == UNKNOWN


def test_what_was_refused_before_policy_has_its_own_words() -> None:
    def answer(error: ProxyError) -> DecisionExplanation:
        record = refused(error)
        return told(Found(decision=record), judgement().outlook(record), revision="r")

    too_many = answer(TooManyRequests("enough"))
    assert (too_many.answer, too_many.failed) == ("refused", "enough")
    assert not too_many.policy_has_changed
    assert too_many.to_do is not None
    assert "try again later" in too_many.to_do.text
    bound = answer(Unauthenticated("bound to another certificate"))
    assert bound.to_do is not None
    assert bound.to_do.steps[0].command == "kzproxy login"


@pytest.mark.parametrize(
    ("status_code", "message", "failed", "advised"),
    [
        (200, "", "", False),
        (404, "", "kzproxy permitted it; kube-apiserver answered 404", False),
        (403, "", "kube-apiserver refused it, by its own RBAC", True),
        (200, "access ended by kzproxy", "access ended by kzproxy", False),
        (None, "", "", False),
    ],
)
def test_what_was_permitted_says_how_it_ended(
    status_code: int | None, message: str, failed: str, *, advised: bool
) -> None:
    record = recorded(judgement(allow("a", ANY_PODS)), asked("GET", PODS))
    outcome = CompletedRecord(
        ts=WEDNESDAY_MORNING,
        audit_id=AUDIT_ID,
        termination=Termination.NORMAL,
        status_code=status_code,
        message=message,
    )
    answer = told(Found(decision=record, outcome=outcome), Outlook(), revision="r")
    assert (answer.answer, answer.rule) == ("allowed", "a")
    assert failed in answer.failed
    assert bool(answer.failed) == bool(failed)
    assert (answer.to_do is not None) == advised


def test_a_request_for_an_own_endpoint_is_told_too() -> None:
    attributes = asked("GET", "/kzproxy.dev/v1/reason")
    record = own_record(
        "asks for the reason",
        arrival(attributes),
        decided_at=WEDNESDAY_MORNING,
        caller=recorded_caller(attributes.subject, attributes.device, "s-1"),
        request=recorded_request(attributes.request, arrival(attributes)),
    )
    answer = told(Found(decision=record), UNKNOWN, revision="r")
    assert (answer.answer, answer.cause) == ("allowed", "own-endpoint")
    assert not answer.policy_has_changed


NAMES = st.text(min_size=1, max_size=4) | st.sampled_from(["a\n", "a\\n", "x" * 1030, "x" * 1031])


@given(st.tuples(NAMES, NAMES, NAMES, NAMES), st.tuples(NAMES, NAMES, NAMES, NAMES))
def test_a_record_is_never_anothers(one: tuple[str, ...], other: tuple[str, ...]) -> None:
    record = recorded(judgement(), asked("GET", PODS, who=identity(one)))
    if one != other:
        assert not is_of(identity(other), record)
    elif all(text.isprintable() and "\\" not in text and len(text) < 9 for text in one):
        assert is_of(identity(one), record)


def identity(parts: tuple[str, ...]) -> Identity:
    username, issuer, name, uid = parts
    return replace(subject(), username=username, issuer=issuer, subject=name, uid=uid)


def test_nobodys_request_is_no_ones() -> None:
    record = refusal_record(
        Unauthenticated("no"), arrival(asked("GET", PODS)), decided_at=WEDNESDAY_MORNING
    )
    assert not is_of(subject(), record)


def question(rest: str, who: Identity, **fields: object) -> Asked:
    known = {"method": "GET", "query": (), "body": b"", "session_id": "s", "audit_id": "mine"}
    given_ = {"received_at": WEDNESDAY_MORNING, "identity": who, "rest": rest}
    return Asked(**known | given_ | fields)  # type: ignore[arg-type]


def test_an_endpoint_answers_the_owner_and_nobody_else() -> None:
    judged = judgement()
    record = recorded(judged, asked("GET", PODS))
    recent = RecentRefusals()
    recent.keep(AUDIT_ID, msgspec.json.encode(record))
    endpoint = DecisionsEndpoint(PastDecisions(recent, None), judged)

    answer = asyncio.run(endpoint.answer(question(AUDIT_ID, subject())))
    assert answer.audit_id == AUDIT_ID
    said = set()
    for asked_for, who in (
        (AUDIT_ID, subject("bob")),
        ("00000000-0000-4000-8000-000000000000", subject()),
    ):
        with pytest.raises(NotServed) as refusal:
            asyncio.run(endpoint.answer(question(asked_for, who)))
        said.add(refusal.value.message)
    for rest in ("", "x", AUDIT_ID.upper(), f"{AUDIT_ID}/more", f"{AUDIT_ID}\n"):
        with pytest.raises(NotServed) as refusal:
            endpoint.plan(question(rest, subject()))
        said.add(refusal.value.message)
    assert len(said) == 1
    with pytest.raises(NotServed):
        endpoint.plan(question(AUDIT_ID, subject(), query=(("a", "b"),)))
