"""A process that is killed, or whose output nobody reads."""

import asyncio
import json
import os
import random
import signal
import sys
from asyncio.subprocess import PIPE, Process
from pathlib import Path

import pytest

from kzproxy.audit.chain import GENESIS, verify_chain
from kzproxy.audit.decision_log import DecisionLog, DecisionLogSettings
from kzproxy.audit.rotation import moved_files
from kzproxy.clock.system import SystemClock
from tests.audit.samples import lines_of

ROOT = Path(__file__).parents[2]


async def started(path: Path, mode: str, count: int) -> Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        str(Path(__file__).with_name("writer.py")),
        str(path),
        mode,
        str(count),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=PIPE,
        stderr=PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def whole_lines(path: Path) -> list[bytes]:
    """Return the lines of a log whose writer was killed, perhaps in the middle of its last one."""
    written, _, _ = path.read_bytes().rpartition(b"\n")
    return written.splitlines()


async def test_what_was_acknowledged_before_a_kill_is_in_the_log(tmp_path: Path) -> None:
    """Five times kill -9 at a time of chance, each time going on in the same file."""
    path = tmp_path / "decisions.jsonl"
    chance = random.Random(3)
    acknowledged = 0
    for _ in range(5):
        before = len(whole_lines(path)) if path.exists() else 0
        process = await started(path, "file", 1_000_000)
        assert process.stdout is not None
        names = [(await process.stdout.readline()).decode().strip() for _ in range(50)]
        await asyncio.sleep(chance.random() / 5)
        process.send_signal(signal.SIGKILL)
        out, _ = await process.communicate()
        names += out.decode().rpartition("\n")[0].splitlines()
        written = {json.loads(line).get("audit_id") for line in whole_lines(path)[before:]}
        assert set(names) <= written
        acknowledged += len(names)
    assert acknowledged > 250
    settings = DecisionLogSettings(file=path, stdout=False)
    await DecisionLog.open(settings, SystemClock()).close()
    with path.open("rb") as log:
        verified = verify_chain(log)
    assert verified.lines == len(lines_of(path))
    assert [line["kind"] for line in lines_of(path)].count("resumed") == 5


async def test_a_kill_in_the_middle_of_a_rotation_does_not_break_the_chain(tmp_path: Path) -> None:
    """Ten times kill -9 as soon as a file is moved away, which the next line comes after."""
    path = tmp_path / "decisions.jsonl"
    acknowledged: set[str] = set()
    for _ in range(10):
        before = len(moved_files(path))
        process = await started(path, "rotating", 1_000_000)
        while len(moved_files(path)) == before:
            assert process.returncode is None
            await asyncio.sleep(0)
        process.send_signal(signal.SIGKILL)
        out, _ = await process.communicate()
        acknowledged.update(out.decode().rpartition("\n")[0].splitlines())
    await DecisionLog.open(DecisionLogSettings(file=path, stdout=False), SystemClock()).close()
    lines = [
        line
        for file in (*moved_files(path), path)
        for line in file.read_bytes().splitlines(keepends=True)
    ]
    assert verify_chain(lines).start == GENESIS
    assert acknowledged <= {json.loads(line).get("audit_id") for line in lines}


async def test_a_copy_that_nobody_reads_holds_up_nothing_and_says_what_it_lacks(
    tmp_path: Path,
) -> None:
    path = tmp_path / "decisions.jsonl"
    process = await started(path, "copy", 1000)
    assert process.stderr is not None
    assert process.stdout is not None
    async with asyncio.timeout(240):  # Some hundred records each wait for the disk.
        while not (line := await process.stderr.readline()).startswith(b"dropped="):
            assert line != b""
    dropped = int(line.removeprefix(b"dropped="))
    copy = await process.stdout.read()
    await process.wait()
    assert dropped > 0
    *whole, _ = copy.split(b"\n")  # the last may have been given up in the middle
    sequence = [json.loads(line)["seq"] for line in whole]
    assert len(sequence) < 16003
    assert sequence == sorted(set(sequence))
    assert [line["kind"] for line in lines_of(path)].count("decision") == 8000
    with path.open("rb") as log:
        verify_chain(log)


async def test_a_copy_that_is_read_is_the_whole_log(tmp_path: Path) -> None:
    path = tmp_path / "decisions.jsonl"
    process = await started(path, "copy", 50)
    copy, errors = await process.communicate()
    assert b"dropped=0" in errors
    assert copy == path.read_bytes()


@pytest.mark.parametrize("count", [1, 50])
async def test_standard_output_alone_is_a_whole_chain(tmp_path: Path, count: int) -> None:
    process = await started(tmp_path / "none", "stdout", count)
    out, _ = await process.communicate()
    verified = verify_chain(out.splitlines(keepends=True))
    assert verified.lines == 2 + 16 * count
    assert not (tmp_path / "none").exists()
