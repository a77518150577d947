"""A sink keeps whole lines or says why not."""

import fcntl
import os
import stat
import threading
from pathlib import Path

import pytest

from kzproxy.audit.chain import GENESIS, MAX_LINE_BYTES, head_of, seal, verify_chain
from kzproxy.audit.sink import FileSink, StreamSink
from kzproxy.errors.configuration import ConfigurationError
from tests.audit.faults import no_file_grows_over

LINES, HEAD = seal(GENESIS, "0", [b'{"kind":"a"}', b'{"kind":"b"}', b'{"kind":"c"}'])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "decisions.jsonl"


def test_a_new_file_is_private_and_empty(path: Path) -> None:
    old = os.umask(0)
    try:
        sink = FileSink.open(path)
    finally:
        os.umask(old)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert sink.head == GENESIS
    assert path.read_bytes() == b""
    sink.close()


def test_it_goes_on_at_the_end_of_what_is_there(path: Path) -> None:
    path.write_bytes(b"".join(LINES[:2]))
    sink = FileSink.open(path)
    assert sink.head == head_of(LINES[1])
    sink.append(LINES[2])
    sink.sync()
    sink.close()
    with path.open("rb") as log:
        assert verify_chain(log).head == HEAD


@pytest.mark.parametrize("whole", [0, 1, 3])
@pytest.mark.parametrize("torn", [b"{", LINES[0][:-1], b"\0" * 4096])
def test_a_torn_last_line_is_put_aside(path: Path, whole: int, torn: bytes) -> None:
    path.write_bytes(b"".join(LINES[:whole]) + torn)
    sink = FileSink.open(path)
    sink.close()
    assert sink.torn_bytes == len(torn)
    assert path.read_bytes() == b"".join(LINES[:whole])
    assert sink.head.seq == whole
    aside = path.with_name("decisions.jsonl.torn")
    assert aside.read_bytes() == torn + b"\n"
    assert stat.S_IMODE(aside.stat().st_mode) == 0o600


def test_a_second_torn_line_is_put_beside_the_first(path: Path) -> None:
    for torn in (b"one", b"two"):
        path.write_bytes(LINES[0] + torn)
        FileSink.open(path).close()
    assert path.with_name("decisions.jsonl.torn").read_bytes() == b"one\ntwo\n"


def test_a_long_file_is_read_from_its_end(path: Path) -> None:
    long, head = seal(GENESIS, "0", [b'{"kind":"%b"}' % (b"x" * (MAX_LINE_BYTES - 4096))] * 5)
    path.write_bytes(b"".join(long))
    sink = FileSink.open(path)
    assert sink.head == head
    sink.close()


@pytest.mark.parametrize(
    "content",
    [b"hello\n", b"{}\n", LINES[0] + b"\n", LINES[0] + b"x" * (MAX_LINE_BYTES + 1)],
    ids=["text", "other-json", "empty-line", "endless-line"],
)
def test_a_file_that_is_no_decision_log_is_left_alone(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(ConfigurationError, match="does not end as a decision log does"):
        FileSink.open(path)
    assert path.read_bytes() == content


def test_a_missing_directory_is_named(tmp_path: Path) -> None:
    path = tmp_path / "none" / "decisions.jsonl"
    with pytest.raises(ConfigurationError) as refused:
        FileSink.open(path)
    assert str(refused.value) == (
        f"{path}: the decision log cannot be made: its directory does not exist"
    )


def test_a_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be written: Is a directory"):
        FileSink.open(tmp_path)


def test_a_fifo_is_refused_and_does_not_hold_up(path: Path) -> None:
    os.mkfifo(path)
    with pytest.raises(ConfigurationError, match="not a regular file"):
        FileSink.open(path)


def test_two_writers_on_one_file_are_refused(path: Path) -> None:
    first = FileSink.open(path)
    with pytest.raises(ConfigurationError, match="in use by another kzproxy"):
        FileSink.open(path)
    first.close()
    FileSink.open(path).close()


def test_what_does_not_fit_is_taken_back(path: Path) -> None:
    sink = FileSink.open(path)
    sink.append(LINES[0])
    with no_file_grows_over(len(LINES[0]) + 10), pytest.raises(OSError, match="too large"):
        sink.append(LINES[1] + LINES[2])
    assert path.read_bytes() == LINES[0]
    sink.append(LINES[1])
    assert path.read_bytes() == LINES[0] + LINES[1]
    sink.close()


def test_what_does_not_fit_is_taken_back_after_copytruncate(path: Path) -> None:
    """Another program has emptied the file: nothing is cut but what this write put in."""
    sink = FileSink.open(path)
    sink.append(LINES[0])
    os.truncate(path, 0)
    sink.append(LINES[1])
    with no_file_grows_over(len(LINES[1]) + 10), pytest.raises(OSError, match="too large"):
        sink.append(LINES[2])
    assert path.read_bytes() == LINES[1]
    sink.close()


def test_a_moved_file_is_noticed(path: Path) -> None:
    sink = FileSink.open(path)
    assert not sink.moved_away()
    path.rename(path.with_suffix(".1"))
    assert sink.moved_away()
    path.write_bytes(b"")
    assert sink.moved_away()
    sink.close()


def test_a_file_to_rotate_to_must_be_empty(path: Path) -> None:
    path.write_bytes(LINES[0])
    with pytest.raises(ConfigurationError, match="not empty"):
        FileSink.open_empty(path)
    FileSink.open(path).close()


def test_a_pipe_is_written_by_sync() -> None:
    reader, writer = os.pipe()
    sink = StreamSink(writer)
    sink.append(b"one\n")
    sink.append(b"two\n")
    sink.sync()
    assert os.read(reader, 100) == b"one\ntwo\n"
    sink.sync()
    sink.close()
    os.close(reader)
    os.close(writer)


def test_a_pipe_that_others_made_non_blocking_is_waited_for() -> None:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    sink = StreamSink(writer)
    data = b"x" * 300_000
    sink.append(data)
    thread = threading.Thread(target=sink.sync)
    thread.start()
    read = bytearray()
    while len(read) < len(data):
        read += os.read(reader, 65536)
    thread.join()
    assert read == data
    os.close(reader)
    os.close(writer)


def test_a_pipe_that_workers_share_is_written_in_turns(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    turns = tmp_path / "turns"
    sink = StreamSink(writer, turns=turns)
    sink.append(b"ours\n")
    thread = threading.Thread(target=sink.sync)
    with turns.open("ab") as theirs:
        fcntl.flock(theirs, fcntl.LOCK_EX)
        thread.start()
        thread.join(0.1)
        with pytest.raises(BlockingIOError):
            os.read(reader, 100)
    thread.join(10)
    assert os.read(reader, 100) == b"ours\n"
    os.close(reader)
    os.close(writer)


def test_a_full_device_is_an_error() -> None:
    device = os.open("/dev/full", os.O_WRONLY)
    sink = StreamSink(device)
    sink.append(b"one\n")
    with pytest.raises(OSError, match="No space left"):
        sink.sync()
    os.close(device)
