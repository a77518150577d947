from pathlib import Path

from tests.proxy.json_lines import json_lines


def test_a_line_that_is_being_written_is_left_for_the_next_time(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    log.write_bytes('{"n":1}\n{"said":"a\u2028b"}\n{"n":'.encode())

    assert json_lines(log) == [{"n": 1}, {"said": "a\u2028b"}]
    assert json_lines(log, mark=8) == [{"said": "a\u2028b"}]
