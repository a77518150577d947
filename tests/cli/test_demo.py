"""The command line of ``kzproxy demo`` says what is wrong with it."""

import pwd

import pytest
from click.testing import CliRunner

from kzproxy.cli.demo import command


def run(*arguments):
    return CliRunner().invoke(command, list(arguments))


@pytest.mark.parametrize(
    "arguments",
    [["--kubeconfig", "x"], ["--context", "x"], ["--kubeconfig", "x", "--context", ""]],
)
def test_another_cluster_is_named_by_both_or_not_at_all(arguments):
    result = run(*arguments)
    assert result.exit_code == 2
    assert "--kubeconfig and --context go together" in result.output


def test_a_user_needs_a_command():
    result = run("--as", "developer")
    assert result.exit_code == 2
    assert "--as USER needs a command" in result.output


def test_an_unknown_user_is_told_the_known_ones():
    result = run("--as", "root", "--", "true")
    assert result.exit_code == 2
    assert "'developer', 'operator', 'guest', 'admin'" in result.output


def test_a_directory_that_is_open_to_others_is_refused(tmp_path):
    tmp_path.chmod(0o755)
    result = run("--dir", str(tmp_path), "--", "true")
    assert result.exit_code == 1
    assert result.output.startswith("kzproxy demo: ")
    assert "chmod 700" in result.output


def test_a_control_plane_that_is_not_built_is_one_clear_line(tmp_path):
    environment = {"KZPROXY_CONTROLPLANE_CACHE": str(tmp_path), "KUBEBUILDER_ASSETS": ""}
    arguments = ["--dir", str(tmp_path / "demo"), "--", "true"]
    result = CliRunner().invoke(command, arguments, env=environment)
    assert result.exit_code == 1
    assert "make controlplane" in result.output
    assert result.output.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "way_out"),
    [([], "name a place by --dir"), (["--dir", "demo"], "KZPROXY_CONTROLPLANE_CACHE")],
)
def test_a_user_without_a_home_is_told_what_to_set(arguments, way_out, tmp_path, monkeypatch):
    def unknown(user_id):
        raise KeyError(user_id)

    monkeypatch.setattr(pwd, "getpwuid", unknown)  # As in a container that runs as any user.
    for name in ("HOME", "XDG_STATE_HOME", "KZPROXY_CONTROLPLANE_CACHE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    result = run(*arguments, "--", "true")
    assert result.exit_code == 1
    assert f"no home directory; set HOME, or {way_out}" in result.output
    assert result.output.count("\n") == 1
