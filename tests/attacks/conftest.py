"""Fixtures for the attacks: one kzproxy for all of them, and the judges."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from kzproxy.demo.control_plane import ControlPlane
from tests.attacks.front import Front, attackers_front
from tests.attacks.standing_check import alarms
from tests.attacks.trial import Trial
from tests.cluster.audit_log import AuditLog


@dataclass
class StandingCheck:
    """What the standing check has to know.

    Attributes:
        expected: Audit ids of what a test itself did as kzproxy's account, to show the alarm.
    """

    expected: set[str] = field(default_factory=set)


@pytest.fixture(scope="session")
def front(
    control_plane: ControlPlane,
    audit_log: AuditLog,
    upstream_kubeconfig: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Front]:
    """One kzproxy for all attacks. Mark the test ``cluster``."""
    directory = tmp_path_factory.mktemp("attacks")
    with attackers_front(directory, control_plane, audit_log, upstream_kubeconfig) as front:
        yield front


@pytest.fixture
def trial(front: Front) -> Trial:
    """Both logs, from here on."""
    return Trial(front)


@pytest.fixture(scope="module", autouse=True)
def standing_check(request: pytest.FixtureRequest) -> Iterator[StandingCheck]:
    """No attack of a module makes kzproxy's account act as itself."""
    check = StandingCheck()
    if request.node.get_closest_marker("cluster") is None:
        yield check
        return
    audit_log: AuditLog = request.getfixturevalue("audit_log")
    request.getfixturevalue("upstream_kubeconfig")
    mark = audit_log.mark()
    yield check
    raised = alarms(audit_log.since(mark))
    assert [event for event in raised if event["auditID"] not in check.expected] == []
