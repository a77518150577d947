"""Tables: nothing that is to be copied from one is cut."""

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from kzproxy.cli.table import table_lines

ROOT = Path(__file__).parents[2]
SESSION = "0123456789abcdef0123456789abcdef"
DEVICE = "4f1d0c6b9a2e7d35"
USER = "oidc:ana.of.a.long.name@example.com"
LISTS = {
    SESSION: (
        "from kzproxy.cli.sessions import print_sessions as show;"
        f"show([{{'id': {SESSION!r}, 'user': {USER!r}, 'device': {DEVICE!r},"
        " 'address': '2001:db8::1', 'beganAt': '2026-11-22T10:00:00Z'}])"
    ),
    DEVICE: (
        "from kzproxy.cli.device_report import print_devices as show;"
        f"show([{{'id': {DEVICE!r}, 'user': {USER!r}, 'name': 'ana-laptop.example.com',"
        " 'state': 'pending', 'platform': 'linux', 'enrolledAt': '2026-11-22T10:00:00Z'}])"
    ),
}


def at_a_terminal(program: str, columns: int) -> str:
    """Return what a program writes to a terminal of so many columns."""
    ours, theirs = pty.openpty()
    running = subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env={**os.environ, "COLUMNS": str(columns), "LINES": "24"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    written = b""
    try:
        while data := os.read(ours, 4096):
            written += data
    except OSError:  # the end, on Linux
        pass
    finally:
        os.close(ours)
    assert running.wait() == 0, written
    return written.decode()


@pytest.mark.parametrize("known_by", LISTS)
def test_an_id_can_be_copied_from_a_narrow_terminal(known_by: str) -> None:
    shown = at_a_terminal(LISTS[known_by], columns=80)

    assert f"{known_by}  " in shown
    assert USER in shown


def test_columns_are_as_wide_as_what_is_in_them_and_nothing_follows_the_last() -> None:
    rows = [["a", None, 3], ["longer", "x\x1b[2J", ""]]

    assert list(table_lines(("ID", "NAME", "N"), rows)) == [
        "ID      NAME   N",
        "a              3",
        "longer  x?[2J",
    ]
