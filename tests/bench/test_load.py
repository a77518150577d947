"""Reports of the load generator, and the generator itself by its own tests."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from bench.load import Report
from bench.programs import CannotRunError

BENCH = Path(__file__).parents[2] / "bench"
WORDS = {
    "answers": 2,
    "failures": 0,
    "refused": 1,
    "errors": [],
    "seconds": 0.5,
    "bytes": 1200,
    "latency": {"p50_us": 10.5},
    "cipher": "TLS 1.3 X",
    "all_answers": 3,
    "all_audit_ids": 3,
    "audit_sum": "18446744073709551615",
}


def test_a_report_is_read() -> None:
    report = Report.parse(json.dumps(WORDS))

    assert (report.answers, report.all_answers, report.refused) == (2, 3, 1)
    assert report.audit_sum == 2**64 - 1
    assert report.latency == {"p50_us": 10.5}
    assert report.event_last_us == ()


def test_a_failed_request_is_no_figure() -> None:
    with pytest.raises(CannotRunError, match=r"2 requests failed: \['no route'\]"):
        Report.parse(json.dumps(WORDS | {"failures": 2, "errors": ["no route"]}))


def test_what_is_no_report_is_told() -> None:
    with pytest.raises(CannotRunError, match="panic"):
        Report.parse("panic: out of memory")


def test_the_go_programs_pass_their_own_tests() -> None:
    go = shutil.which("go")
    assert go is not None
    environment = {**os.environ, "GOTOOLCHAIN": "local", "GOFLAGS": "-mod=readonly"}

    for command in (["vet"], ["test"]):
        done = subprocess.run(
            [go, *command, "./..."],
            cwd=BENCH,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
