"""The policy that is measured by."""

import json
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest

from bench.policy import PREFIX, RULES, groups_of, policy, targets
from bench.world import IDENTITIES
from kzproxy.attributes.attributes import Attributes
from kzproxy.attributes.device import NO_DEVICE, DevicePosture, Fact
from kzproxy.attributes.environment import Environment
from kzproxy.attributes.identity import Identity
from kzproxy.attributes.request_info import RequestInfo
from kzproxy.config.access_policy import load_access_policies
from kzproxy.config.document import Mistakes
from kzproxy.policy.decision import Deny, Permit
from kzproxy.policy.engine import PolicyEngine

NOW = datetime(2026, 3, 4, 3, 0, tzinfo=UTC)
ENROLLED = DevicePosture(enrolled=Fact.PASSED, device_id="laptop")


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> PolicyEngine:
    file = tmp_path_factory.mktemp("policy") / "policy.yaml"
    file.write_text(json.dumps(policy(), indent=1))
    return PolicyEngine(loaded(file))


def loaded(file: Path):
    mistakes = Mistakes()
    policies = load_access_policies([file], mistakes)
    mistakes.raise_if_any()
    return policies


def asked(number: int, target: str, device: DevicePosture = ENROLLED) -> Attributes:
    subject = Identity(
        username=f"{PREFIX}user-{number:04}",
        groups=tuple(PREFIX + group for group in groups_of(number)),
        method="oidc",
        issuer="https://localhost",
        subject=f"user-{number:04}",
        expires_at=NOW + timedelta(hours=1),
    )
    environment = Environment(received_at=NOW, source_address=ip_address("127.1.0.1"))
    return Attributes(
        subject=subject,
        device=device,
        request=RequestInfo.parse("GET", target),
        environment=environment,
    )


def test_there_are_as_many_rules_identities_and_targets_as_is_said() -> None:
    rules = policy()["rules"]

    assert len(rules) == RULES == len({rule["id"] for rule in rules})
    assert {rule["effect"] for rule in rules} == {"allow", "deny"}
    assert len(set(targets())) == 50
    assert IDENTITIES >= 200


def test_every_identity_may_get_every_target_at_any_time(engine: PolicyEngine) -> None:
    for number in range(IDENTITIES):
        for target in targets():
            assert isinstance(engine.decide(asked(number, target)), Permit), (number, target)


def test_the_device_decides_and_so_do_denials(engine: PolicyEngine) -> None:
    pod = targets()[0]

    assert isinstance(engine.decide(asked(1, pod, NO_DEVICE)), Deny)
    assert isinstance(engine.decide(asked(1, "/api/v1/namespaces/apps-1/secrets")), Deny)
    assert isinstance(engine.decide(asked(1, "/api/v1/namespaces/elsewhere/pods/p")), Deny)
