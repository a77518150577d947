"""What is looked at for the rules that ask: pods as they are now, bodies as they are sent on."""

import asyncio
import json

import pytest

from kzproxy.attributes.api_object import ApiObject
from kzproxy.attributes.request_info import RequestInfo
from kzproxy.enforcement.held_bodies import HeldBodies
from kzproxy.enforcement.held_bytes import HeldBytes
from kzproxy.enforcement.object_checks import (
    MAX_DELETE_OPTIONS_BYTES,
    MAX_JSON_BYTES,
    MAX_YAML_BYTES,
    ObjectChecks,
)
from kzproxy.errors.kinds import (
    BadRequest,
    DownstreamClosed,
    PayloadTooLarge,
    ServiceUnavailable,
    TooManyRequests,
    UnsupportedMediaType,
)
from kzproxy.http.messages import RequestHead
from kzproxy.http.request_head import parse_request_head
from kzproxy.upstream.objects import PodObjects
from tests.enforcement.conftest import Scene
from tests.policy.samples import subject
from tests.proxy.world import request
from tests.servers.scripted_api_server import Connection, json_answer

PODS = "/api/v1/namespaces/a/pods"
JSON = "Content-Type: application/json"
YAML = "Content-Type: application/yaml"
MAIN = {"name": "main", "image": "web:1"}
POD = {
    "metadata": {"name": "p", "uid": "u-1", "resourceVersion": "1", "labels": {"a": "b"}},
    "spec": {"containers": [MAIN | {"securityContext": {"privileged": True}}]},
}
PRIVILEGED = ApiObject(
    labels=(("a", "b"),), service_account="default", privileged=True, images=("web:1",)
)

ANN = subject("ann")


class Asked:
    """One request, and what is looked at for it."""

    def __init__(
        self, scene: Scene, method: str, target: str, *lines: str, held: HeldBodies | None = None
    ) -> None:
        scene.relay(method, target, *lines)
        self.client = scene.client
        self.exchange = scene.exchange
        self.info = RequestInfo.parse(method, target)
        self.head: RequestHead = parse_request_head(request(method, target, "", *lines))
        self.checks = ObjectChecks(PodObjects(scene.api_server), held or HeldBodies())

    async def object(self, body: bytes = b"") -> ApiObject | None:
        sending = asyncio.get_running_loop().create_task(self.client.send(body))
        try:
            return await self.checks.object_of(self.exchange, self.head, self.info, ANN)
        finally:
            sending.cancel()


def length(body: bytes) -> str:
    return f"Content-Length: {len(body)}"


@pytest.mark.parametrize("lines", [(JSON,), (), ("Content-Type: application/json; charset=utf-8",)])
async def test_a_body_is_read_and_the_very_bytes_are_sent_on(
    scene: Scene, lines: tuple[str, ...]
) -> None:
    body = json.dumps(POD, indent=3).encode() + b"\n \n"
    asked = Asked(scene, "POST", PODS, *lines, length(body))

    assert await asked.object(body) == PRIVILEGED
    assert await asked.exchange.receive_body() == body
    assert await asked.exchange.receive_body() == b""


async def test_a_body_in_chunks_is_read(scene: Scene) -> None:
    body = json.dumps(POD).encode()
    asked = Asked(scene, "PUT", f"{PODS}/p", JSON, "Transfer-Encoding: chunked")
    chunks = b"5\r\n%b\r\n%x\r\n%b\r\n0\r\n\r\n" % (body[:5], len(body) - 5, body[5:])

    assert await asked.object(chunks) == PRIVILEGED
    assert await asked.exchange.receive_body() == body


async def test_yaml_is_read(scene: Scene) -> None:
    body = b"metadata: {labels: {a: b}}\nspec: {hostPID: true}\n"
    found = await Asked(scene, "POST", PODS, YAML, length(body)).object(body)
    assert found == ApiObject(labels=(("a", "b"),), service_account="default", host_namespaces=True)


async def test_the_client_that_waits_is_told_to_go_on(scene: Scene) -> None:
    body = b"{}"
    asked = Asked(scene, "POST", PODS, JSON, length(body), "Expect: 100-continue")
    looking = asyncio.get_running_loop().create_task(asked.object())
    assert await asked.client.receive() == b"HTTP/1.1 100 Continue\r\n\r\n"
    await asked.client.send(body)
    assert await looking == ApiObject(service_account="default")


@pytest.mark.parametrize(
    "lines",
    [
        ("Content-Type: application/vnd.kubernetes.protobuf",),
        ("Content-Type: application/cbor",),
        ("Content-Type: text/plain",),
        ("Content-Type: application/json, application/yaml",),
        (JSON, "Content-Encoding: gzip"),
        (JSON, "Content-Encoding: identity"),
    ],
)
async def test_a_format_that_is_not_read_is_refused_unread(
    scene: Scene, lines: tuple[str, ...]
) -> None:
    with pytest.raises(UnsupportedMediaType):
        await Asked(scene, "POST", PODS, *lines, "Content-Length: 9").object()


