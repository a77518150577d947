"""Reasons are kept for whom they are of and as long as they hold; nothing else passes as one."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from kzproxy.administrator import reasons
from kzproxy.administrator.reasons import Reason, ReasonSettings, ReasonStore
from kzproxy.errors.configuration import ConfigurationError
from kzproxy.errors.kinds import ServiceUnavailable

NOW = datetime(2026, 5, 4, 9, 30, tzinfo=UTC)
INCIDENT = Reason(session="s", user="alice", text="INC-1", ends_at=NOW + timedelta(hours=1))


def opened(directory: Path) -> ReasonStore:
    return ReasonStore.open(ReasonSettings(directory=directory, maximum=timedelta(hours=8)))


@pytest.fixture
def store(tmp_path: Path) -> ReasonStore:
    return opened(tmp_path / "reasons")


def the_file(tmp_path: Path) -> Path:
    (file,) = (tmp_path / "reasons").iterdir()
    return file


def test_what_one_keeps_another_reads(store: ReasonStore, tmp_path: Path) -> None:
    store.write(INCIDENT, NOW)
    assert opened(tmp_path / "reasons").read("s", "alice", NOW) == INCIDENT


def test_nobody_else_may_read_the_files(store: ReasonStore, tmp_path: Path) -> None:
    store.write(INCIDENT, NOW)
    assert the_file(tmp_path).stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "reasons").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(("session", "user"), [("s", "bob"), ("t", "alice"), ("sa", "lice")])
def test_it_is_of_one_session_and_user(store: ReasonStore, session: str, user: str) -> None:
    store.write(INCIDENT, NOW)
    assert store.read(session, user, NOW) is None


def test_at_its_end_it_is_none(store: ReasonStore) -> None:
    store.write(INCIDENT, NOW)
    assert store.read("s", "alice", INCIDENT.ends_at - timedelta(microseconds=1)) == INCIDENT
    assert store.read("s", "alice", INCIDENT.ends_at) is None


def test_none_holds_for_longer_than_the_longest_may(store: ReasonStore) -> None:
    """It was given by a clock that was ahead, or while longer ones were allowed."""
    store.write(INCIDENT, NOW)
    longest = INCIDENT.ends_at - store.maximum
    assert store.read("s", "alice", longest) == INCIDENT
    assert store.read("s", "alice", longest - timedelta(microseconds=1)) is None


def test_what_is_taken_back_is_gone(store: ReasonStore) -> None:
    store.write(INCIDENT, NOW)
    store.remove("s", "alice")
    store.remove("s", "alice")
    assert store.read("s", "alice", NOW) is None


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b'{"session":"s","user":"alice","text":"","ends_at":"2026-05-04T10:30:00Z"}',
        b'{"session":"s","user":"alice","text":"x","ends_at":"2026-05-04T10:30:00"}',
        b'{"session":"s","user":"bob","text":"x","ends_at":"2026-05-04T10:30:00Z"}',
        b" " * 9000,
    ],
)
def test_what_is_no_reason_counts_as_none(
    store: ReasonStore, tmp_path: Path, content: bytes
) -> None:
    store.write(INCIDENT, NOW)
    the_file(tmp_path).write_bytes(content)
    assert store.read("s", "alice", NOW) is None


def test_a_link_is_not_followed(store: ReasonStore, tmp_path: Path) -> None:
    store.write(INCIDENT, NOW)
    file = the_file(tmp_path)
    elsewhere = file.rename(tmp_path / "elsewhere")
    file.symlink_to(elsewhere)
    assert store.read("s", "alice", NOW) is None


def test_it_is_bounded_and_what_has_ended_makes_room(
    store: ReasonStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reasons, "MAX_REASONS", 2)
    for session in "ab":
        store.write(Reason(session=session, user="u", text="x", ends_at=INCIDENT.ends_at), NOW)
    third = Reason(session="c", user="u", text="x", ends_at=NOW + timedelta(hours=3))
    with pytest.raises(ServiceUnavailable):
        store.write(third, NOW)
    store.write(third, INCIDENT.ends_at)
    assert store.read("c", "u", INCIDENT.ends_at) == third


def test_a_directory_that_others_may_enter_is_refused(tmp_path: Path) -> None:
    directory = tmp_path / "reasons"
    directory.mkdir()
    directory.chmod(0o750)
    with pytest.raises(ConfigurationError, match="kzproxy alone"):
        opened(directory)


def test_a_link_to_a_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir(mode=0o700)
    (tmp_path / "reasons").symlink_to(tmp_path / "real")
    with pytest.raises(ConfigurationError, match="not a directory"):
        opened(tmp_path / "reasons")


def test_a_disk_that_fails_is_said(store: ReasonStore, tmp_path: Path) -> None:
    (tmp_path / "reasons").rmdir()
    with pytest.raises(ServiceUnavailable):
        store.write(INCIDENT, NOW)
    assert store.read("s", "alice", NOW) is None
