"""The entry point and the table of commands."""

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from kzproxy.cli import command_group
from kzproxy.cli.command_group import COMMANDS, Entry, group, run

ROOT = Path(__file__).parents[2]
SAY_MODULES = """
import json, sys
from kzproxy.cli.main import main
try:
    main()
except SystemExit:
    print(json.dumps([name for name in sys.modules if name.startswith("kzproxy")]), file=sys.stderr)
"""


def kzproxy(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "kzproxy", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def test_every_command_in_the_table_is_there() -> None:
    for name, entry in COMMANDS.items():
        found = importlib.import_module(entry.module).command
        assert isinstance(found, click.Command)
        assert CliRunner().invoke(group, [name, "--help"]).exit_code == 0


def test_help_lists_every_command_without_importing_any() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SAY_MODULES, "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name, entry in COMMANDS.items():
        assert name in done.stdout
        assert entry.summary in done.stdout
    loaded = json.loads(done.stderr)
    assert [name for name in loaded if name in {entry.module for entry in COMMANDS.values()}] == []
    assert [name for name in loaded if name.startswith("kzproxy.server")] == []


def test_the_version_is_the_packages() -> None:
    assert kzproxy("--version").stdout == kzproxy("version").stdout == "kzproxy 0.1.0\n"


def test_an_unknown_command_is_a_mistake() -> None:
    done = kzproxy("nonsense")
    assert done.returncode == 2
    assert "No such command 'nonsense'" in done.stderr


def test_a_failure_is_one_line_and_exit_1(tmp_path: Path) -> None:
    done = kzproxy("whoami", "--kubeconfig", str(tmp_path / "missing"))
    assert done.returncode == 1
    assert done.stderr == (
        "kzproxy: the kubeconfig has no current context; name one with --context\n"
    )


def test_a_misused_option_is_one_line_and_exit_2() -> None:
    done = kzproxy("login", "--issuer=http://issuer.test", "--client-id=x")
    assert done.returncode == 2
    assert done.stderr.startswith("kzproxy: --issuer must be an https:// URL")
    assert done.stderr.count("\n") == 1


def test_every_mistake_in_a_configuration_is_a_line_and_exit_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "kzproxy.yaml"
    file.write_text("apiVersion: kzproxy.dev/v1\nkind: ProxyConfiguration\nodd: 1\nother: 2\n")
    with pytest.raises(SystemExit) as ended:
        run(["config", "check", str(file)])
    assert ended.value.code == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) >= 2
    assert all(line.startswith(f"kzproxy: {file}:") for line in lines)


def test_a_package_of_the_server_that_is_missing_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "needs_more.py").write_text("import a_package_that_is_not_there\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(command_group.COMMANDS, "serve", Entry("needs_more", "Run."))
    result = CliRunner().invoke(group, ["serve"])
    assert result.exit_code == 1
    assert "`kzproxy serve` needs the Python package a_package_that_is_not_there" in result.output
    assert "pip install 'kzproxy[server]'" in result.output


@pytest.mark.parametrize("arguments", [["version"], ["--help"], ["policy", "schema"]])
def test_output_that_cannot_be_written_is_a_line_and_exit_1(arguments: list[str]) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "kzproxy", *arguments],
            cwd=ROOT,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert (done.returncode, done.stderr) == (1, "kzproxy: No space left on device\n")


def test_a_file_that_cannot_be_used_is_named() -> None:
    says = (
        "import sys; from kzproxy.client.standard_output import unwritten;"
        "said = unwritten(FileNotFoundError(2, 'No such file or directory', 'a/b'));"
        "sys.stderr.write(said)"
    )
    done = subprocess.run(
        [sys.executable, "-c", says], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stderr == "a/b: No such file or directory"


def test_an_argument_that_is_not_utf_8_is_a_line_and_exit_1() -> None:
    """A shell hands over any bytes."""
    done = kzproxy("device", "list", "--user", "\udcff", "--kubeconfig", "/dev/null")
    assert done.returncode == 1
    assert done.stderr == "kzproxy: '\\udcff' cannot be written in utf-8\n"


# What only the server's part of the installation brings.
WITHOUT_THE_SERVERS = """
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("msgspec", "cel_expr_python", "aiohttp", "jwt"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name.partition(".")[0])
sys.meta_path.insert(0, Missing())
from kzproxy.cli.main import main
main()
"""


def in_the_base_install(*arguments: str, **environ: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", WITHOUT_THE_SERVERS, *arguments],
        cwd=ROOT,
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        check=False,
    )


def test_dropping_from_the_store_names_the_package_that_the_base_install_lacks(
    tmp_path: Path,
) -> None:
    (tmp_path / "store.db").touch()
    done = in_the_base_install("store", "drop", "a", "b", "--file", str(tmp_path / "store.db"))
    assert done.returncode == 1
    assert "`kzproxy store drop` needs the Python package" in done.stderr
    assert "Traceback" not in done.stderr
    assert in_the_base_install("store", "new-key").returncode == 0


def test_a_word_of_a_command_that_the_base_install_lacks_is_completed_with_nothing() -> None:
    words = {"COMP_WORDS": "kzproxy policy check ", "COMP_CWORD": "3"}
    done = in_the_base_install(_KZPROXY_COMPLETE="bash_complete", **words)
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "", "")


def test_the_plugin_is_dispatched_before_click() -> None:
    code = "import sys\nfrom kzproxy.cli.main import main\ntry:\n    main()\nexcept SystemExit:\n"
    code += "    print('click' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code, "credential", "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.endswith("False\n")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_clicks_script(shell: str) -> None:
    done = kzproxy("completion", shell)
    assert done.returncode == 0, done.stderr
    assert f"_KZPROXY_COMPLETE={shell}_complete" in done.stdout


def test_commands_and_options_are_completed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_KZPROXY_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_CWORD", "1")
    monkeypatch.setenv("COMP_WORDS", "kzproxy log")
    assert kzproxy().stdout.split() == ["plain,login", "plain,logout", "plain,log"]
    monkeypatch.setenv("COMP_CWORD", "2")
    monkeypatch.setenv("COMP_WORDS", "kzproxy login --issuer-")
    assert kzproxy().stdout.split() == ["plain,--issuer-ca"]


def test_a_kubeconfig_without_p_runs_no_module_of_the_present_directory(tmp_path: Path) -> None:
    """As earlier versions wrote it; kubectl is used in repositories cloned from anywhere."""
    for name in ("json", "hashlib", "httpx"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('planted')")
    issuer = ["--issuer=https://localhost:9", "--client-id=kubectl", "--no-browser"]
    done = subprocess.run(
        [sys.executable, "-m", "kzproxy", "credential", *issuer],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT), "KZPROXY_CACHE_DIR": str(tmp_path / "cache")},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "planted" not in done.stderr
    assert "cannot be reached" in done.stderr
