from pathlib import Path

import pytest

from soak.records import lives, read_audit_events


def test_a_rotation_is_no_new_life() -> None:
    lines = [b'{"kind":"started"}', b'{"kind":"resumed","after":"rotation"}', b'{"kind":"stopped"}']

    assert [life.in_order for life in lives(1, lines)] == [True]


def test_a_log_without_a_start_is_refused() -> None:
    with pytest.raises(ValueError, match="worker 2 begins with 'stopped'"):
        lives(2, [b'{"kind":"stopped"}'])


def test_only_ended_requests_of_the_account_are_read_and_no_half_line(tmp_path: Path) -> None:
    def line(audit_id: str, user: str, stage: str) -> str:
        return f'{{"auditID":"{audit_id}","stage":"{stage}","user":{{"username":"{user}"}}}}\n'

    log = tmp_path / "audit.log"
    log.write_text(
        line("begun", "kzproxy", "RequestReceived")
        + line("ended", "kzproxy", "ResponseComplete")
        + line("fallen", "kzproxy", "Panic")
        + line("other", "admin", "ResponseComplete")
        + line("half", "kzproxy", "ResponseComplete")[:-1]
    )

    assert [each.audit_id for each in read_audit_events(log, "kzproxy")] == ["ended", "fallen"]
