"""What is read of a body is what the real kube-apiserver makes of it, or it is refused.

Bodies are put together at random, with the traps that readers of JSON and YAML fall into, and sent
as a dry run: where kube-apiserver takes one that was read here, the object it gives back must have
the same facts.
"""

import json
import random
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import yaml
from msgspec.structs import replace

from kzproxy.attributes.api_object import ApiObject
from kzproxy.attributes.object_facts import object_facts
from kzproxy.attributes.request_info import RequestInfo
from kzproxy.attributes.strict_document import read_json, read_yaml
from kzproxy.errors.kinds import BadRequest
from tests.cluster.namespaces import fresh_namespace

pytestmark = pytest.mark.cluster

ROUNDS = 300
_SEED = 20_260_504
_CREATED = 201
# Given to a Job by kube-apiserver, with an id of its own.
_MADE_UP = {
    "controller-uid",
    "job-name",
    "batch.kubernetes.io/controller-uid",
    "batch.kubernetes.io/job-name",
}
_WORKLOADS = {
    "pods": ("v1", "Pod"),
    "replicationcontrollers": ("v1", "ReplicationController"),
    "podtemplates": ("v1", "PodTemplate"),
    "deployments": ("apps/v1", "Deployment"),
    "cronjobs": ("batch/v1", "CronJob"),
    "jobs": ("batch/v1", "Job"),
}
# Replaced in the text: what other readers take for something else.
_TRAPS_JSON = [
    ('"privileged": true', '"Privileged": true'),
    ('"privileged": true', '"privileged": true, "privileged": false'),
    ('"privileged": false', '"privileged": false, "privileged": true'),
    ('"privileged": true', '"priv\\u0069leged": true'),
    ('"privileged": true', '"privileged": null'),
    ('"privileged": true', '"privileged": "true"'),
    ('"securityContext"', '"SecurityContext"'),
    ('"securityContext"', '"securityContext": null, "securityContext"'),
    ('"hostNetwork": true', '"hostnetwork": true'),
    ('"hostNetwork": true', '"hostNetwork": 1'),
    ('"hostPID": true', '"hostPID": true, "hostPID": null'),
    ('"serviceAccountName"', '"serviceAccount"'),
    ('"serviceAccountName": "robot"', '"serviceAccountName": "robot", "serviceAccount": "default"'),
    ('"labels": {', '"labels": {"a": null, '),
    ('"labels": {', '"labels": {"a": "x", "a": "y", '),
    ('"spec": {', '"spec": {"hostIPC": true}, "spec": {'),
    ('"spec": {', '"Spec": {"hostIPC": true}, "spec": {'),
    ('"containers"', '"Containers"'),
    ('"image": "i', '"image": "i\\ud800'),
]
_TRAPS_YAML = [
    ("true", "yes"),
    ("true", "y"),
    ("true", "True"),
    ("true", "'true'"),
    ("true", "!!bool true"),
    ("true", "&a true"),
    ("hostNetwork:", "<<: {hostPID: true}\n  hostNetwork:"),
    ("hostNetwork:", "HostNetwork:"),
    ("hostNetwork: true", "hostNetwork: true\r"),
    ("hostNetwork: true", "hostNetwork: false\u2028  hostPID: true"),
    ("hostNetwork: true", '"hostNetwork": true'),
    ("hostNetwork: true", "hostNetwork: true\n  hostNetwork: false"),
    ("metadata:", "metadata: &m"),
    ("spec:", "---\nspec:"),
    ("labels:", "labels:\n    1: b\n    yes: c"),
    ("labels:", "labels:\n    012: b"),
    ("labels:", "labels:\n    n: no"),
    ("labels:", "labels:\n    d: 2001-01-01"),
    ("labels:", "labels:\n    e: ~"),
]


@pytest.fixture(scope="module")
def place(administrator: httpx.Client) -> Iterator[str]:
    with fresh_namespace(administrator, "facts") as namespace:
        account = {"metadata": {"name": "robot"}}
        administrator.post(f"/api/v1/namespaces/{namespace}/serviceaccounts", json=account)
        yield namespace


