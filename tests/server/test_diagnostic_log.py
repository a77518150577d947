"""The diagnostic log, whose reader may be slow, stop, or not be there."""

import contextlib
import fcntl
import logging
import os
import re
import select
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from kzproxy.server.diagnostic_log import MAX_BACKLOG_BYTES, SHOW_STACKS, DiagnosticLog
from tests.proxy.eventually import eventually
from tests.proxy.fixtures import not_started
from tests.proxy.world import request

PODS = "/api/v1/namespaces/a/pods"


def record(text: str, *details: object) -> logging.LogRecord:
    return logging.LogRecord("kzproxy", logging.INFO, __file__, 1, text, details, None)


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reader, writer = os.pipe()
    yield reader, writer
    os.close(writer)
    os.close(reader)


def read_all(reader: int, log: DiagnosticLog) -> bytes:
    """Return what comes until all is written that was to be."""
    read = b""
    while log._written_bytes < log._taken_bytes or select.select([reader], [], [], 0)[0]:
        if select.select([reader], [], [], 0.1)[0]:
            read += os.read(reader, 65536)
    return read


def test_lines_come_in_order_and_as_they_are(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    log = DiagnosticLog(writer)
    log.handle(record("one %d", 1))
    log.handle(record("Grüße \udcff"))
    log.close()

    assert read_all(reader, log) == "one 1\nGrüße \\udcff\n".encode()


def test_what_a_reader_that_stops_does_not_take_is_bounded_and_told(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    log = DiagnosticLog(writer)
    lines = 3 * MAX_BACKLOG_BYTES // 1000
    began = time.monotonic()
    for _ in range(lines):
        log.handle(record("x" * 999))
    assert time.monotonic() - began < 10, "it waits for its reader"
    while not log._left_out:  # There was room for the last one, by chance.
        log.handle(record("x" * 999))
        lines += 1

    came = read_all(reader, log)
    log.handle(record("there again"))
    log.close()
    last = read_all(reader, log)
    told = re.findall(rb"^\.\.\. (\d+) lines are missing here$", came + last, re.MULTILINE)
    assert came.count(b"x\n") + sum(map(int, told)) == lines, "some are told of while it fills"
    assert last == b"... %b lines are missing here\nthere again\n" % told[-1]


def test_a_pipe_that_somebody_has_made_non_blocking_is_waited_for(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    fcntl.fcntl(writer, fcntl.F_SETFL, os.O_NONBLOCK)
    log = DiagnosticLog(writer)
    for number in range(300):
        log.handle(record("%0999d", number))

    assert read_all(reader, log).splitlines()[-1] == b"%0999d" % 299
    log.close()


def test_who_has_no_reader_any_more_goes_on(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    ours = os.dup(writer)
    log = DiagnosticLog(ours)
    os.close(ours)
    log.handle(record("to nobody"))
    log.close()

    assert not select.select([reader], [], [], 0)[0]


@pytest.mark.parametrize("with_copy", [False, True], ids=["alone", "with-the-copy-of-decisions"])
def test_requests_are_served_though_nobody_reads_what_kzproxy_says(
    tmp_path: Path, pipe: tuple[int, int], with_copy: bool
) -> None:
    """As ``kzproxy serve 2>&1 | less`` has it, and a collector whose disk is full."""
    _, writer = pipe
    decision_log = {"file": "decisions.jsonl", "stdout": with_copy}
    with not_started(tmp_path, decisionLog=decision_log) as made:
        proxy = made.world.proxy
        proxy.launch(stdout=writer, stderr=writer)
        proxy.wait_until_ready()
        fill(writer)
        proxy.signal(signal.SIGHUP)  # Which it has something to say about.
        time.sleep(1)
        asked = request("GET", PODS, made.world.token("al", "testers"))
        with made.world.client(seconds=5) as client:
            assert client.ask(asked).status == 200
        assert proxy.ops("/livez")[0] == 200


def test_who_asks_is_told_where_each_thread_is_and_requests_are_served(tmp_path: Path) -> None:
    with not_started(tmp_path) as made:
        proxy = made.world.proxy
        proxy.launch()
        proxy.wait_until_ready()
        proxy.signal(SHOW_STACKS)
        eventually(lambda: "Current thread" in proxy.diagnostics, lambda: proxy.diagnostics)
        asked = request("GET", PODS, made.world.token("al", "testers"))
        with made.world.client() as client:
            assert client.ask(asked).status == 200

    assert re.search(
        r'^  File ".*/serve\.py", line \d+ in command$', proxy.diagnostics, re.MULTILINE
    )


def fill(writer: int) -> None:
    """Leave no room in a pipe, without making it non-blocking for others."""
    beside = os.open(f"/proc/self/fd/{writer}", os.O_WRONLY | os.O_NONBLOCK)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(beside, b"filler\n")
    os.close(beside)
