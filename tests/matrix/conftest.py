"""Prints the matrix after the tests."""

import pytest

from tests.matrix.table import MEASURED, table


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if MEASURED:
        terminalreporter.section(
            "milliseconds from the fact to the last byte, a client that reads and one that does not"
        )
        for line in table():
            terminalreporter.write_line(line)