async def test_two_content_types_are_refused(scene: Scene) -> None:
    with pytest.raises(BadRequest):
        await Asked(scene, "POST", PODS, JSON, YAML, "Content-Length: 9").object()


@pytest.mark.parametrize(("kind", "limit"), [(JSON, MAX_JSON_BYTES), (YAML, MAX_YAML_BYTES)])
async def test_a_body_over_its_bound_is_refused_unread(scene: Scene, kind: str, limit: int) -> None:
    with pytest.raises(PayloadTooLarge, match="a kzproxy rule asks for what is in it"):
        await Asked(scene, "POST", PODS, kind, f"Content-Length: {limit + 1}").object()


async def test_a_body_in_chunks_is_refused_as_soon_as_it_is_over_its_bound(scene: Scene) -> None:
    asked = Asked(scene, "POST", PODS, YAML, "Transfer-Encoding: chunked")
    with pytest.raises(PayloadTooLarge):
        await asked.object(b"%x\r\n" % (MAX_YAML_BYTES + 1) + b" " * (MAX_YAML_BYTES + 1))


async def test_a_body_that_does_not_come_is_not_waited_for(scene: Scene) -> None:
    held = HeldBodies(seconds=0.05)
    with pytest.raises(DownstreamClosed, match="too slowly"):
        await Asked(scene, "POST", PODS, JSON, "Content-Length: 9", held=held).object(b"{")


async def test_all_that_is_held_is_bounded(scene: Scene) -> None:
    held = HeldBodies(HeldBytes("request bodies", max_bytes=10, max_bytes_each=10_000))
    body = json.dumps(POD).encode()
    with pytest.raises(ServiceUnavailable):
        await Asked(scene, "POST", PODS, JSON, length(body), held=held).object(body)
    held.counted.max_bytes = 10_000
    again = Asked(scene, "POST", PODS, JSON, length(body), held=held)
    assert await again.object(body) == PRIVILEGED


async def test_what_is_held_counts_until_it_is_sent_or_its_request_ends(scene: Scene) -> None:
    body = json.dumps(POD).encode()
    held = HeldBodies(HeldBytes("request bodies", len(body) + 1, max_bytes_each=10_000))

    def again() -> Asked:
        return Asked(scene, "POST", PODS, JSON, length(body), held=held)

    first = again()
    await first.object(body)
    with pytest.raises(ServiceUnavailable):  # while the first is judged, or written down
        await again().object(body)
    first.exchange.let_go()
    second = again()
    await second.object(body)
    assert await second.exchange.receive_body() == body
    with pytest.raises(ServiceUnavailable):  # while it is being sent
        await again().object(body)
    assert await second.exchange.receive_body() == b""
    await again().object(body)


async def test_nobody_may_keep_all_others_from_theirs(scene: Scene) -> None:
    body = json.dumps(POD).encode()
    held = HeldBodies(HeldBytes("request bodies", 10_000, max_bytes_each=len(body) + 1))
    await Asked(scene, "POST", PODS, JSON, length(body), held=held).object(body)
    with pytest.raises(TooManyRequests):
        await Asked(scene, "POST", PODS, JSON, length(body), held=held).object(body)
    other = Asked(scene, "POST", PODS, JSON, length(body), held=held)
    await scene.client.send(body)
    found = await other.checks.object_of(other.exchange, other.head, other.info, subject("bob"))
    assert found == PRIVILEGED


@pytest.mark.parametrize("body", [b"", b"x", b"{}{}", b'{"spec":1}', b'{"a":1,"a":1}'])
async def test_a_body_with_no_or_two_readings_is_refused(scene: Scene, body: bytes) -> None:
    with pytest.raises(BadRequest):
        await Asked(scene, "POST", PODS, JSON, length(body)).object(body)


@pytest.mark.parametrize(
    "target",
    [f"{PODS}/p", f"{PODS}/p/ephemeralcontainers", "/apis/apps/v1/namespaces/a/deployments/d"],
)
async def test_of_a_patch_only_that_is_known(scene: Scene, target: str) -> None:
    found = await Asked(scene, "PATCH", target, "Content-Length: 9").object()
    assert found == ApiObject(is_patch=True)


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("GET", f"{PODS}/p/exec?command=id"),
        ("POST", f"{PODS}/p/exec?command=id"),
        ("POST", f"{PODS}/p/attach"),
        ("POST", f"{PODS}/p/portforward"),
        ("GET", f"{PODS}/p:80/proxy/"),
        ("GET", f"{PODS}/p/log"),
        ("POST", f"{PODS}/p/eviction"),
        ("GET", f"{PODS}/p"),
        ("DELETE", f"{PODS}/p"),
    ],
)
async def test_a_pod_that_is_entered_is_looked_at_with_our_own_account(
    scene: Scene, method: str, target: str
) -> None:
    scene.stand_in.script = lambda connection, _: connection.send(json_answer(200, POD))
    assert await Asked(scene, method, target).object() == PRIVILEGED
    (head,) = scene.stand_in.heads
    assert head.startswith(b"GET /api/v1/namespaces/a/pods/p HTTP/1.1\r\n")
    assert b"impersonate" not in head.lower()


