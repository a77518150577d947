"""Made-up logs: whole ones pass, and each way of being wrong fails the line that is about it."""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from soak.accounting import Answer, Evidence, accounts, unfinished
from soak.records import AuditEvent, Life, audit_events, lives

ACCOUNT = "system:serviceaccount:kzproxy:kzproxy"

DECIDED = "every request is decided on once"
PERMITTED = "what reached kube-apiserver was permitted"
TWICE = "nothing reached kube-apiserver twice"
REACHED = "what was permitted and answered reached it"
OUTCOMES = "every permit has one outcome"
KILLED = "only killed workers lack outcomes"
ANSWERS = "every answer to a client has a record"
GAPS = "the decision log lacks nothing"
OWN = "kzproxy asks for itself what it should"

Lines = list[dict[str, Any]]


def permit(audit_id: str) -> dict[str, Any]:
    request = {"kube_verb": "get", "target": f"/api/v1/pods/{audit_id}"}
    return {"kind": "decision", "audit_id": audit_id, "decision": "permit", "request": request}


def outcome(audit_id: str, status: int = 200, termination: str = "normal") -> dict[str, Any]:
    ended = {"termination": termination, "status_code": status}
    return {"kind": "completed", "audit_id": audit_id, **ended}


STARTED = {"kind": "started"}
RESTARTED = {"kind": "resumed", "after": "restart"}
STOPPED = {"kind": "stopped"}
DENIED = {"kind": "decision", "audit_id": "no", "decision": "deny", "status_code": 403}

# One worker; it is killed while "watch" is under way, begins again and stops in order.
FIRST: Lines = [STARTED, permit("one"), outcome("one"), DENIED, permit("watch")]
SECOND: Lines = [RESTARTED, permit("two"), outcome("two", 404), STOPPED]


def event(audit_id: str, user: str = "mona", **further: Any) -> dict[str, Any]:
    impersonated = {"impersonatedUser": {"username": user}} if user else {}
    return {
        "auditID": audit_id,
        "stage": "ResponseComplete",
        "verb": "get",
        "requestURI": "/api/v1/pods",
        "user": {"username": ACCOUNT},
        **impersonated,
        **further,
    }


def checks() -> Lines:
    """What kzproxy asks at one start."""
    check = {
        "verb": "create",
        "userAgent": "kzproxy-startup-check",
        "objectRef": {"resource": "selfsubjectreviews"},
    }
    probe = "kzproxy-startup-check"
    return [
        event("own-1", "", **check),
        event("own-2", "", **check),
        event("own-3", probe, **check),
    ]


EVENTS: Lines = [event("one"), event("watch"), event("two"), *checks(), *checks()]
ANSWERS_GIVEN = (
    Answer(audit_id="one", what="GET one", status=200),
    Answer(audit_id="no", what="GET no", status=403),
    Answer(audit_id="watch", what="GET watch", status=200),
    Answer(audit_id="two", what="kubectl get"),
    Answer(audit_id="two", what="kubectl get, from its cache"),
)


def read_lives(*logs: Lines) -> list[Life]:
    """What is read of one log for each worker."""
    return [
        life
        for number, log in enumerate(logs, start=1)
        for life in lives(number, [json.dumps(each).encode() for each in log])
    ]


def read_events(events: Lines) -> Sequence[AuditEvent]:
    return audit_events([json.dumps(each).encode() for each in events], ACCOUNT)


WHOLE = Evidence(
    lives=read_lives(FIRST + SECOND),
    events=read_events(EVENTS),
    answers=ANSWERS_GIVEN,
    kills={1: 1},
    in_flight_at_most=1,
)


def failed(evidence: Evidence) -> list[str]:
    return [line.name for line in accounts(evidence) if not line.holds]


def of_log(log: Lines, **further: Any) -> Evidence:
    return replace(WHOLE, lives=read_lives(log), **further)


def of_events(events: Lines) -> Evidence:
    return replace(WHOLE, events=read_events(events))


