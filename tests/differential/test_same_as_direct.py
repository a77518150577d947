"""The same request to kube-apiserver, direct and through kzproxy, has the same answer."""

import ssl
import time
from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import pytest

from kzproxy.demo.control_plane import ControlPlane
from tests.cluster.namespaces import fresh_namespace
from tests.differential.asked import (
    CBOR,
    ERRORS,
    PROTOBUF,
    READS,
    WATCHES,
    WRITES,
    Asked,
    compared_body,
    compared_head,
)
from tests.proxy.fixtures import Real

pytestmark = pytest.mark.cluster

_AGENT = "kubectl/v1.36.3 (linux/amd64) kubernetes/0000000"
_SECRETS, _SECRET_BYTES = 10, 1_000_000
_ATTEMPTS = 20

Answer = tuple[dict[str, object], bytes]


@dataclass
class Doors:
    """Two ways to one API server."""

    direct: httpx.Client
    through: httpx.Client
    namespace: str
    resource_version: str


@pytest.fixture(scope="module")
def doors(real: Real, control_plane: ControlPlane, administrator: httpx.Client) -> Iterator[Doors]:
    world = real.world
    context = ssl.create_default_context(cafile=str(world.authority_file))
    token = world.token("diff", "testers")
    with (
        fresh_namespace(administrator, "same") as namespace,
        control_plane.administrator() as direct,
        httpx.Client(
            base_url=f"https://localhost:{world.proxy.port}",
            verify=context,
            trust_env=False,
            headers={"Authorization": f"Bearer {token}"},
            timeout=30,
        ) as through,
    ):
        yield Doors(direct, through, namespace, _seeded(administrator, namespace))


def _seeded(api: httpx.Client, namespace: str) -> str:
    """Make what is asked for; return the resource version behind it."""
    base = f"/api/v1/namespaces/{namespace}"
    for number in range(6):
        labels = {"odd": "yes"} if number % 2 else {"even": "yes"}
        item = {"metadata": {"name": f"c-{number}", "labels": labels}, "data": {"n": "ä" * 20}}
        api.post(f"{base}/configmaps", json=item).raise_for_status()
    for number in range(_SECRETS):
        item = {"metadata": {"name": f"s-{number}"}, "stringData": {"x": "x" * _SECRET_BYTES}}
        api.post(f"{base}/secrets", json=item).raise_for_status()
    labels = {"app": "d"}
    deployment = {
        "metadata": {"name": "d-1"},
        "spec": {
            "replicas": 0,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [{"name": "main", "image": "x"}]},
            },
        },
    }
    api.post(f"/apis/apps/v1/namespaces/{namespace}/deployments", json=deployment)
    # kube-controller-manager puts it there by and by.
    while not api.get(f"{base}/configmaps/kube-root-ca.crt").is_success:
        time.sleep(0.05)
    # Field managers stand in the order of their seconds, and of their names within one.
    time.sleep(1.1)
    listed = api.get(f"{base}/configmaps").raise_for_status()
    return str(listed.json()["metadata"]["resourceVersion"])


def _answer(client: httpx.Client, doors: Doors, asked: Asked) -> Answer:
    target = asked.target.replace("{ns}", doors.namespace).replace("{rv}", doors.resource_version)
    headers = {"Accept": asked.accept, "User-Agent": _AGENT, "Accept-Encoding": "identity"}
    headers |= {"Content-Type": asked.sent_as} if asked.sent_as else {}
    with client.stream(
        asked.method, target, headers=headers | asked.headers, content=asked.body or None
    ) as answer:
        body = b"".join(answer.iter_raw())
    head = compared_head(answer.status_code, dict(answer.headers), is_fresh=asked.is_fresh)
    return head, compared_body(body, is_fresh=asked.is_fresh)


def _answers(doors: Doors, asked: Asked) -> tuple[Answer, Answer]:
    """Ask both ways, and again while the cluster moves.

    A list tells the revision of the whole store, which kube-controller-manager's leases move at any
    time: only what is the same direct before and after can be compared with what came between.
    """
    before = _answer(doors.direct, doors, asked)
    for _ in range(_ATTEMPTS):
        through = _answer(doors.through, doors, asked)
        after = _answer(doors.direct, doors, asked)
        if before == after:
            break
        before = after
    return after, through


@pytest.mark.parametrize(
    "asked", [*READS, *ERRORS, *WRITES, *WATCHES], ids=lambda asked: asked.name
)
def test_an_answer_is_the_same_as_without_kzproxy(doors: Doors, asked: Asked) -> None:
    direct, through = _answers(doors, asked)

    assert direct[0]["status"] == asked.status, direct[1][:300]
    assert through[0] == direct[0]
    assert through[1] == direct[1]


def test_pages_that_are_followed_are_the_same(doors: Doors) -> None:
    pages: list[list[str]] = []
    for client in (doors.direct, doors.through):
        names, more = [], ""
        while True:
            target = f"/api/v1/namespaces/{doors.namespace}/configmaps"
            page = client.get(target, params={"limit": 2, "continue": more}).json()
            names += [item["metadata"]["name"] for item in page["items"]]
            more = page["metadata"].get("continue", "")
            if not more:
                break
        pages.append(names)

    assert pages[0] == pages[1]
    assert len(pages[0]) >= 6


def test_an_object_in_protobuf_and_in_cbor_is_taken(doors: Doors) -> None:
    one = f"/api/v1/namespaces/{doors.namespace}/configmaps/c-2"
    for kind in (PROTOBUF, CBOR):
        got = [
            client.get(one, headers={"Accept": kind}) for client in (doors.direct, doors.through)
        ]
        direct, through = (answer.headers["content-type"] for answer in got)
        assert through == direct
        if direct != kind:
            assert kind == CBOR, "only CBOR is behind a gate, which is off"
            continue
        puts = [
            client.put(
                f"{one}?dryRun=All",
                content=answer.content,
                headers={"Content-Type": kind, "Accept": "application/json"},
            )
            for client, answer in zip((doors.direct, doors.through), got, strict=True)
        ]
        assert [put.status_code for put in puts] == [200, 200]
        assert puts[0].json()["data"] == puts[1].json()["data"]


def test_what_has_not_changed_is_not_sent_again(doors: Doors) -> None:
    for client in (doors.direct, doors.through):
        tag = client.get("/openapi/v3/api/v1").headers["etag"]
        again = client.get("/openapi/v3/api/v1", headers={"If-None-Match": tag})
        assert (again.status_code, again.content) == (304, b"")
