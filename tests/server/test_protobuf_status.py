"""The Status that kzproxy writes in protobuf is what kube-apiserver writes, byte by byte."""

import json
from collections.abc import Iterator

import httpx
import pytest

from kzproxy.demo.control_plane import ControlPlane
from kzproxy.http.protobuf_status import error_event, status_document
from tests.cluster.namespaces import fresh_namespace
from tests.proxy.fixtures import Real
from tests.proxy.world import request

pytestmark = pytest.mark.cluster

JSON = {"accept": "application/json"}
PROTOBUF = {"accept": "application/vnd.kubernetes.protobuf"}
WATCHED = {"accept": "application/vnd.kubernetes.protobuf;stream=watch"}


@pytest.fixture(scope="module")
def configmaps(administrator: httpx.Client) -> Iterator[str]:
    with fresh_namespace(administrator, "protobuf") as namespace:
        yield f"/api/v1/namespaces/{namespace}/configmaps"


def test_a_status_with_its_object_is_as_kube_apiserver_has_it(
    administrator: httpx.Client, configmaps: str
) -> None:
    known = administrator.get(f"{configmaps}/none", headers=JSON)
    ours = status_document(known.content)

    assert known.status_code == 404
    assert ours == administrator.get(f"{configmaps}/none", headers=PROTOBUF).content


def test_a_status_with_causes_is_as_kube_apiserver_has_it(
    administrator: httpx.Client, configmaps: str
) -> None:
    wrong = {"metadata": {"name": "Wrong_", "labels": {"-": "\u00e4"}}}
    known = administrator.post(configmaps, json=wrong, headers=JSON)
    ours = status_document(known.content)

    assert len(known.json()["details"]["causes"]) > 1
    assert ours == administrator.post(configmaps, json=wrong, headers=PROTOBUF).content


def test_an_error_event_is_as_kube_apiserver_has_it(
    control_plane: ControlPlane, administrator: httpx.Client, configmaps: str
) -> None:
    """A watch from before all that etcd remembers ends with 410; Events have no cache before it."""
    events = configmaps.replace("configmaps", "events")
    before = administrator.get(events).json()["metadata"]["resourceVersion"]
    for name in ("later", "latest"):  # etcd can still tell of the very next change
        made = administrator.post(configmaps, json={"metadata": {"name": name}}).json()
    compaction = f"{control_plane._ports.etcd_url}/v3/kv/compaction"
    httpx.post(
        compaction, json={"revision": made["metadata"]["resourceVersion"]}
    ).raise_for_status()
    watch = f"{events}?watch=1&resourceVersion={before}&timeoutSeconds=10"
    known = administrator.get(watch, headers=JSON).json()

    assert (known["type"], known["object"]["code"]) == ("ERROR", 410)
    ours = error_event(json.dumps(known["object"]).encode())
    assert ours == administrator.get(watch, headers=WATCHED).content


def test_a_watch_in_protobuf_that_is_cut_ends_with_one_error_event(
    real: Real, configmaps: str
) -> None:
    world = real.world
    token = world.token("wanda", "testers", seconds=6)
    with world.client() as client:
        accept = f"Accept: {WATCHED['accept']}"
        client.send(request("GET", f"{configmaps}?watch=1", token, accept))
        answer = client.answer()

    (record,) = world.proxy.decisions_of("t:wanda")
    status = {
        "status": "Failure",
        "message": "the sign-in behind this request has ended; sign in again with `kzproxy login`"
        f" (audit id {record['audit_id']})",
        "reason": "Unauthorized",
        "details": {
            "uid": record["audit_id"],
            "causes": [{"reason": "AuditID", "message": record["audit_id"]}],
        },
        "code": 401,
    }
    assert answer.headers["content-type"] == ["application/vnd.kubernetes.protobuf;stream=watch"]
    assert answer.body.endswith(error_event(json.dumps(status).encode()))