def test_what_is_whole_passes() -> None:
    assert failed(WHOLE) == []
    assert len(accounts(WHOLE)) == 9


def without(log: Lines, record: dict[str, Any]) -> Lines:
    return [each for each in log if each != record]


@pytest.mark.parametrize(
    ("log", "lines"),
    [
        pytest.param(
            without(FIRST + SECOND, permit("one")),
            [PERMITTED, OUTCOMES, ANSWERS],
            id="a permit is missing",
        ),
        pytest.param([*FIRST, permit("one"), *SECOND], [DECIDED], id="a permit was written twice"),
        pytest.param(
            without(FIRST + SECOND, outcome("two", 404)), [OUTCOMES], id="an outcome is missing"
        ),
        pytest.param(
            [*FIRST, outcome("one"), *SECOND], [OUTCOMES], id="an outcome was written twice"
        ),
        pytest.param([*FIRST, outcome("none"), *SECOND], [OUTCOMES], id="an outcome of no permit"),
        pytest.param(without(FIRST + SECOND, DENIED), [ANSWERS], id="a refusal is missing"),
        pytest.param(
            [*FIRST, permit("never"), outcome("never"), *SECOND],
            [REACHED],
            id="a permit answered that kube-apiserver never saw",
        ),
        pytest.param(
            [*FIRST, permit("further"), *SECOND], [KILLED], id="more lost than was under way"
        ),
        pytest.param(
            without(FIRST + SECOND, STOPPED), [KILLED], id="an end that was neither kill nor stop"
        ),
        pytest.param(
            [*FIRST, {"kind": "gap", "refused": 1}, *SECOND], [GAPS], id="the log says it has a gap"
        ),
    ],
)
def test_a_decision_log_that_is_not_whole_fails(log: Lines, lines: list[str]) -> None:
    assert failed(of_log(log)) == lines


@pytest.mark.parametrize(
    ("events", "lines"),
    [
        pytest.param([*EVENTS, event("unknown")], [PERMITTED], id="a request of nobody's permit"),
        pytest.param([*EVENTS, event("no")], [PERMITTED], id="a request that was denied"),
        pytest.param([*EVENTS, event("one")], [TWICE], id="a request came twice"),
        pytest.param(without(EVENTS, event("two")), [REACHED], id="a request never came"),
        pytest.param([*EVENTS, event("own", "")], [OWN], id="a request without impersonation"),
        pytest.param([*EVENTS, *checks()], [OWN], id="a start that nobody knows of"),
    ],
)
def test_an_audit_log_that_differs_fails(events: Lines, lines: list[str]) -> None:
    assert failed(of_events(events)) == lines


@pytest.mark.parametrize(
    "answer",
    [
        Answer(audit_id="one", what="a second answer", status=200),
        Answer(audit_id="unknown", what="of no record", status=200),
        Answer(audit_id="", what="without an audit id"),
        replace(ANSWERS_GIVEN[1], audit_id="two", status=403),
    ],
)
def test_an_answer_that_the_log_does_not_have_fails(answer: Answer) -> None:
    assert failed(replace(WHOLE, answers=(*ANSWERS_GIVEN, answer))) == [ANSWERS]


def test_a_problem_says_which_request_and_where() -> None:
    evidence = of_log(without(FIRST + SECOND, outcome("two", 404)))
    problems = [problem for line in accounts(evidence) for problem in line.problems]

    assert problems == ["worker 1: two: get /api/v1/pods/two: no outcome"]


def test_what_was_under_way_at_a_kill_is_named() -> None:
    named = [record.audit_id for _, missing in unfinished(WHOLE.lives) for record in missing]

    assert named == ["watch"]


def test_a_kill_that_left_no_trace_fails() -> None:
    assert failed(replace(WHOLE, kills={1: 2})) == [KILLED]
    assert failed(replace(WHOLE, kills={1: 1, 2: 1})) == [KILLED]
