"""The sample policy says of its four roles what the demo says it does."""

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
import yaml

from kzproxy.attributes.attributes import Attributes
from kzproxy.attributes.device import NO_DEVICE, DevicePosture, Fact
from kzproxy.attributes.environment import Environment
from kzproxy.attributes.identity import Identity
from kzproxy.attributes.request_info import RequestInfo
from kzproxy.config.access_policy import load_access_policies
from kzproxy.config.document import Mistakes
from kzproxy.demo.idp_users import DEMO_USERS, demo_user
from kzproxy.demo.sample import NAME_PREFIX, Namespaces, Sample, WorkingHours, machine_zone
from kzproxy.policy.decision import Deny, Permit
from kzproxy.policy.engine import PolicyEngine

MONDAY_NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
SUNDAY_NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
LAPTOP = DevicePosture(enrolled=Fact.PASSED, device_id="demo-laptop")
HOURS = WorkingHours(zone_name="UTC")
PLACES = Namespaces()


@pytest.fixture
def engine(tmp_path: Path) -> PolicyEngine:
    file = tmp_path / "policy.yaml"
    file.write_text(Sample(HOURS, PLACES).policy())
    mistakes = Mistakes()
    policies = load_access_policies([file], mistakes)
    mistakes.raise_if_any()
    return PolicyEngine(policies)


def asked(
    user: str,
    request: str,
    *,
    device: DevicePosture = LAPTOP,
    at: datetime = MONDAY_NOON,
    address: str = "127.0.0.1",
) -> Attributes:
    known = demo_user(user)
    assert known
    method, target = request.split(" ")
    return Attributes(
        subject=Identity(
            username=NAME_PREFIX + user,
            groups=tuple(NAME_PREFIX + group for group in known.groups),
            method="oidc",
            issuer="https://127.0.0.1:1",
            subject=known.subject,
            expires_at=at + timedelta(minutes=5),
        ),
        device=device,
        request=RequestInfo.parse(method, target),
        environment=Environment(received_at=at, source_address=ip_address(address)),
    )


@pytest.mark.parametrize(
    ("user", "request_line", "rule"),
    [
        ("guest", "GET /api", "discovery"),
        ("guest", "GET /apis/apps/v1", "discovery"),
        ("guest", "GET /openapi/v3/api/v1", "discovery"),
        ("guest", "GET /version", "discovery"),
        ("guest", "POST /apis/authentication.k8s.io/v1/selfsubjectreviews", "discovery"),
        ("developer", "GET /api/v1/namespaces/dev/pods?watch=1", "dev-work"),
        ("developer", "GET /api/v1/namespaces/dev/pods/web/log", "dev-work"),
        ("developer", "GET /api/v1/namespaces/dev/pods/web/exec?command=id", "dev-work"),
        ("developer", "POST /apis/apps/v1/namespaces/dev/deployments", "dev-work"),
        ("operator", "GET /api/v1/namespaces/dev/pods", "dev-work"),
        ("operator", "GET /api/v1/namespaces/prod/pods", "prod-operations"),
        ("operator", "POST /api/v1/namespaces/prod/pods/shop/portforward", "prod-operations"),
        ("admin", "GET /api/v1/secrets", "break-glass"),
        ("admin", "DELETE /api/v1/namespaces/prod/pods/shop", "break-glass"),
        ("admin", "GET /metrics", "break-glass"),
    ],
)
def test_permitted(engine, user, request_line, rule):
    decision = engine.decide(asked(user, request_line))
    assert isinstance(decision, Permit), decision
    assert decision.rule == rule