def any_pod(draw: random.Random) -> dict[str, Any]:
    spec: dict[str, Any] = {"containers": [any_container(draw, "main")], "restartPolicy": "Never"}
    if draw.random() < 0.4:
        spec["initContainers"] = [any_container(draw, "first")]
    for name in ("hostNetwork", "hostPID", "hostIPC"):
        if draw.random() < 0.4:
            spec[name] = draw.choice([True, True, False, None])
    if draw.random() < 0.5:
        spec["serviceAccountName"] = draw.choice(["robot", "default", "", None])
    labels = {draw.choice(["team", "tier", "a"]): draw.choice(["1", "true", "no", "x"])}
    metadata = {"name": "x", "labels": draw.choice([labels, labels, {}, None])}
    return {"metadata": metadata, "spec": spec}


def any_container(draw: random.Random, name: str) -> dict[str, Any]:
    container: dict[str, Any] = {"name": name, "image": f"i{draw.randrange(9)}"}
    if draw.random() < 0.6:
        context: dict[str, Any] | None = {"privileged": draw.choice([True, True, False, None])}
        container["securityContext"] = draw.choice([context, context, {}, None])
    return container


def any_object(draw: random.Random, resource: str) -> dict[str, Any]:
    pod = any_pod(draw)
    labels = {"app": "x"}
    template = {"metadata": {"labels": labels}, "spec": pod["spec"]}
    if resource in {"replicationcontrollers", "deployments"}:
        template["spec"] = pod["spec"] | {"restartPolicy": "Always"}
    selector = {"matchLabels": labels} if resource == "deployments" else labels
    job = {"template": template}
    spec: dict[str, Any] = {
        "pods": pod["spec"],
        "jobs": job,
        "cronjobs": {"schedule": "0 0 * * *", "jobTemplate": {"spec": job}},
    }.get(resource, {"selector": selector, "template": template})
    version, kind = _WORKLOADS[resource]
    front = {"apiVersion": version, "kind": kind, "metadata": pod["metadata"]}
    return front | ({"template": template} if resource == "podtemplates" else {"spec": spec})


def any_body(draw: random.Random, manifest: dict[str, Any]) -> tuple[bytes, str]:
    as_json = draw.random() < 0.6
    text = json.dumps(manifest) if as_json else yaml.safe_dump(manifest, sort_keys=False)
    traps = _TRAPS_JSON if as_json else _TRAPS_YAML
    for _ in range(draw.choice([0, 0, 0, 1, 1, 2])):
        fitting = [trap for trap in traps if trap[0] in text]
        if fitting:
            text = text.replace(*draw.choice(fitting), 1)
    kind = "application/json" if as_json else "application/yaml"
    return text.encode("utf-8", "surrogatepass"), kind


def url(namespace: str, resource: str) -> str:
    version, _ = _WORKLOADS[resource]
    root = "/api/v1" if version == "v1" else f"/apis/{version}"
    return f"{root}/namespaces/{namespace}/{resource}"


def read_here(body: bytes, media_type: str, info: RequestInfo) -> ApiObject | None:
    read = read_json if media_type == "application/json" else read_yaml
    try:
        return object_facts(read(body), info)
    except BadRequest:
        return None


def test_kube_apiserver_reads_what_is_read_here(administrator: httpx.Client, place: str) -> None:
    draw = random.Random(_SEED)
    compared = refused_here = 0
    for _ in range(ROUNDS):
        resource = draw.choice(list(_WORKLOADS))
        body, media_type = any_body(draw, any_object(draw, resource))
        info = RequestInfo.parse("POST", url(place, resource))
        here = read_here(body, media_type, info)
        answer = administrator.post(
            f"{info.target}?dryRun=All", content=body, headers={"content-type": media_type}
        )
        if here is None:
            refused_here += 1
        elif answer.status_code == _CREATED:
            compared += 1
            made = object_facts(read_json(answer.content), info)
            kept = tuple(label for label in made.labels if label[0] not in _MADE_UP)
            assert replace(made, labels=kept) == here, body

    # Else nothing was shown.
    assert compared > ROUNDS // 4, (compared, refused_here)
    assert refused_here > ROUNDS // 8, (compared, refused_here)
