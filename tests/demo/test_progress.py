"""Slow steps are told on stderr, unless a command has the word."""

import io

import pytest
from rich.console import Console

from kzproxy.demo.progress import Progress

PLAIN = [
    "kzproxy demo: starting [things] ...",
    "kzproxy demo: a long warning that does not fit into forty columns",
]


def said(*, quiet, terminal=""):
    stream = io.StringIO()
    console = Console(
        file=stream, force_terminal=bool(terminal), width=40, _environ={"TERM": terminal}
    )
    progress = Progress(console, quiet=quiet)
    with progress.step("starting [things]"):
        pass
    progress.warn("a long warning that does not fit into forty columns")
    return stream.getvalue()


@pytest.mark.parametrize("terminal", ["", "dumb"])
def test_where_nothing_can_turn_a_step_is_a_line(terminal):
    assert said(quiet=False, terminal=terminal).splitlines() == PLAIN


def test_at_a_terminal_it_turns_and_goes():
    shown = said(quiet=False, terminal="xterm")

    assert "starting [things] ..." in shown
    assert PLAIN[0] not in shown


def test_a_quiet_one_tells_warnings_only():
    assert said(quiet=True).startswith("kzproxy demo: a long warning")
