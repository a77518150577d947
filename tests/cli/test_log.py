"""``kzproxy log`` on real files."""

import json
import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from kzproxy.audit.chain import GENESIS, seal
from kzproxy.audit.schema import json_schema
from kzproxy.cli.log import command
from tests.audit.samples import completed_record, permit_record

LINES, HEAD = seal(
    GENESIS,
    "0",
    [msgspec.json.encode(permit_record("a")), msgspec.json.encode(completed_record("a"))] * 3,
)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "decisions.jsonl"
    path.write_bytes(b"".join(LINES))
    return path


def test_a_whole_chain_is_said_to_be_whole(log: Path) -> None:
    result = CliRunner().invoke(command, ["verify", str(log)])
    assert result.exit_code == 0
    assert result.output == (
        f"6 lines of worker 0, the chain is whole\nends with line 6, hash {HEAD.line_hash}\n"
    )


def test_a_broken_chain_names_the_line_and_fails(log: Path) -> None:
    log.write_bytes(b"".join([*LINES[:2], LINES[2].replace(b"permit", b"denied"), *LINES[3:]]))
    result = CliRunner().invoke(command, ["verify", str(log)])
    assert result.exit_code == 1
    assert f"{log}:4: prev is not the hash of the line before" in result.output


def test_files_of_a_rotation_are_verified_as_one_chain(log: Path) -> None:
    old = log.with_name("old")
    old.write_bytes(b"".join(LINES[:4]))
    log.write_bytes(b"".join(LINES[4:]))
    assert CliRunner().invoke(command, ["verify", str(old), str(log)]).exit_code == 0
    swapped = CliRunner().invoke(command, ["verify", str(log), str(old)])
    assert swapped.exit_code == 1
    assert f"{old}:1: seq is 1, expected 7" in swapped.output
    alone = CliRunner().invoke(command, ["verify", str(log)])
    assert "goes on from line 4 of an earlier file" in alone.output


def test_an_empty_log_is_whole(log: Path) -> None:
    log.write_bytes(b"")
    assert CliRunner().invoke(command, ["verify", str(log)]).exit_code == 0


def test_a_missing_file_is_a_mistake_of_usage(tmp_path: Path) -> None:
    assert CliRunner().invoke(command, ["verify", str(tmp_path / "none")]).exit_code == 2


def test_show_prints_a_line_for_each_record(log: Path) -> None:
    with log.open("ab") as file:
        file.write(b"\x1b[2Jno record\n")
    lines = CliRunner().invoke(command, ["show", str(log)]).output.splitlines()
    assert len(lines) == 7
    assert "permit" in lines[0]
    assert "ended normal" in lines[1]
    assert lines[6] == "(a line that is no record)"


def test_show_can_leave_out_what_was_permitted(log: Path) -> None:
    assert CliRunner().invoke(command, ["show", "--refused", str(log)]).output == ""


def test_the_schema_is_printed() -> None:
    assert json.loads(CliRunner().invoke(command, ["schema"]).output) == json_schema()


def test_following_goes_on_as_the_file_grows_and_after_a_rotation(log: Path) -> None:
    """In a process of its own, from the command line that a user types."""
    log.write_bytes(LINES[0])
    with subprocess.Popen(
        [
            sys.executable,
            "-c",
            "from kzproxy.cli.main import main; main()",
            "log",
            "show",
            "--follow",
            str(log),
        ],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    ) as process:
        assert process.stdout is not None
        assert b"permit" in process.stdout.readline()
        with log.open("ab") as file:
            file.write(LINES[1][:20])
            file.flush()
            file.write(LINES[1][20:])
        assert b"ended" in process.stdout.readline()
        log.rename(log.with_name("old"))
        log.write_bytes(LINES[2])
        assert b"permit" in process.stdout.readline()
        process.terminate()
