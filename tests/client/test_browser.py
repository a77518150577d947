"""Whether there is a browser, and opening it."""

import sys
from pathlib import Path

import pytest

from kzproxy.client.browser import has_browser, open_browser
from kzproxy.client.failure import ClientFailure

RECORD = "import sys, pathlib; pathlib.Path(sys.argv[1]).write_text(sys.argv[2]); print('noise')"


@pytest.mark.parametrize(
    ("environ", "platform", "found"),
    [
        ({}, "linux", False),
        ({"DISPLAY": ":0"}, "linux", True),
        ({"WAYLAND_DISPLAY": "wayland-0"}, "linux", True),
        ({"DISPLAY": ":10", "SSH_CONNECTION": "a b c d"}, "linux", False),
        ({"SSH_TTY": "/dev/pts/1"}, "darwin", False),
        ({}, "darwin", True),
        ({}, "win32", True),
        ({"BROWSER": "lynx", "SSH_TTY": "x"}, "linux", True),
    ],
)
def test_a_browser_is_in_front_of_the_user_or_not(
    environ: dict[str, str], platform: str, *, found: bool
) -> None:
    assert has_browser(environ, platform) == found


def test_the_command_gets_the_url_as_its_last_argument_and_no_shell(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    url = "https://issuer.test/?a=b&c=$(touch x);"
    command = f'"{sys.executable}" -c "{RECORD}" "{tmp_path / "a file"}"'
    assert open_browser(url, command).wait() == 0
    assert (tmp_path / "a file").read_text() == url
    assert capfd.readouterr() == ("", "")


def test_pythons_own_choice_honours_the_users(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    script = tmp_path / "browser"
    script.write_text(f"#!/bin/sh\necho noise\nprintf %s \"$1\" > '{tmp_path}/opened'\n")
    script.chmod(0o700)
    monkeypatch.setenv("BROWSER", str(script))
    assert open_browser("https://issuer.test/", "").wait() == 0
    assert (tmp_path / "opened").read_text() == "https://issuer.test/"
    assert capfd.readouterr() == ("", "")


def test_what_lies_in_the_present_directory_is_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kubectl is used in repositories that were cloned from anywhere."""
    (tmp_path / "webbrowser.py").write_text("import pathlib; pathlib.Path('run').touch()")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BROWSER", "true")
    assert open_browser("https://issuer.test/", "").wait() == 0
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("command", ["/nowhere/browser", 'unclosed "quote'])
def test_a_command_that_cannot_be_run_is_said(command: str) -> None:
    with pytest.raises(ClientFailure, match="the browser cannot be started with"):
        open_browser("https://issuer.test/", command)
