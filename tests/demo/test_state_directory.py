from pathlib import Path

import pytest

from kzproxy.demo.component import ControlPlaneError
from kzproxy.demo.state_directory import StateDirectory


def test_what_an_earlier_cluster_left_is_removed(tmp_path: Path):
    first = StateDirectory(tmp_path / "state")
    first.claim()
    (first.path / "etcd").mkdir()
    (first.path / "etcd" / "data").touch()
    (first.path / "audit.log").touch()
    first.release()
    second = StateDirectory(tmp_path / "state")
    second.claim()
    assert not (second.path / "etcd").exists()
    assert not (second.path / "audit.log").exists()
    second.release()


def test_a_directory_of_someones_own_is_left_alone(tmp_path: Path):
    (tmp_path / "thesis.txt").write_text("irreplaceable")
    with pytest.raises(ControlPlaneError, match="neither empty nor"):
        StateDirectory(tmp_path).claim()
    assert (tmp_path / "thesis.txt").read_text() == "irreplaceable"


def test_what_a_link_leads_to_is_left_alone(tmp_path: Path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "thesis.txt").touch()
    state = StateDirectory(tmp_path / "state")
    state.claim()
    (state.path / "link").symlink_to(elsewhere)
    state.release()
    state.claim()
    state.release()
    assert (elsewhere / "thesis.txt").exists()


def test_two_at_once_are_refused(tmp_path: Path):
    first, second = StateDirectory(tmp_path), StateDirectory(tmp_path)
    first.claim()
    (tmp_path / "audit.log").touch()
    with pytest.raises(ControlPlaneError, match="another control plane runs"):
        second.claim()
    assert (tmp_path / "audit.log").exists()
    first.release()
    second.claim()
    second.release()


def test_the_directory_is_its_owners_alone(tmp_path: Path):
    state = StateDirectory(tmp_path / "state")
    state.claim()
    assert state.path.stat().st_mode & 0o777 == 0o700
    state.release()
