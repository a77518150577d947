"""``kzproxy log`` on real files."""

import itertools
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from kzproxy.audit.chain import GENESIS, seal
from kzproxy.audit.rotation import move_aside, moved_files
from kzproxy.audit.schema import json_schema
from kzproxy.cli.log import _followed as followed
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


def test_a_log_that_is_rotated_while_it_is_verified_is_whole(log: Path) -> None:
    """To read the older files takes minutes: a broken chain would be a false alarm."""
    log.write_bytes(b"".join(LINES[2:4]))
    older = log.with_name("older")
    os.mkfifo(older)

    def write() -> None:
        with older.open("wb") as file:  # Returns once it is being read.
            rotated(log, LINES[4:])
            file.write(b"".join(LINES[:2]))

    with ThreadPoolExecutor() as threads:
        threads.submit(write)
        result = CliRunner().invoke(command, ["verify", str(older), str(log)])
    assert result.exit_code == 0, result.output
    assert "4 lines of worker 0, the chain is whole" in result.output


def test_an_older_file_that_is_removed_meanwhile_is_said(log: Path) -> None:
    log.write_bytes(b"".join(LINES[2:4]))
    first, older = log.with_name("first"), log.with_name("older")
    os.mkfifo(first)
    older.touch()

    def write() -> None:
        with first.open("wb"):
            older.unlink()

    with ThreadPoolExecutor() as threads:
        threads.submit(write)
        result = CliRunner().invoke(command, ["verify", str(first), str(older), str(log)])
    assert result.exit_code == 1
    assert f"{older}: No such file or directory" in result.output


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


@pytest.mark.parametrize("depth", range(100, 1100, 5))
def test_show_goes_on_after_a_line_that_is_nested_deeply(log: Path, depth: int) -> None:
    log.write_bytes(b'{"kind": "x", "after": %s%s}\n' % (b"[" * depth, b"]" * depth) + LINES[0])
    result = CliRunner().invoke(command, ["show", str(log)])
    assert result.exit_code == 0
    assert len(result.output.splitlines()) == 2


@pytest.mark.parametrize(
    ("environment", "coloured"),
    [
        ({"TERM": "xterm", "NO_COLOR": ""}, True),
        ({"TERM": "xterm", "NO_COLOR": "1"}, False),
        ({"TERM": "dumb", "NO_COLOR": ""}, False),
    ],
)
def test_show_has_no_colours_where_none_are_wanted(
    log: Path, environment: dict[str, str], coloured: bool
) -> None:
    result = CliRunner(env=environment).invoke(command, ["show", str(log)], color=True)
    assert ("\x1b[" in result.output) is coloured


def test_show_can_leave_out_what_was_permitted(log: Path) -> None:
    assert CliRunner().invoke(command, ["show", "--refused", str(log)]).output == ""


def test_what_was_permitted_and_yet_refused_or_cut_is_not_left_out(log: Path) -> None:
    """A request whose sign-in ended while it was written down; a stream that policy cut."""
    ends = [b'"termination":"%b"' % end for end in (b"refused", b"policy-cut", b"client-gone")]
    lines = [LINES[1].replace(b'"termination":"normal"', end) for end in ends]
    log.write_bytes(b"".join([LINES[0], *lines]))
    shown = CliRunner().invoke(command, ["show", "--refused", str(log)]).output.splitlines()
    assert [line.split()[2] for line in shown] == ["refused", "policy-cut"]


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


def rotated(log: Path, lines: list[bytes]) -> None:
    """Go on in another file, as kzproxy does."""
    seq = json.loads(log.read_bytes().splitlines()[-1])["seq"]
    move_aside(log, seq=seq, now=datetime(2026, 5, 4, 9, 30, tzinfo=UTC))
    log.write_bytes(b"".join(lines))


def read(reading: Iterator[bytes], count: int) -> list[bytes]:
    return list(itertools.islice(reading, count))


def test_following_passes_over_no_file_however_often_the_log_rotates(log: Path) -> None:
    log.write_bytes(LINES[0])
    rotated(log, LINES[1:3])
    with closing(followed(log)) as reading:
        assert read(reading, 1) == [LINES[1]]
        rotated(log, [LINES[3]])
        rotated(log, [LINES[4]])
        rotated(log, [LINES[5]])
        assert read(reading, 2) == LINES[2:4]
        moved_files(log)[0].unlink()
        assert read(reading, 2) == LINES[4:6]


def test_following_goes_on_with_what_is_left_where_the_oldest_were_removed(log: Path) -> None:
    log.write_bytes(LINES[0])
    with closing(followed(log)) as reading:
        assert read(reading, 1) == [LINES[0]]
        for lines in (LINES[1:2], LINES[2:3], LINES[3:5]):
            rotated(log, lines)
        for old in moved_files(log)[:2]:
            old.unlink()
        assert read(reading, 2) == LINES[2:4]
        assert read(reading, 1) == [LINES[4]]
        rotated(log, LINES[5:])
        assert read(reading, 1) == LINES[5:]
