"""A record says everything that the decision rested on, and nothing that must not be kept."""

import json
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from kzproxy.attributes.attributes import Attributes
from kzproxy.attributes.device import DevicePosture, Fact
from kzproxy.attributes.environment import Environment
from kzproxy.attributes.identity import Identity
from kzproxy.attributes.request_info import RequestInfo
from kzproxy.audit.records import (
    Caller,
    Outcome,
    abandoned_record,
    impersonated_identity,
    outcome_record,
    recorded_request,
    refusal_record,
)
from kzproxy.audit.schema import Cause, Record, Request, Termination
from kzproxy.audit.visible import MAX_NAME_CHARS, MAX_TARGET_CHARS, MAX_TEXT_CHARS
from kzproxy.errors import kinds
from kzproxy.errors.kinds import BadRequest, InternalError, ProxyError, Unauthenticated
from kzproxy.policy import decision as policy_decision
from kzproxy.policy.decision import Challenge, Deny
from kzproxy.policy.step_up import StepUp
from tests.audit.samples import (
    ALICE,
    ARRIVAL,
    ENVIRONMENT,
    IMPERSONATED,
    LAPTOP,
    LIST_PODS,
    NOW,
    attributes,
    completed_record,
    deny,
    permit,
    permit_record,
    record_of,
)


def as_json(record: Record | Request) -> dict[str, Any]:
    written: dict[str, Any] = json.loads(msgspec.json.encode(record))
    return written


def replayed(record: dict[str, Any]) -> Attributes:
    """What a replay judges: the attributes, from the record alone."""
    user, device, source = record["user"], record["device"], record["source"]
    return Attributes(
        subject=Identity(
            username=user["name"],
            groups=tuple(user.get("groups", ())),
            uid=user.get("uid", ""),
            extra=tuple((key, tuple(values)) for key, values in user.get("extra", {}).items()),
            method=user["method"],
            issuer=user["issuer"],
            subject=user["subject"],
            sign_in=ALICE.sign_in,  # known upstream as the session id that is made of it
            expires_at=datetime.fromisoformat(user["expires_at"]),
            confirmation=user.get("confirmation", ""),
        ),
        device=DevicePosture(
            enrolled=Fact(device["enrolled"]),
            device_id=device.get("id", ""),
            thumbprint=device.get("thumbprint", ""),
            reason=device.get("reason", ""),
            expires_at=datetime.fromisoformat(device["expires_at"]),
        ),
        request=RequestInfo.parse(record["request"]["method"], record["request"]["target"]),
        environment=Environment(
            received_at=datetime.fromisoformat(record["received_at"]),
            source_address=ip_address(source["address"]),
        ),
    )


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("GET", "/api/v1/namespaces/dev/pods?limit=500"),
        ("GET", "/api/v1/pods?watch=true&fieldSelector=metadata.name%3Dp"),
        ("PATCH", "/apis/apps/v1/namespaces/dev/deployments/d/scale?dryRun=All"),
        ("POST", "/api/v1/namespaces/dev/pods/p/exec?command=date&stdout=true"),
        ("GET", "/api/v1/namespaces/dev/services/https:web:443/proxy/x"),
        ("GET", "/healthz/etcd"),
    ],
)
def test_a_decision_can_be_replayed_from_its_record(method: str, target: str) -> None:
    judged = attributes(RequestInfo.parse(method, target))
    record = as_json(record_of(permit(judged), ARRIVAL, session_id="s-1"))
    assert replayed(record) == judged


def test_a_permit_says_which_rules_until_when_and_on_what_it_rests() -> None:
    record = as_json(permit_record())
    assert record["decision"] == "permit"
    assert record["cause"] == "allow-rule"
    assert record["rule"] == "dev-read"
    assert record["matched"] == ["dev-read", "dev-all"]
    assert record["policy_revision"] == "sha256:12"
    assert record["valid_until"] == "2026-05-04T11:30:00.123456Z"
    assert record["depends_on"] == ["identity", "time"]
    assert record["user"]["session"] == "s-1"
    assert record["impersonated"] == {
        "user": "alice@example.org",
        "groups": ["dev", "CN=a,OU=b", "system:authenticated"],
        "uid": "u-1",
        "extra": {"kzproxy.dev/device-id": ["laptop-7"], "kzproxy.dev/session-id": ["s-1"]},
    }
    assert "status_code" not in record


