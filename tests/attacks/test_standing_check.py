"""The standing check is not blind: what it watches for is done here, and it is seen."""

import ssl
from collections.abc import Iterator

import httpx
import pytest

from tests.attacks.conftest import StandingCheck
from tests.attacks.front import A, Front
from tests.attacks.standing_check import alarms
from tests.attacks.trial import Trial
from tests.proxy.world import request

pytestmark = pytest.mark.cluster

SECRETS = "/api/v1/secrets"


@pytest.fixture
def account(front: Front) -> Iterator[httpx.Client]:
    """Speaks to the API server as kzproxy's account, past kzproxy."""
    control_plane = front.control_plane
    with httpx.Client(
        base_url=control_plane.server,
        verify=ssl.create_default_context(cafile=control_plane.certificate_authority),
        headers={"Authorization": f"Bearer {control_plane.upstream_account.token()}"},
        trust_env=False,
    ) as client:
        yield client


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({}, id="E8.2-no-impersonation"),
        pytest.param({"Impersonate-User": ""}, id="E8.2-B2.1-empty"),
        pytest.param({"User-Agent": "kzproxy-startup-check"}, id="E8.2-agent-of-the-start"),
        # Denied before it impersonates; that too is a fault of kzproxy's.
        pytest.param(
            {"Impersonate-User": "a", "Impersonate-Group": "system:masters"}, id="E8.2-B2.9-masters"
        ),
    ],
)
def test_the_account_acting_as_itself_is_seen(
    front: Front, account: httpx.Client, standing_check: StandingCheck, headers: dict[str, str]
) -> None:
    mark = front.audit_log.mark()
    answer = account.get(SECRETS, headers=headers)
    audit_id = answer.headers["Audit-Id"]
    standing_check.expected.add(audit_id)
    front.audit_log.find(audit_id, mark=mark)

    # Without impersonation it may read nothing.
    assert answer.status_code == 403
    assert [event["auditID"] for event in alarms(front.audit_log.since(mark))] == [audit_id]


def test_E8_2_an_ordinary_request_raises_no_alarm(front: Front, trial: Trial) -> None:
    mark = front.audit_log.mark()
    target = f"/api/v1/namespaces/{A}/configmaps"
    answer = trial.send(request("GET", target, front.token("alice", "full")))

    trial.permitted(answer, "alice")
    assert alarms(front.audit_log.since(mark)) == []
