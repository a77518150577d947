"""A record that is repeated says what the record of the second request would say."""

from datetime import UTC, datetime, timedelta

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace as replace_in

from kzproxy.attributes.shared import Shared
from kzproxy.audit.repeated import CallerParts, RepeatedRecord
from kzproxy.audit.schema import Check, DecisionRecord, Namespace, RuleError
from tests.audit.samples import NOW, permit_record
from tests.memory import held_bytes

TEXTS = st.text(max_size=12) | st.sampled_from(
    [
        '","received_at":"2026',
        '"source":{"address":"',
        ',"impersonated":{',
        '\\","audit_id":"',
        "%b%d%",
        NOW.isoformat(),
    ]
)
NAMES = st.sampled_from(["received_at", "source", "impersonated", "address", "port", "ts"]) | TEXTS
TIMES = st.timedeltas(timedelta(0), timedelta(days=9000)).map(lambda age: NOW - age) | st.just(
    datetime(2026, 1, 1, tzinfo=UTC)
)


@st.composite
def records(draw: st.DrawFn) -> DecisionRecord:
    """Draw records with foreign text wherever a record holds some."""
    record = permit_record()
    assert record.user is not None
    assert record.device is not None
    assert record.impersonated is not None
    lists = st.lists(TEXTS, max_size=2).map(tuple)
    extra = st.dictionaries(NAMES, lists, max_size=3)
    checks = st.dictionaries(
        NAMES,
        st.builds(Check, fact=TEXTS, observed_at=TIMES, expires_at=TIMES, source=TEXTS),
        max_size=2,
    )
    labels = st.dictionaries(NAMES, TEXTS, max_size=2)
    return replace_in(
        record,
        ts=draw(TIMES),
        received_at=draw(TIMES),
        client_audit_id=draw(TEXTS),
        rule=draw(TEXTS),
        matched=draw(lists),
        errors=tuple(draw(st.lists(st.builds(RuleError, rule=TEXTS, message=TEXTS), max_size=2))),
        message=draw(TEXTS),
        reason=draw(TEXTS),
        user=replace_in(record.user, name=draw(TEXTS), extra=draw(extra)),
        device=replace_in(record.device, checks=draw(checks)),
        source=replace_in(record.source, port=draw(st.integers(0, 65535)), via=draw(TEXTS)),
        request=replace_in(record.request, user_agent=draw(TEXTS), target=draw(TEXTS)),
        namespace=draw(st.none() | st.builds(Namespace, labels=labels)),
        impersonated=draw(
            st.none()
            | st.just(replace_in(record.impersonated, extra=draw(extra), user=draw(TEXTS)))
        ),
    )


@given(records(), TIMES, st.uuids().map(str), st.integers(0, 65535))
def test_only_when_which_and_whence_differ(
    record: DecisionRecord, at: datetime, audit_id: str, port: int
) -> None:
    wanted = replace_in(
        record,
        ts=at,
        received_at=at,
        audit_id=audit_id,
        source=replace_in(record.source, port=port),
    )
    repeated = RepeatedRecord.of(record, CallerParts(), Shared())

    assert repeated.written(audit_id, at, port) == msgspec.json.encode(wanted)
    assert repeated.failed_rules == tuple(error.rule for error in record.errors)


def test_what_two_records_of_a_caller_share_is_kept_once() -> None:
    shared = CallerParts()
    requests = Shared[bytes]()
    first = permit_record("one")
    RepeatedRecord.of(first, shared, requests)
    parts = len(shared)
    asked = replace_in(first.request, target="/api/v1/namespaces/other/pods")
    later = replace_in(first, audit_id="two", ts=first.ts + timedelta(seconds=1), request=asked)
    RepeatedRecord.of(later, shared, requests)

    assert len(shared) == parts


def test_the_records_of_a_caller_by_one_rule_weigh_little_beside_what_they_share() -> None:
    first = permit_record("one")

    def filled() -> list[RepeatedRecord]:
        shared, requests = CallerParts(), Shared[bytes]()
        return [RepeatedRecord.of(first, shared, requests) for _ in range(1000)]

    assert held_bytes(filled) < 64 * 1024
