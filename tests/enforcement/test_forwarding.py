"""What is shown of namespaces follows the facts about who asks, not those they began with."""

import asyncio
import json
import threading
from dataclasses import replace
from datetime import datetime
from ipaddress import ip_address

import pytest

from kzproxy.administrator.administrator import Administrator
from kzproxy.administrator.lease import caller_of
from kzproxy.administrator.trust import Trust
from kzproxy.attributes.attributes import Attributes
from kzproxy.attributes.device import Fact
from kzproxy.attributes.request_info import RequestInfo
from kzproxy.audit.records import recorded_caller
from kzproxy.enforcement.case import Case
from kzproxy.enforcement.forwarding import Forwarding, ForwardingSettings, Permitted
from kzproxy.enforcement.further_facts import FurtherFacts
from kzproxy.enforcement.held_bodies import HeldBodies
from kzproxy.enforcement.object_checks import ObjectChecks
from kzproxy.enforcement.self_inspection import SelfInspection
from kzproxy.enforcement.standing import Standing
from kzproxy.http.chunks import LAST_CHUNK, chunk
from kzproxy.http.request_head import parse_request_head
from kzproxy.metrics.registry import Metrics
from kzproxy.policy.decision import Permit
from kzproxy.policy.engine import PolicyEngine
from kzproxy.policy.rules import AccessPolicySet, Conditions
from kzproxy.transport.exchange import Exchange
from kzproxy.transport.peer import Peer
from kzproxy.upstream.discovery import Discovery
from kzproxy.upstream.impersonation import Impersonation, identity_block
from kzproxy.upstream.objects import PodObjects
from tests.enforcement.conftest import Scene
from tests.policy.samples import ENROLLED, allow, asked, match, subject
from tests.proxy.world import request
from tests.servers.scripted_api_server import ACCOUNT, Connection, json_answer

RULES = (
    allow("dev", match("list watch get", "namespaces", names="dev")),
    allow(
        "prod",
        match("list watch get", "namespaces", names="prod-*"),
        conditions=Conditions(device_enrolled=True),
    ),
)
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"


class Present:
    """What is so of the caller's device by now."""

    def __init__(self) -> None:
        self.enrolled = Fact.PASSED

    def restate(self, attributes: Attributes, now: datetime) -> Attributes:
        del now
        if attributes.device.enrolled is self.enrolled:
            return attributes
        return replace(attributes, device=replace(attributes.device, enrolled=self.enrolled))


def event(name: str) -> bytes:
    return chunk(
        json.dumps({"type": "ADDED", "object": {"metadata": {"name": name}}}).encode() + b"\n"
    )


class Caller:
    """Somebody on an enrolled device who asks for namespaces."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.present = Present()
        trust = Trust(issuers=frozenset({""}), device_authorities=frozenset({""}))
        self.administrator = Administrator(
            PolicyEngine(AccessPolicySet(rules=RULES)), trust, scene.clock
        )
        self.administrator.consult(self.present)
        facts = FurtherFacts(
            administrator=self.administrator,
            objects=ObjectChecks(PodObjects(scene.api_server), HeldBodies()),
            reasons=None,
        )
        self.forwarding = Forwarding(
            clock=scene.clock,
            administrator=self.administrator,
            api_server=scene.api_server,
            metrics=Metrics(version=""),
            settings=ForwardingSettings(send_uid=False, send_decision_id=False, account=ACCOUNT),
            self_inspection=SelfInspection(
                administrator=self.administrator,
                facts=facts,
                discovery=Discovery(scene.api_server, scene.clock),
                held=HeldBodies(),
            ),
        )

    def permitted(self, target: str) -> Permitted:
        """Return the request once it is permitted, with the facts as they are by now."""
        scene, who = self.scene, subject()
        attributes = asked("GET", target, who=who, device=ENROLLED, at=scene.clock.now())
        who = replace(who, expires_at=scene.clock.now().replace(year=2100))
        attributes = replace(attributes, subject=who)
        permit = self.administrator.decide(attributes)
        assert isinstance(permit, Permit)
        address = ip_address("192.0.2.7")
        peer = Peer(address=address, port=1)
        exchange = Exchange(
            peer=peer,
            stream=scene.stream,
            deadlines=scene.deadlines,
            head=parse_request_head(request("GET", target)),
            rest=b"",
        )
        head = exchange.read_request()
        block = identity_block(
            who, address, extras=(), authority="upstream", authorization="", send_uid=False
        )
        standing = Standing(
            token_digest=b"",
            identity=who,
            device=ENROLLED,
            session_id="s",
            authorization="",
            impersonation=Impersonation(who, block),
            recorded=recorded_caller(who, ENROLLED, "s"),
            caller=caller_of(who, "s"),
        )
        case = Case(audit_id="a-1", peer=peer, received_at=scene.clock.now(), started=0.0)
        case.info = RequestInfo.parse("GET", target)
        return Permitted(
            exchange=exchange, request=head, permit=permit, standing=standing, case=case
        )


@pytest.fixture
def caller(scene: Scene) -> Caller:
    return Caller(scene)


async def received(scene: Scene) -> bytes:
    await scene.stream.linger()
    whole = b""
    while data := await scene.client.receive():
        whole += data
    return whole


async def test_a_watch_shows_nothing_more_of_what_its_caller_may_see_no_longer(
    caller: Caller,
) -> None:
    turned = threading.Event()

    def watched(connection: Connection, _: bytes) -> None:
        connection.send(HEAD + event("prod-1"))
        assert turned.wait(10)
        connection.send(event("prod-2") + event("dev") + LAST_CHUNK)

    caller.scene.stand_in.script = watched
    seen = b""

    def turn(data: bytes) -> None:
        nonlocal seen
        seen += data
        if b"prod-1" in seen and not turned.is_set():
            caller.present.enrolled = Fact.FAILED
            caller.administrator.judge_devices_again(frozenset({ENROLLED.device_id}))
            turned.set()

    async with asyncio.TaskGroup() as group:
        running = group.create_task(
            caller.forwarding.forward(caller.permitted("/api/v1/namespaces?watch=1"))
        )
        while not running.done() and b'"dev"' not in seen:
            turn(await caller.scene.client.receive())
    assert b"prod-1" in seen
    assert b"prod-2" not in seen


async def test_a_list_shows_what_its_caller_may_see_when_it_is_sent(caller: Caller) -> None:
    def listed(connection: Connection, _: bytes) -> None:
        items = [{"metadata": {"name": name}} for name in ("prod-1", "dev")]
        metadata = {"resourceVersion": "5"}
        connection.send(
            json_answer(200, {"kind": "NamespaceList", "metadata": metadata, "items": items})
        )

    caller.scene.stand_in.script = listed
    permitted = caller.permitted("/api/v1/namespaces")
    caller.present.enrolled = Fact.FAILED  # while its decision was written down, or remembered
    await caller.forwarding.forward(permitted)
    whole = await received(caller.scene)
    assert b'"dev"' in whole
    assert b"prod-1" not in whole
