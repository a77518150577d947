"""What a review of oneself may cost, whatever it asks for."""

import asyncio
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from kzproxy.administrator.administrator import Administrator
from kzproxy.administrator.reasons import Reason, ReasonSettings, ReasonStore
from kzproxy.attributes.attributes import Attributes
from kzproxy.enforcement import self_inspection
from kzproxy.enforcement.further_facts import FurtherFacts
from kzproxy.enforcement.held_bodies import HeldBodies
from kzproxy.enforcement.object_checks import ObjectChecks
from kzproxy.enforcement.self_inspection import SelfInspection
from kzproxy.enforcement.turns import Turns
from kzproxy.http.messages import Length, RequestHead, ResponseHead
from kzproxy.http.request_head import parse_request_head
from kzproxy.policy.decision import Decision
from kzproxy.policy.engine import PolicyEngine
from kzproxy.policy.obligations import Obligations
from kzproxy.policy.rules import AccessPolicySet, Rule
from kzproxy.policy.selectors import LabelRequirement, LabelSelector, Operator
from kzproxy.upstream.discovery import Discovery
from kzproxy.upstream.namespaces import NamespaceLabels
from kzproxy.upstream.objects import PodObjects
from tests.administrator.test_administrator import TRUST
from tests.enforcement.conftest import Scene
from tests.enforcement.ticks import Ticks
from tests.policy.samples import WEDNESDAY_MORNING, allow, asked, match
from tests.proxy.world import request
from tests.servers.scripted_api_server import Connection, json_answer

RULES_REVIEW = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews"
OPEN = LabelSelector(
    requirements=(LabelRequirement(key="open", operator=Operator.EXISTS, values=frozenset()),)
)
KINDS = [f"things{number}" for number in range(20)]
VERBS = ["get", "list", "watch", "create", "update", "patch", "delete"]
HOUR = timedelta(hours=1)
SERVED = {
    "items": [
        {
            "metadata": {"name": ""},
            "versions": [
                {
                    "version": "v1",
                    "resources": [
                        {"resource": kind, "scope": "Namespaced", "verbs": VERBS} for kind in KINDS
                    ],
                }
            ],
        }
    ]
}


class Counted(Administrator):
    """Notes in which turn of the loop it judges."""

    ticks: Ticks

    def decide_without_object(self, attributes: Attributes) -> tuple[Decision, bool]:
        self.ticks.note()
        return super().decide_without_object(attributes)


class Review:
    """A list of rules that is asked for, before a stand-in that knows no namespaces."""

    def __init__(self, scene: Scene, *rules: Rule, reasons: ReasonStore | None = None) -> None:
        self.scene = scene
        clock, api_server = scene.clock, scene.api_server
        clock.jump(WEDNESDAY_MORNING - clock.now())
        engine = PolicyEngine(AccessPolicySet(rules=rules))
        self.ticks = Ticks()
        administrator = Counted(engine, TRUST, clock)
        administrator.ticks = self.ticks
        self.namespaces = NamespaceLabels(api_server, clock, administrator.judge_namespaces_again)
        administrator.install(engine, TRUST, self.namespaces)
        held = HeldBodies()
        facts = FurtherFacts(
            administrator=administrator,
            objects=ObjectChecks(PodObjects(api_server), held),
            reasons=reasons,
            namespaces=self.namespaces,
        )
        self.inspection = SelfInspection(
            administrator=administrator,
            facts=facts,
            discovery=Discovery(api_server, clock),
            held=held,
            turns=Turns(),
        )
        scene.stand_in.script = self.answer

    @staticmethod
    def answer(connection: Connection, head: bytes) -> None:
        found = head.startswith((b"GET /api ", b"GET /apis "))
        connection.send(json_answer(200, SERVED) if found else json_answer(404, {}))

    async def status(self, namespace: str) -> dict[str, Any]:
        """Return what is made of RBAC that permits everything."""
        body = json.dumps({"spec": {"namespace": namespace}}).encode()
        lines = ("Content-Type: application/json", f"Content-Length: {len(body)}")
        self.scene.relay("POST", RULES_REVIEW, *lines)
        head = parse_request_head(request("POST", RULES_REVIEW, "", *lines))

        async def send(_: RequestHead, __: bytes) -> tuple[ResponseHead, bytes]:
            every = [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}]
            status = {"resourceRules": every, "nonResourceRules": [], "incomplete": False}
            kind = ResponseHead(status=201, reason="Created", headers=(), body=Length(0))
            return kind, json.dumps({"status": status}).encode()

        sending = asyncio.get_running_loop().create_task(self.scene.client.send(body))
        facts = asked("POST", RULES_REVIEW)
        _, answered = await self.inspection.answer(
            self.scene.exchange, head, facts, "session", send
        )
        await sending
        status: dict[str, Any] = json.loads(answered)["status"]
        return status

    def looked_up(self) -> list[bytes]:
        return [head for head in self.scene.stand_in.heads if b"/namespaces/" in head]


async def test_a_namespace_is_looked_up_once_for_all_that_is_judged(scene: Scene) -> None:
    review = Review(scene, allow("open", replace(match("*", "*"), namespace_selector=OPEN)))
    status = await review.status("ghost")
    assert status["resourceRules"] == []
    assert len(review.looked_up()) == 1


async def test_a_reason_is_read_once_and_counts_for_all(scene: Scene, tmp_path: Path) -> None:
    settings = ReasonSettings(directory=tmp_path / "reasons", maximum=HOUR)
    store = ReasonStore.open(settings)
    ends = WEDNESDAY_MORNING + HOUR
    store.write(
        Reason(session="session", user="ann", text="INC-1", ends_at=ends), WEDNESDAY_MORNING
    )
    rule = allow("why", match("get", "*"), obligations=Obligations(reason=True))
    status = await Review(scene, rule, reasons=store).status("dev")
    assert {kind for each in status["resourceRules"] for kind in each["resources"]} == set(KINDS)


async def test_all_names_that_a_rule_has_are_tried(scene: Scene) -> None:
    rules = [allow("some", match("get", "*", names=" ".join(f"n{n}" for n in range(50))))]
    whole = await Review(scene, *rules).status("dev")
    assert whole["incomplete"] is False
    assert len(whole["resourceRules"]) == 50


async def test_a_list_that_is_cut_short_says_so(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(self_inspection, "MAX_JUDGED", 500)
    rules = [allow("some", match("get", "*", names=" ".join(f"n{n}" for n in range(50))))]
    cut = await Review(scene, *rules).status("dev")
    assert cut["incomplete"] is True
    assert "500 requests" in cut["evaluationError"]
    assert 0 < sum(len(each["resources"]) for each in cut["resourceRules"]) < 50 * len(KINDS)


async def test_many_reviews_at_once_leave_others_their_turns(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(self_inspection, "MAX_JUDGED", 200)
    rules = [allow("some", match("get", "*", names=" ".join(f"n{n}" for n in range(50))))]
    review = Review(scene, *rules)
    inspection, facts = review.inspection, asked("POST", RULES_REVIEW)
    served = await inspection.discovery.served()
    status = {"resourceRules": [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}]}

    async def one() -> None:
        judging = self_inspection._Judging(inspection, facts, "session", served)
        await judging.rules("dev", status)

    with review.ticks as ticks:
        await asyncio.gather(*[one() for _ in range(10)])
    assert sum(ticks.noted.values()) >= 2000
    assert max(ticks.noted.values()) == self_inspection._JUDGED_AT_ONCE
