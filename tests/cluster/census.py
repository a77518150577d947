"""A pytest plugin that counts the cluster tests: where they are required, none is not enough.

They are required with ``--require-cluster`` and wherever ``CI`` is ``true``. ``--without-cluster``
leaves them out, and says so. Where several processes share the tests, each collects all of them and
tells the one that started them, which hears of all that ran.
"""

import os
from dataclasses import dataclass, field
from typing import Any

import pytest

MARKER = "cluster"


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("cluster tests")
    group.addoption(
        "--require-cluster",
        action="store_true",
        help="fail where cluster tests were collected and none ran; the default where CI=true",
    )
    group.addoption(
        "--without-cluster",
        action="store_true",
        help="leave out the cluster tests; says so at the end",
    )


def pytest_configure(config: pytest.Config) -> None:
    without = config.getoption("--without-cluster")
    required = config.getoption("--require-cluster") or os.environ.get("CI") == "true"
    census = Census(required=required and not without, without=without)
    config.pluginmanager.register(census)
    if config.pluginmanager.hasplugin("xdist"):
        config.pluginmanager.register(Shared(census))


@dataclass(eq=False)
class Census:
    """How many cluster tests there were, and how many ran."""

    required: bool
    without: bool
    collected: set[str] = field(default_factory=set)
    called: set[str] = field(default_factory=set)

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(
        self, config: pytest.Config, items: list[pytest.Item]
    ) -> None:
        """Count before ``-k`` and ``-m`` take some away: that is how none might be left."""
        cluster = [item for item in items if item.get_closest_marker(MARKER)]
        self.collected = {item.nodeid for item in cluster}
        if self.without and cluster:
            items[:] = [item for item in items if item not in cluster]
            config.hook.pytest_deselected(items=cluster)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" and not report.skipped:
            self.called.add(report.nodeid)

    @property
    def ran(self) -> set[str]:
        """The cluster tests that ran."""
        return self.collected & self.called

    @property
    def none_ran(self) -> bool:
        """Whether this session has to fail."""
        return self.required and bool(self.collected) and not self.ran

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self.none_ran and not session.config.option.collectonly:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if not self.collected or terminalreporter.config.option.collectonly:
            return
        terminalreporter.line(f"cluster tests: {len(self.ran)} of {len(self.collected)} ran")
        if self.without:
            terminalreporter.line("cluster tests were left out: --without-cluster")
        if self.none_ran:
            terminalreporter.line(
                "FAILED: cluster tests are required here (CI=true or --require-cluster),"
                " and none ran",
                red=True,
            )


@dataclass(eq=False)
class Shared:
    """What the processes that share the tests tell the one that judges."""

    census: Census

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if hasattr(session.config, "workeroutput"):
            session.config.workeroutput[MARKER] = sorted(self.census.collected)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Take the word of one that has ended; of one that died there is none."""
        self.census.collected.update(getattr(node, "workeroutput", {}).get(MARKER, ()))