def test_a_deny_says_why_and_what_the_user_was_told() -> None:
    record = as_json(record_of(deny(), ARRIVAL, session_id="s-1", message="rule no-prod-exec"))
    assert record["decision"] == "deny"
    assert record["cause"] == "deny-rule"
    assert record["hint"] == "enrol your device"
    assert record["message"] == "rule no-prod-exec"
    assert record["errors"] == [{"rule": "broken", "message": "no such zone"}]
    assert record["status_code"] == 403
    assert record["client_audit_id"] == "mine"
    assert "impersonated" not in record


def test_a_challenge_says_what_sign_in_is_wanted() -> None:
    fields = {name: getattr(deny(), name) for name in Deny.__struct_fields__}
    wanted = StepUp(acr_values=("phr",), max_age=timedelta(0))
    cause = policy_decision.Cause.SIGN_IN
    challenge = Challenge(**{**fields, "cause": cause, "step_up": wanted})
    record = as_json(record_of(challenge, ARRIVAL))
    assert (record["decision"], record["cause"], record["status_code"]) == (
        "challenge",
        "sign-in",
        401,
    )
    assert record["step_up"] == {
        "acr_values": ["phr"],
        "max_age_seconds": 0,
        "command": "kzproxy login --acr phr --max-age 0s",
    }


def test_a_request_that_could_not_be_read_is_recorded_as_far_as_it_was() -> None:
    arrival = replace(ARRIVAL, method="G\nT", target="/a\x00?token=secret")
    record = as_json(
        refusal_record(BadRequest("no reading", detail="hidden"), arrival, decided_at=NOW)
    )
    assert record["decision"] == "refused"
    assert record["cause"] == "bad-request"
    assert record["status_code"] == 400
    assert record["message"] == "no reading"
    assert record["request"] == {
        "method": r"G\nT",
        "target": r"/a\x00?***",
        "user_agent": "kubectl/v1.36.3",
    }
    assert record["source"] == {"address": "192.0.2.7", "port": 50123}
    assert "user" not in record
    assert "hidden" not in json.dumps(record)


def test_a_refusal_says_whatever_is_known_of_the_caller() -> None:
    caller = Caller(identity=ALICE, session_id="s-1", device=LAPTOP, request=LIST_PODS)
    record = as_json(
        refusal_record(Unauthenticated("bound"), ARRIVAL, decided_at=NOW, caller=caller)
    )
    assert record["user"]["name"] == "alice@example.org"
    assert record["device"]["id"] == "laptop-7"
    assert record["request"]["resource"] == "pods"


def test_a_request_that_its_client_left_is_recorded_without_an_answer() -> None:
    caller = Caller(identity=ALICE, session_id="s-1", device=LAPTOP, request=LIST_PODS)
    record = as_json(abandoned_record("gone\n", ARRIVAL, decided_at=NOW, caller=caller))
    assert (record["decision"], record["cause"]) == ("refused", "client-gone")
    assert record["message"] == r"gone\n"
    assert record["user"]["name"] == "alice@example.org"
    assert "status_code" not in record


@pytest.mark.parametrize(
    "kind",
    [
        kind
        for kind in vars(kinds).values()
        if isinstance(kind, type) and issubclass(kind, ProxyError)
    ],
)
def test_every_kind_of_error_has_a_cause_of_its_own(kind: type[ProxyError]) -> None:
    cause = refusal_record(kind("x"), ARRIVAL, decided_at=NOW).cause
    assert (cause is Cause.INTERNAL_ERROR) == (kind in {InternalError, ProxyError})


def test_an_error_of_a_narrower_kind_has_the_cause_of_its_kind() -> None:
    """Such as that of a token that may hold in a few seconds: it is no bug of kzproxy's."""

    class Narrower(Unauthenticated):
        pass

    record = refusal_record(Narrower("later"), ARRIVAL, decided_at=NOW)
    assert record.cause is Cause.UNAUTHENTICATED


def test_every_cause_of_the_policy_engine_can_be_recorded() -> None:
    for cause in policy_decision.Cause:
        record = record_of(msgspec.structs.replace(deny(), cause=cause), ARRIVAL, session_id="")
        assert record.cause.value == cause.value


def test_an_outcome_says_how_it_ended() -> None:
    assert as_json(completed_record()) == {
        "kind": "completed",
        "ts": "2026-05-04T09:30:00.123456Z",
        "audit_id": ARRIVAL.audit_id,
        "termination": "normal",
        "status_code": 200,
        "bytes_out": 1234,
        "duration_ms": 3.021,
    }


def test_an_outcome_without_an_answer_has_no_status_code() -> None:
    outcome = Outcome(termination=Termination.CLIENT_GONE, message="reset\r\n")
    record = as_json(outcome_record(outcome, audit_id="a", ended_at=NOW))
    assert "status_code" not in record
    assert record["message"] == r"reset\r\n"