async def test_a_pod_is_looked_at_anew_each_time(scene: Scene) -> None:
    asked = Asked(scene, "GET", f"{PODS}/p/exec?command=id")
    for version in ("1", "2"):
        spec = {"hostIPC": version == "2", "containers": []}
        metadata = {"uid": "u", "resourceVersion": version}
        answer = json_answer(200, {"metadata": metadata, "spec": spec})
        scene.stand_in.script = lambda connection, _, answer=answer: connection.send(answer)
        found = await asked.object()
        assert found is not None
        assert found.host_namespaces is (version == "2")


def _close(connection: Connection, _: bytes) -> None:
    connection.tls.close()


@pytest.mark.parametrize(
    "script",
    [
        lambda connection, _: connection.send(json_answer(404, {"kind": "Status"})),
        lambda connection, _: connection.send(json_answer(403, {"kind": "Status"})),
        lambda connection, _: connection.send(json_answer(500, {"kind": "Status"})),
        lambda connection, _: connection.send(json_answer(200, [])),
        lambda connection, _: connection.send(json_answer(200, {"metadata": {}})),
        lambda connection, _: connection.send(json_answer(200, POD | {"spec": "x"})),
        _close,
    ],
)
async def test_a_pod_that_cannot_be_read_is_not_known(scene: Scene, script) -> None:
    scene.stand_in.script = script
    assert await Asked(scene, "GET", f"{PODS}/p/exec?command=id").object() is None


async def test_a_pod_that_is_slow_to_come_is_not_known(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kzproxy.upstream.objects.FETCH_SECONDS", 0.05)
    scene.stand_in.script = lambda connection, _: None
    assert await Asked(scene, "GET", f"{PODS}/p/exec?command=id").object() is None


async def test_ephemeral_containers_are_judged_with_the_pod_they_go_into(scene: Scene) -> None:
    plain = POD | {"spec": {"containers": [MAIN], "serviceAccountName": "robot"}}
    scene.stand_in.script = lambda connection, _: connection.send(json_answer(200, plain))
    added = {"name": "d", "image": "debug", "securityContext": {"privileged": True}}
    body = json.dumps({"metadata": {}, "spec": {"ephemeralContainers": [added]}}).encode()
    target = f"{PODS}/p/ephemeralcontainers"
    found = await Asked(scene, "PUT", target, JSON, length(body)).object(body)
    assert found == ApiObject(
        labels=(("a", "b"),),
        service_account="robot",
        privileged=True,
        images=("web:1", "debug"),
    )


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("GET", PODS),
        ("DELETE", PODS),
        ("GET", "/apis/apps/v1/namespaces/a/deployments/d"),
        ("PUT", "/apis/apps/v1/namespaces/a/deployments/d/scale"),
        ("GET", "/api/v1/namespaces/a/services/s/proxy/"),
    ],
)
async def test_of_what_has_no_one_object_nothing_is_known(
    scene: Scene, method: str, target: str
) -> None:
    assert await Asked(scene, method, target).object() is None
    assert scene.stand_in.heads == []


@pytest.mark.parametrize(
    ("body", "is_dry_run"),
    [
        (b'{"dryRun":["All"]}', True),
        (b'{"kind":"DeleteOptions","dryRun":["All"],"gracePeriodSeconds":0}', True),
        # One as well, to IsDryRun of apiserver's pkg/util/dryrun.
        (b'{"dryRun":["All","All"]}', True),
        (b'{"dryRun":["All","Most"]}', False),
        (b'{"dryRun":[]}', False),
        (b'{"dryRun":null}', False),
        (b'{"dryRun":["all"]}', False),
        (b'{"dryRun":"All"}', False),
        (b"{}", False),
    ],
)
async def test_the_body_of_a_deletion_says_whether_it_is_a_dry_run(
    scene: Scene, body: bytes, is_dry_run: bool
) -> None:
    asked = Asked(scene, "DELETE", f"{PODS}/p", JSON, length(body))
    await asked.client.send(body)
    assert await asked.checks.asks_for_dry_run(asked.exchange, asked.head, ANN) is is_dry_run
    assert await asked.exchange.receive_body() == body


@pytest.mark.parametrize("body", [b"[]", b'{"DryRun":["All"]}', b'{"dryRun":["All"],"dryRun":[]}'])
async def test_options_with_another_reading_are_refused(scene: Scene, body: bytes) -> None:
    asked = Asked(scene, "DELETE", f"{PODS}/p", JSON, length(body))
    await asked.client.send(body)
    with pytest.raises(BadRequest):
        await asked.checks.asks_for_dry_run(asked.exchange, asked.head, ANN)


async def test_options_are_small(scene: Scene) -> None:
    size = MAX_DELETE_OPTIONS_BYTES + 1
    asked = Asked(scene, "DELETE", f"{PODS}/p", JSON, f"Content-Length: {size}")
    with pytest.raises(PayloadTooLarge):
        await asked.checks.asks_for_dry_run(asked.exchange, asked.head, ANN)