@pytest.mark.parametrize(
    ("user", "request_line"),
    [
        ("guest", "GET /api/v1/namespaces/dev/pods"),
        ("guest", "GET /metrics"),
        ("guest", "GET /api/v1/namespaces"),
        ("developer", "GET /api/v1/namespaces/prod/pods"),
        ("developer", "GET /api/v1/pods"),
        ("developer", "DELETE /api/v1/nodes/a"),
        ("developer", "GET /api/v1/namespaces/dev/services/web/proxy"),
        ("operator", "GET /api/v1/pods"),
        ("operator", "GET /api/v1/namespaces/prod/secrets/tls"),
        ("operator", "GET /api/v1/namespaces/prod/secrets"),
        ("admin", "GET /api/v1/nodes/a/proxy"),
    ],
)
def test_denied(engine, user, request_line):
    assert isinstance(engine.decide(asked(user, request_line)), Deny)


def test_an_operator_works_in_prod_in_hours_and_from_the_office_only(engine):
    line = "GET /api/v1/namespaces/prod/pods"
    late = engine.decide(asked("operator", line, at=SUNDAY_NOON))
    away = engine.decide(asked("operator", line, address="192.0.2.7"))
    assert isinstance(late, Deny)
    assert "opens Mon 07:00 UTC" in late.hint
    assert "break the glass" in late.hint
    assert isinstance(away, Deny)
    assert "office" in away.hint


@pytest.mark.parametrize("user", ["developer", "operator", "admin"])
def test_without_an_enrolled_device_there_is_discovery_only(engine, user):
    for line in ("GET /api/v1/namespaces/dev/pods", "GET /api/v1/namespaces/prod/pods"):
        assert isinstance(engine.decide(asked(user, line, device=NO_DEVICE)), Deny)
    assert isinstance(engine.decide(asked(user, "GET /apis", device=NO_DEVICE)), Permit)


def test_the_hours_printed_are_the_hours_judged(engine):
    for hour in range(7 * 24):
        at = SUNDAY_NOON + timedelta(hours=hour, minutes=-1)
        decision = engine.decide(asked("operator", "GET /api/v1/namespaces/prod/pods", at=at))
        assert isinstance(decision, Permit) == HOURS.open_at(at)


def test_hours_are_those_of_their_zone():
    hours = WorkingHours(zone_name="Pacific/Auckland")
    assert not hours.open_at(MONDAY_NOON)
    assert hours.open_at(datetime(2026, 3, 1, 20, 0, tzinfo=UTC))  # Monday 09:00 there
    assert str(hours) == "Mon-Fri 07:00-20:00 Pacific/Auckland"


def test_the_machines_zone_is_found(tmp_path):
    tree = tmp_path / "zoneinfo" / "Europe"
    tree.mkdir(parents=True)
    (tree / "Prague").touch()
    link = tmp_path / "localtime"
    link.symlink_to(tree / "Prague")
    assert machine_zone({}, link) == "Europe/Prague"
    assert machine_zone({"TZ": ":America/Lima"}, link) == "America/Lima"
    assert machine_zone({"TZ": "CET-1CEST"}, link) == "Europe/Prague"
    assert machine_zone({}, tmp_path / "nothing") == "UTC"


def test_every_group_of_the_provider_has_its_rights_in_the_cluster():
    documents = list(yaml.safe_load_all(Sample(HOURS, PLACES).cluster()))
    bound = {
        subject["name"]
        for document in documents
        if document["kind"].endswith("Binding")
        for subject in document["subjects"]
    }
    groups = {NAME_PREFIX + group for user in DEMO_USERS for group in user.groups}
    assert bound == groups - {NAME_PREFIX + "guests"}
    assert not any(name.startswith("system:") for name in bound)


@pytest.mark.parametrize("node_name", ["", "node-1"])
def test_a_pod_for_each_namespace(node_name):
    pods = list(filter(None, yaml.safe_load_all(Sample(HOURS, PLACES).pods(node_name=node_name))))
    assert [(pod["metadata"]["namespace"], pod["metadata"]["name"]) for pod in pods] == [
        ("dev", "web"),
        ("prod", "shop"),
    ]
    assert all(pod["spec"].get("nodeName", "") == node_name for pod in pods)
