"""What is shown of namespaces follows the facts about who asks, not those they began with."""

import asyncio
import json
import socket
import threading
from datetime import datetime
from ipaddress import ip_address

import pytest
from msgspec.structs import replace

from kzproxy.administrator.administrator import Administrator
from kzproxy.administrator.lease import caller_of
from kzproxy.administrator.trust import Trust
from kzproxy.attributes.attributes import Attributes
from kzproxy.attributes.device import Fact
from kzproxy.attributes.request_info import RequestInfo
from kzproxy.audit.records import recorded_caller
from kzproxy.audit.schema import Termination
from kzproxy.enforcement.case import Case
from kzproxy.enforcement.forwarding import Forwarding, ForwardingSettings, Permitted
from kzproxy.enforcement.further_facts import FurtherFacts
from kzproxy.enforcement.gathering import held_answers
from kzproxy.enforcement.held_bodies import HeldBodies
from kzproxy.enforcement.object_checks import ObjectChecks
from kzproxy.enforcement.self_inspection import SelfInspection
from kzproxy.enforcement.standing import Standing
from kzproxy.enforcement.turns import Turns
from kzproxy.errors.kinds import Forbidden, TooManyRequests, UpstreamInvalid
from kzproxy.http.chunks import LAST_CHUNK, chunk
from kzproxy.http.request_head import parse_request_head
from kzproxy.metrics.registry import Metrics
from kzproxy.policy.decision import Permit
from kzproxy.policy.engine import PolicyEngine
from kzproxy.policy.rules import AccessPolicySet, Conditions
from kzproxy.transport.broken import StreamBroken
from kzproxy.transport.exchange import Exchange
from kzproxy.transport.peer import Peer
from kzproxy.transport.tls_sending import RECORD_BYTES
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
        self.trust = Trust(issuers=frozenset({""}), device_authorities=frozenset({""}))
        self.administrator = Administrator(
            PolicyEngine(AccessPolicySet(rules=RULES)), self.trust, scene.clock
        )
        self.administrator.consult(self.present)
        facts = FurtherFacts(
            administrator=self.administrator,
            objects=ObjectChecks(PodObjects(scene.api_server), HeldBodies()),
            reasons=None,
        )
        self.held, turns = held_answers(), Turns()
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
                turns=turns,
            ),
            held=self.held,
            turns=turns,
        )

    def permitted(self, target: str, method: str = "GET") -> Permitted:
        """Return the request once it is permitted, with the facts as they are by now."""
        scene, who = self.scene, subject()
        attributes = asked(method, target, who=who, device=ENROLLED, at=scene.clock.now())
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
            head=parse_request_head(request(method, target)),
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
        case.info = RequestInfo.parse(method, target)
        return Permitted(
            exchange=exchange, request=head, permit=permit, standing=standing, case=case
        )


@pytest.fixture
def caller(scene: Scene) -> Caller:
    return Caller(scene)


async def everything(scene: Scene) -> bytes:
    """Return what the client gets until its connection ends."""
    whole = b""
    while data := await scene.client.receive():
        whole += data
    return whole


async def received(scene: Scene) -> bytes:
    await scene.stream.linger()
    return await everything(scene)


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


async def received_while(running: "asyncio.Task[None]", scene: Scene) -> bytes:
    """Return what the client gets of what is on its way to it."""
    reading = asyncio.get_running_loop().create_task(everything(scene))
    await running
    await scene.stream.linger()
    return await reading


def listing(*names: str, filler: str = "") -> bytes:
    """Return kube-apiserver's answer with these namespaces."""
    items = [{"metadata": {"name": name, "annotations": {"filler": filler}}} for name in names]
    metadata = {"resourceVersion": "5"}
    return json_answer(200, {"kind": "NamespaceList", "metadata": metadata, "items": items})


async def test_a_list_shows_what_its_caller_may_see_when_it_is_sent(caller: Caller) -> None:
    caller.scene.stand_in.script = lambda connection, _: connection.send(listing("prod-1", "dev"))
    permitted = caller.permitted("/api/v1/namespaces")
    caller.present.enrolled = Fact.FAILED  # while its decision was written down, or remembered
    await caller.forwarding.forward(permitted)
    whole = await received(caller.scene)
    assert b'"dev"' in whole
    assert b"prod-1" not in whole


async def lagging(caller: Caller) -> "tuple[Permitted, asyncio.Task[None]]":
    """Have a long list be on its way to a client that does not read."""
    scene, long = caller.scene, listing(*["prod-1"] * 500, *["b"] * 500, filler="x" * 2000)
    scene.stand_in.script = lambda connection, _: connection.send(long)
    for stream, option in (scene.stream, socket.SO_SNDBUF), (scene.client, socket.SO_RCVBUF):
        stream.tls.setsockopt(socket.SOL_SOCKET, option, 8 * 1024)
    permitted = caller.permitted("/api/v1/namespaces")
    running = asyncio.get_running_loop().create_task(caller.forwarding.forward(permitted))
    async with asyncio.timeout(10):
        while not scene.stream.owes:
            await asyncio.sleep(0.01)
    return permitted, running


async def test_a_list_that_is_cut_while_its_client_lags_goes_no_further(caller: Caller) -> None:
    scene = caller.scene
    permitted, running = await lagging(caller)
    sent_before = scene.stream.bytes_sent
    caller.administrator.install(PolicyEngine(AccessPolicySet(rules=())), caller.trust)
    with pytest.raises(StreamBroken):
        await everything(scene)
    with pytest.raises(Forbidden):
        await running

    assert scene.stream.bytes_sent <= sent_before + RECORD_BYTES
    assert permitted.case.termination is Termination.POLICY_CUT
    assert not permitted.exchange.reusable


async def test_what_is_shown_of_a_list_counts_until_its_client_has_it(caller: Caller) -> None:
    _, running = await lagging(caller)
    left = caller.held._bytes
    whole = await received_while(running, caller.scene)
    body = whole.partition(b"\r\n\r\n")[2]

    assert b'"b"' not in body
    assert left == len(body) > 1_000_000
    assert caller.held._bytes == 0


async def test_a_list_that_finds_no_room_beside_another_is_not_read(caller: Caller) -> None:
    permitted, running = await lagging(caller)
    caller.held.max_bytes_each = caller.held._bytes
    with pytest.raises(TooManyRequests):
        await caller.forwarding.forward(caller.permitted("/api/v1/namespaces"))
    await received_while(running, caller.scene)
    assert permitted.case.status_code == 200


@pytest.mark.parametrize("query", ["", "?watch=1"])
async def test_no_length_of_all_namespaces_is_told_to_head(caller: Caller, query: str) -> None:
    """kube-apiserver has no HEAD for resources; of one that had, only a refusal would be told."""
    told = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1234\r\n\r\n"
    caller.scene.stand_in.script = lambda connection, _: connection.send(told)
    with pytest.raises(UpstreamInvalid):
        await caller.forwarding.forward(caller.permitted(f"/api/v1/namespaces{query}", "HEAD"))
    assert not await received(caller.scene)


async def test_head_of_all_namespaces_is_refused_as_kube_apiserver_does(caller: Caller) -> None:
    refused = b"HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 12\r\n\r\n"
    caller.scene.stand_in.script = lambda connection, _: connection.send(refused)
    await caller.forwarding.forward(caller.permitted("/api/v1/namespaces", "HEAD"))

    assert (await received(caller.scene)).startswith(b"HTTP/1.1 405 ")
