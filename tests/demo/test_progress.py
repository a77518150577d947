"""Slow steps are told on stderr, unless a command has the word."""

import io

from rich.console import Console

from kzproxy.demo.progress import Progress


def said(*, quiet, terminal=False):
    stream = io.StringIO()
    progress = Progress(Console(file=stream, force_terminal=terminal, width=40), quiet=quiet)
    with progress.step("starting [things]"):
        pass
    progress.warn("a long warning that does not fit into forty columns")
    return stream.getvalue()


def test_elsewhere_than_at_a_terminal_a_step_is_a_line():
    assert said(quiet=False).splitlines() == [
        "kzproxy demo: starting [things] ...",
        "kzproxy demo: a long warning that does not fit into forty columns",
    ]


def test_at_a_terminal_it_turns_and_goes():
    assert "starting" in said(quiet=False, terminal=True)


def test_a_quiet_one_tells_warnings_only():
    assert said(quiet=True).startswith("kzproxy demo: a long warning")