def test_a_name_cannot_forge_a_record_or_move_the_cursor() -> None:
    mallory = replace(
        ALICE, username='x\n{"decision":"permit"}', groups=("\x1b]0;owned\x07", "\u202eadmin")
    )
    arrival = replace(ARRIVAL, user_agent="curl\x1b[2J", client_audit_id="y\n" * 99)
    record = record_of(
        permit(attributes(subject=mallory)),
        arrival,
        session_id="\x9b",
        impersonated=impersonated_identity(user=mallory.username, groups=mallory.groups),
    )
    line = msgspec.json.encode(record).decode()
    assert line.isprintable()
    assert as_json(record)["user"]["name"] == 'x\\n{"decision":"permit"}'
    assert as_json(record)["client_audit_id"].endswith("...[134 more]")


def test_what_is_too_long_is_cut_and_counted() -> None:
    path = "/api/v1/namespaces/" + "n" * 8000 + "/pods"
    subject = replace(ALICE, username="u" * 5000, groups=tuple(map(str, range(1007))))
    judged = attributes(RequestInfo.parse("GET", path), subject)
    arrival = replace(ARRIVAL, user_agent="a" * 5000)
    record = record_of(permit(judged), arrival, session_id="")
    assert record.user is not None
    assert record.user.groups_omitted == 7
    assert len(record.user.groups) == 1000
    assert record.user.name == "u" * MAX_NAME_CHARS + "...[3976 more]"
    assert len(record.request.namespace) < MAX_NAME_CHARS + 30
    assert len(record.request.user_agent) < MAX_TEXT_CHARS + 30
    assert len(msgspec.json.encode(record)) < 64 * 1024


def test_a_target_of_100_kilobytes_is_cut() -> None:
    arrival = replace(ARRIVAL, target="/" + "n" * 100_000)
    record = refusal_record(BadRequest("too long"), arrival, decided_at=NOW)
    assert record.request.target == "/" + "n" * (MAX_TARGET_CHARS - 1) + "...[91809 more]"


def test_only_the_first_word_of_a_command_is_kept() -> None:
    target = "/api/v1/namespaces/dev/pods/p/exec?command=mysql&command=-psecret&stdin=true"
    judged = attributes(RequestInfo.parse("POST", target))
    record = record_of(permit(judged), ARRIVAL, session_id="")
    assert "command=mysql" in record.request.target
    assert b"secret" not in msgspec.json.encode(record)
    assert record.request.stream == "exec"
    assert record.request.verb == "connect"


def test_a_dry_run_is_marked() -> None:
    judged = attributes(RequestInfo.parse("POST", "/api/v1/namespaces/dev/pods?dryRun=All"))
    record = record_of(permit(judged), ARRIVAL, session_id="")
    assert record.request.dry_run


def test_times_of_whole_seconds_and_of_no_microseconds_are_valid() -> None:
    whole = datetime(2026, 1, 1, tzinfo=UTC)
    outcome = Outcome(termination=Termination.NORMAL, seconds=86_400)
    record = as_json(outcome_record(outcome, audit_id="a", ended_at=whole))
    assert record["ts"] == "2026-01-01T00:00:00Z"
    assert record["duration_ms"] == 86_400_000


def test_the_source_is_the_peer_of_the_socket() -> None:
    assert permit_record().source.address == str(ENVIRONMENT.source_address)
    assert IMPERSONATED.groups_omitted == 0


def requested(target: str) -> dict[str, Any]:
    info = RequestInfo.parse("GET", target)
    return as_json(recorded_request(info, replace(ARRIVAL, target=target)))


def test_the_spelling_that_was_received_is_kept_where_it_is_another() -> None:
    same = requested("/api/v1/namespaces/dev/pods?limit=5")
    other = requested("/api/v1/namespaces/%64ev/pods?limit=5&token=s3cret")

    assert "received_target" not in same
    assert other["target"] == "/api/v1/namespaces/dev/pods?limit=5&***"
    assert other["received_target"] == "/api/v1/namespaces/%64ev/pods?limit=5&***"


def test_of_the_spelling_of_a_command_only_the_first_word_is_kept_too() -> None:
    other = requested("/api/v1/namespaces/%64ev/pods/p/exec?command=sh&%63ommand=s3cret")

    assert "s3cret" not in str(other)
    assert "command=sh" in other["received_target"]


def test_a_spelling_that_differs_in_what_is_masked_alone_is_left_out() -> None:
    assert "received_target" not in requested("/api/v1/namespaces/dev/pods?token=%73")
