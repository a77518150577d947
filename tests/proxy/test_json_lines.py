from pathlib import Path

import pytest

from tests.proxy.json_lines import end_of_lines, json_lines


def test_a_line_that_is_being_written_is_left_for_the_next_time(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    log.write_bytes('{"n":1}\n{"said":"a\u2028b"}\n{"n":'.encode())

    assert json_lines(log) == [{"n": 1}, {"said": "a\u2028b"}]
    assert json_lines(log, mark=8) == [{"said": "a\u2028b"}]
    assert json_lines(log, mark=end_of_lines(log)) == []


@pytest.mark.parametrize("unfinished", [b"", b'{"n":', b" " * 200_000])
def test_a_mark_is_at_the_end_of_a_whole_line(tmp_path: Path, unfinished: bytes) -> None:
    log = tmp_path / "log.jsonl"
    log.write_bytes(unfinished)
    assert end_of_lines(log) == 0
    log.write_bytes(b'{"n":1}\n{"n":2}\n' + unfinished)
    assert end_of_lines(log) == 16
