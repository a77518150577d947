"""Values that the tests of this room share, and a way to read a log back."""

import json
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from kzproxy.attributes.attributes import Attributes
from kzproxy.attributes.device import DevicePosture, Fact
from kzproxy.attributes.environment import Environment
from kzproxy.attributes.identity import Identity
from kzproxy.attributes.request_info import RequestInfo
from kzproxy.audit.records import (
    Arrival,
    Outcome,
    decision_record,
    impersonated_identity,
    outcome_record,
    recorded_caller,
    recorded_request,
)
from kzproxy.audit.schema import CompletedRecord, DecisionRecord, Impersonated, Termination
from kzproxy.policy.decision import Cause, Decision, Deny, Dependency, Permit

NOW = datetime(2026, 5, 4, 9, 30, 0, 123456, tzinfo=UTC)

ALICE = Identity(
    username="alice@example.org",
    groups=("dev", "CN=a,OU=b"),
    uid="u-1",
    extra=(("example.org/team", ("blue",)),),
    method="oidc",
    issuer="https://idp.example.org",
    subject="0123",
    sign_in="s",
    expires_at=NOW + timedelta(hours=1),
    confirmation="ab" * 32,
)

LAPTOP = DevicePosture(
    enrolled=Fact.PASSED,
    device_id="laptop-7",
    thumbprint="ab" * 32,
    expires_at=NOW + timedelta(days=30),
)

ENVIRONMENT = Environment(received_at=NOW, source_address=ip_address("192.0.2.7"))

LIST_PODS = RequestInfo.parse("GET", "/api/v1/namespaces/dev/pods?limit=500")

ARRIVAL = Arrival(
    audit_id="2b1c7c0e-6a64-4f3e-9c0b-7d0f5a1b2c3d",
    received_at=NOW,
    source_address=ENVIRONMENT.source_address,
    source_port=50123,
    method="GET",
    target="/api/v1/namespaces/dev/pods?limit=500",
    user_agent="kubectl/v1.36.3",
    client_audit_id="mine",
)

IMPERSONATED = impersonated_identity(
    user=ALICE.username,
    groups=(*ALICE.groups, "system:authenticated"),
    uid=ALICE.uid,
    extra=(("kzproxy.dev/device-id", ("laptop-7",)), ("kzproxy.dev/session-id", ("s-1",))),
)


def attributes(request: RequestInfo = LIST_PODS, subject: Identity = ALICE) -> Attributes:
    return Attributes(subject=subject, device=LAPTOP, request=request, environment=ENVIRONMENT)


def permit(judged: Attributes | None = None) -> Permit:
    """A permit as the engine makes them; here it only has to be written down."""
    return Permit(
        attributes=judged or attributes(),
        rule="dev-read",
        matched=("dev-read", "dev-all"),
        revision="sha256:12",
        valid_until=NOW + timedelta(hours=2),
        depends_on=frozenset({Dependency.TIME, Dependency.IDENTITY}),
    )


def deny(judged: Attributes | None = None) -> Deny:
    return Deny(
        attributes=judged or attributes(),
        cause=Cause.DENY_RULE,
        rule="no-prod-exec",
        hint="enrol your device",
        matched=("no-prod-exec",),
        revision="sha256:12",
        depends_on=frozenset({Dependency.DEVICE}),
        errors=(("broken", "no such zone"),),
    )


def record_of(
    decision: Decision,
    arrival: Arrival,
    *,
    session_id: str = "",
    impersonated: Impersonated | None = None,
    message: str = "",
) -> DecisionRecord:
    """Make a record as enforcement does, all its parts at once."""
    judged = decision.attributes
    return decision_record(
        decision,
        arrival,
        decided_at=NOW,
        caller=recorded_caller(judged.subject, judged.device, session_id, impersonated),
        request=recorded_request(judged.request, arrival),
        message=message,
    )


def permit_record(audit_id: str = ARRIVAL.audit_id) -> DecisionRecord:
    arrival = Arrival(
        audit_id=audit_id,
        received_at=NOW,
        source_address=ENVIRONMENT.source_address,
        source_port=50123,
        user_agent="kubectl/v1.36.3",
    )
    return record_of(permit(), arrival, session_id="s-1", impersonated=IMPERSONATED)


def completed_record(audit_id: str = ARRIVAL.audit_id) -> CompletedRecord:
    outcome = Outcome(
        termination=Termination.NORMAL,
        status_code=200,
        bytes_in=0,
        bytes_out=1234,
        seconds=0.003021,
    )
    return outcome_record(outcome, audit_id=audit_id, ended_at=NOW)


def lines_of(path: Path) -> list[dict[str, Any]]:
    with path.open("rb") as log:
        return [json.loads(line) for line in log]
