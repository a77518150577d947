"""What the engine remembers of requests, within bounds."""

from ipaddress import ip_address

from kzproxy.attributes.attributes import Attributes
from kzproxy.attributes.device import NO_DEVICE
from kzproxy.attributes.environment import Environment
from kzproxy.attributes.request_info import RequestInfo
from kzproxy.policy.engine import PolicyEngine
from kzproxy.policy.rules import AccessPolicySet
from tests.memory import held_bytes
from tests.policy.samples import WEDNESDAY_MORNING, subject

ADDRESS = ip_address("192.0.2.7")


def asked(target: str, user_agent: str) -> Attributes:
    environment = Environment(
        received_at=WEDNESDAY_MORNING, source_address=ADDRESS, user_agent=user_agent
    )
    info = RequestInfo.parse("GET", target)
    return Attributes(subject=subject(), device=NO_DEVICE, request=info, environment=environment)


def test_long_queries_that_are_denied_are_remembered_within_a_bound() -> None:
    query = "&".join(["ab=cd"] * 1300)

    def filled() -> PolicyEngine:
        engine = PolicyEngine(AccessPolicySet(rules=()))
        for number in range(130):
            engine.decide(asked(f"/version/{number}?{query}", ""))
        return engine

    assert held_bytes(filled) < 24 * 1024 * 1024


def test_long_user_agents_are_too() -> None:
    def filled() -> PolicyEngine:
        engine = PolicyEngine(AccessPolicySet(rules=()))
        for number in range(500):
            engine.decide(asked("/version", f"{number}" * 40_000))
        return engine

    assert held_bytes(filled) < 32 * 1024 * 1024


def test_no_more_decisions_are_remembered_than_the_memo_has_room_for() -> None:
    def filled(count: int) -> PolicyEngine:
        engine = PolicyEngine(AccessPolicySet(rules=()))
        for number in range(count):
            engine.decide(asked(f"/version/{number}", ""))
        return engine

    assert held_bytes(lambda: filled(10_000)) < 2 * held_bytes(lambda: filled(1_000))
