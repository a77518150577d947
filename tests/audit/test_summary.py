"""A record in a line."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kzproxy.audit.events import Event, event_record
from kzproxy.audit.records import refusal_record
from kzproxy.audit.schema import (
    GapRecord,
    Record,
    SignalReceivedRecord,
    SignalRefusedRecord,
    SignalSubjectFields,
)
from kzproxy.audit.summary import Tone, summarize
from kzproxy.errors.kinds import Unauthenticated
from tests.audit.samples import ARRIVAL, NOW, completed_record, deny, permit_record, record_of

_FIELDS = ["kind", "ts", "decision", "rule", "hint", "audit_id", "user", "request"]
_FIELDS += ["subject", "sessions", "effect"]


def as_json(record: Record) -> dict[str, Any]:
    written: dict[str, Any] = json.loads(msgspec.json.encode(record))
    return written


@pytest.mark.parametrize(
    ("record", "tone", "text"),
    [
        (
            permit_record("a-1"),
            Tone.GOOD,
            "09:30:00.123 permit  alice@example.org list pods -n dev [dev-read] audit=a-1",
        ),
        (
            record_of(deny(), ARRIVAL, session_id=""),
            Tone.BAD,
            "09:30:00.123 deny    alice@example.org list pods -n dev [no-prod-exec]"
            f" enrol your device audit={ARRIVAL.audit_id}",
        ),
        (
            refusal_record(Unauthenticated("no token"), ARRIVAL, decided_at=NOW),
            Tone.BAD,
            "09:30:00.123 refused - GET /api/v1/namespaces/dev/pods?*** [unauthenticated]"
            f" no token audit={ARRIVAL.audit_id}",
        ),
        (
            completed_record("a-1"),
            Tone.QUIET,
            "09:30:00.123   ended normal status_code=200 bytes_out=1234 duration_ms=3.021"
            " audit=a-1",
        ),
        (
            SignalReceivedRecord(
                ts=NOW,
                stream="okta",
                source="https://idp.example.com",
                id="24c6",
                event="session-revoked",
                subject=SignalSubjectFields(issuer="https://idp.example.com", subject="00u1"),
                outcome="applied",
                effect="ends sessions",
                sessions=("0" * 32,),
                sessions_omitted=1,
                message="Account locked",
            ),
            Tone.QUIET,
            "09:30:00.123 -- signal okta: session-revoked issuer=https://idp.example.com"
            " subject=00u1 [applied] ends sessions Account locked sessions=2 id=24c6",
        ),
        (
            SignalReceivedRecord(
                ts=NOW,
                stream="okta",
                source="https://idp.example.com",
                id="24c7",
                event="session-revoked",
                outcome="not-allowed",
            ),
            Tone.BAD,
            "09:30:00.123 -- signal okta: session-revoked [not-allowed] id=24c7",
        ),
        (
            SignalRefusedRecord(ts=NOW, stream="okta", error="invalid_key", message="forged"),
            Tone.BAD,
            "09:30:00.123 -- signal.refused stream=okta error=invalid_key message=forged",
        ),
        (
            event_record(
                Event(
                    name="device.blocked",
                    by="ben",
                    user=("ana", "", ""),
                    device_id="4f",
                    message="stolen",
                ),
                at=NOW,
            ),
            Tone.QUIET,
            "09:30:00.123 -- device.blocked user=ana device=4f by=ben stolen",
        ),
        (
            event_record(Event(name="device.enrolled", refused=True, message="no"), at=NOW),
            Tone.BAD,
            "09:30:00.123 -- device.enrolled refused no",
        ),
        (GapRecord(ts=NOW, refused=2), Tone.QUIET, "09:30:00.123 -- gap refused=2"),
    ],
)
def test_a_record_is_said_in_a_line(record: Record, tone: Tone, text: str) -> None:
    summary = summarize(as_json(record))
    assert summary.text == text
    assert summary.tone is tone


@given(
    st.dictionaries(
        st.sampled_from(_FIELDS),
        st.sampled_from(["decision", "completed", "permit", "signal.received"])
        | st.text()
        | st.integers()
        | st.just({"resource": 1, "verb": None}),
    )
)
def test_whatever_is_in_a_line_it_prints_on_one_line(record: dict[str, Any]) -> None:
    assert summarize(record).text.isprintable()
