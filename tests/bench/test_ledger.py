"""Answers, upstream requests and decision records must be the same, one to one."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from bench.ledger import (
    MismatchError,
    Records,
    audit_sum,
    check_audit_ids,
    check_records,
    check_upstream,
)
from bench.load import Report
from bench.upstreams import Counts

IDS = ("id-1", "id-2", "id-3")
REPORT = Report(
    answers=2,
    refused=0,
    seconds=1.0,
    bytes=0,
    latency={},
    event_last_us=(),
    cipher="",
    all_answers=3,
    all_audit_ids=3,
    audit_sum=audit_sum(IDS),
)
COUNTS = Counts(
    requests=3,
    impersonated=3,
    audit_ids=3,
    audit_sum=audit_sum(IDS),
    bytes_received=0,
    cipher_suite="",
)
RECORDS = Records(permits=IDS, completed=IDS[::-1], refusals=0)


def test_what_is_the_same_passes() -> None:
    check_upstream("x", [REPORT], COUNTS)
    check_audit_ids("x", [REPORT], COUNTS)
    check_records("x", [REPORT], RECORDS)


def test_the_sum_is_that_of_the_go_programs() -> None:
    # bench/load/report_test.go has the same.
    assert audit_sum(["a", "b"]) == 5812694588


def test_an_answer_more_than_upstream_requests_is_told() -> None:
    with pytest.raises(MismatchError, match="x: answers: 4, upstream requests: 3"):
        check_upstream("x", [replace(REPORT, all_answers=4)], COUNTS)


@pytest.mark.parametrize(
    "counts",
    [
        replace(COUNTS, impersonated=2),
        replace(COUNTS, audit_ids=2),
        replace(COUNTS, audit_sum=audit_sum(["id-1", "id-2", "id-4"])),
    ],
)
def test_a_request_upstream_that_is_not_the_answers_is_told(counts: Counts) -> None:
    with pytest.raises(MismatchError):
        check_audit_ids("x", [REPORT], counts)


def test_an_answer_without_an_audit_id_is_told() -> None:
    with pytest.raises(MismatchError, match="answers with an audit id: 2"):
        check_audit_ids("x", [replace(REPORT, all_audit_ids=2)], COUNTS)


@pytest.mark.parametrize(
    "records",
    [
        replace(RECORDS, permits=IDS[:2]),
        replace(RECORDS, permits=("id-1", "id-2", "id-4")),
        replace(RECORDS, permits=(*IDS, "id-4")),
        replace(RECORDS, completed=IDS[:2]),
        replace(RECORDS, completed=(*IDS, "id-3")),
        replace(RECORDS, refusals=1),
        replace(RECORDS, permits=(), completed=()),
    ],
)
def test_records_that_are_not_the_answers_are_told(records: Records) -> None:
    with pytest.raises(MismatchError):
        check_records("x", [REPORT], records)


def test_an_audit_id_used_twice_is_told() -> None:
    twice = ("id-1", "id-1", "id-2")
    report = replace(REPORT, audit_sum=audit_sum(twice))

    with pytest.raises(MismatchError, match="twice"):
        check_records("x", [report], Records(permits=twice, completed=twice, refusals=0))


def test_refusals_that_the_client_saw_are_no_mismatch() -> None:
    check_records("x", [replace(REPORT, refused=2)], replace(RECORDS, refusals=2))


def test_records_are_read_from_all_logs(tmp_path: Path) -> None:
    lines = [
        [
            {"kind": "opened", "worker": "0"},
            {"kind": "decision", "audit_id": "a", "decision": "permit", "more": {"x": 1}},
            {"kind": "completed", "audit_id": "a"},
        ],
        [{"kind": "decision", "audit_id": "b", "decision": "deny"}],
    ]
    logs = [tmp_path / f"decisions-{number}.jsonl" for number in range(2)]
    for log, records in zip(logs, lines, strict=True):
        log.write_text("".join(json.dumps(record) + "\n" for record in records))

    assert Records.read(logs) == Records(permits=("a",), completed=("a",), refusals=1)
