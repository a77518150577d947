"""What a rule asks besides, before the real kube-apiserver: refused, and told what would do."""

import base64
import hashlib
import json
import ssl
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from tests.cluster.namespaces import fresh_namespace
from tests.proxy.fixtures import Real
from tests.proxy.issuer_thread import issuer_in_thread
from tests.proxy.process import running_proxy
from tests.proxy.raw_client import Answer
from tests.proxy.world import POLICY, PREFIX, World, configuration, request
from tests.servers.authority import Authority

pytestmark = pytest.mark.cluster

REASON = "/kzproxy.dev/v1/reason"
JSON = "Content-Type: application/json"


def asking(group: str, **obligations: object) -> dict[str, Any]:
    return {
        "id": group,
        "effect": "allow",
        "subjects": {"groups": [f"{PREFIX}{group}"]},
        "match": [
            {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]},
            {"verbs": ["*"], "nonResourceURLs": ["*"]},
        ],
        "obligations": obligations,
    }


RULES = [
    asking("strong", mfa={"maxAge": "1h", "classes": ["phr"]}),
    asking("fresh", reauth={"maxAge": "10m"}),
    asking("reasoned", reason="required"),
    asking("reading", readOnly=True),
    asking("rehearsing", dryRunOnly=True),
    asking("bound", bound=True),
    # What kubectl asks first: of a 401 there it prints none of the words.
    {
        "id": "finders",
        "effect": "allow",
        "subjects": {"groups": [f"{PREFIX}finders"]},
        "match": [{"verbs": ["get"], "nonResourceURLs": ["/api*", "/openapi*", "/version"]}],
    },
]


@pytest.fixture(scope="module")
def asked(
    real: Real, upstream_kubeconfig: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Real]:
    directory = tmp_path_factory.mktemp("obligations")
    authority = Authority.root()
    with issuer_in_thread(directory, authority) as issuer:
        upstream = {"kubeconfig": {"file": str(upstream_kubeconfig)}}
        settings = configuration(directory, authority, issuer, upstream)
        settings["reasons"] = {"directory": "reasons"}
        (directory / "policy.yaml").write_text(yaml.safe_dump(POLICY | {"rules": RULES}))
        with running_proxy(directory, settings) as proxy:
            world = World(directory, authority, issuer, proxy)
            yield Real(world, real.audit_log, real.control_plane)


@pytest.fixture(scope="module")
def place(administrator: httpx.Client) -> Iterator[str]:
    with fresh_namespace(administrator, "obligations") as namespace:
        for name in ("kept", "doomed", "doomed-too"):
            body = {"metadata": {"name": name}}
            administrator.post(f"/api/v1/namespaces/{namespace}/configmaps", json=body)
        yield namespace


def send(asked: Real, token: str, method: str, target: str, body: Any = None) -> Answer:
    content = b"" if body is None else json.dumps(body).encode()
    lines = (JSON,) if content else ()
    with asked.world.client() as client:
        return client.ask(request(method, target, token, *lines, body=content))


def token(asked: Real, group: str, **claims: object) -> str:
    return asked.world.token(f"{group}-user", group, "testers", **claims)


def list_pods(asked: Real, place: str, group: str, **claims: object) -> Answer:
    target = f"/api/v1/namespaces/{place}/pods"
    return send(asked, token(asked, group, **claims), "GET", target)


def lacks(asked: Real, answer: Answer, rule: str) -> str:
    """Check that it is refused for an obligation of the rule; return what the user is told."""
    assert answer.status == 403
    assert answer.json["reason"] == "Forbidden"
    (record,) = asked.world.proxy.records_of(answer.audit_id)
    assert (record["cause"], record["rule"]) == ("obligation", rule)
    return answer.message


def is_challenged(asked: Real, answer: Answer, rule: str, command: str) -> None:
    """Check that a sign-in is asked for, in the header, the Status and the log alike."""
    assert answer.status == 401
    assert answer.json["reason"] == "Unauthorized"
    assert f"`{command}`" in answer.message
    causes = {each["reason"]: each["message"] for each in answer.json["details"]["causes"]}
    assert causes["StepUpRequired"] == command
    (header,) = answer.headers["www-authenticate"]
    assert header.startswith('Bearer error="insufficient_user_authentication", ')
    (record,) = asked.world.proxy.records_of(answer.audit_id)
    assert (record["decision"], record["cause"], record["rule"]) == ("challenge", "sign-in", rule)
    assert record["step_up"]["command"] == command
    assert record["status_code"] == 401


def test_a_strong_sign_in(asked: Real, place: str) -> None:
    now = int(time.time())
    assert list_pods(asked, place, "strong", auth_time=now, acr="phr").status == 200
    for claims in (
        {},
        {"auth_time": now},
        {"acr": "phr"},
        {"auth_time": now, "acr": "pwd"},
        {"auth_time": now - 7200, "acr": "phr"},
    ):
        answer = list_pods(asked, place, "strong", **claims)
        is_challenged(asked, answer, "strong", "kzproxy login --acr phr --max-age 1h")
        assert answer.headers["www-authenticate"][0].endswith(', acr_values="phr", max_age="3600"')


def test_a_fresh_sign_in(asked: Real, place: str) -> None:
    now = int(time.time())
    assert list_pods(asked, place, "fresh", auth_time=now - 300).status == 200
    for claims in ({}, {"auth_time": now - 700}):
        answer = list_pods(asked, place, "fresh", **claims)
        is_challenged(asked, answer, "fresh", "kzproxy login --max-age 10m")


def test_kubectl_prints_the_command_that_mends_it(asked: Real, place: str) -> None:
    """A 401, so that its credential plugin is asked again; what it prints is ours all the same."""
    kubectl = asked.kubectl("old", "fresh", "finders", namespace=place)
    for arguments in (("get", "pods"), ("delete", "configmap", "kept")):
        done = kubectl(*arguments)
        assert done.returncode == 1
        said = done.stderr.decode()
        assert 'error: You must be logged in to the server (User "t:old" cannot ' in said
        assert "rule fresh asks for a sign-in at most 10m old" in said
        assert "sign in again with `kzproxy login --max-age 10m`" in said


def test_a_stream_ends_with_the_words_of_a_challenge(asked: Real, place: str) -> None:
    user = token(asked, "fresh", auth_time=int(time.time()) - 592)
    with asked.world.client() as client:
        client.send(request("GET", f"/api/v1/namespaces/{place}/pods?watch=1", user))
        last = json.loads(client.answer().body.splitlines()[-1])["object"]
    assert (last["code"], last["reason"]) == (401, "Unauthorized")
    assert "access ended by kzproxy until you sign in again" in last["message"]
    assert "`kzproxy login --max-age 10m`" in last["message"]


def test_a_reason(asked: Real, place: str) -> None:
    def pods() -> Answer:
        return list_pods(asked, place, "reasoned", sid="one")

    told = lacks(asked, pods(), "reasoned")
    assert "kzproxy reason" in told
    user = token(asked, "reasoned", sid="one")
    assert send(asked, user, "PUT", REASON, {"reason": "INC-9 disk full"}).status == 200
    answer = pods()
    assert answer.status == 200
    decision, _ = asked.world.proxy.finished(answer.audit_id)
    assert decision["reason"] == "INC-9 disk full"
    other = list_pods(asked, place, "reasoned", sid="two")
    lacks(asked, other, "reasoned")
    assert send(asked, user, "DELETE", REASON).status == 200
    lacks(asked, pods(), "reasoned")


def test_a_stream_ends_with_its_reason(asked: Real, place: str) -> None:
    user = token(asked, "reasoned", sid="watcher")
    assert send(asked, user, "PUT", REASON, {"reason": "short", "seconds": 8}).status == 200
    with asked.world.client() as client:
        client.send(request("GET", f"/api/v1/namespaces/{place}/pods?watch=1", user))
        last = client.answer().body.splitlines()[-1]
    assert b"policy no longer permits it" in last
    assert b"kzproxy reason" in last
    # The same words again, with an end of their own.
    assert send(asked, user, "PUT", REASON, {"reason": "short", "seconds": 60}).status == 200
    assert send(asked, user, "GET", f"/api/v1/namespaces/{place}/pods").status == 200


def test_reading_alone(asked: Real, place: str) -> None:
    assert list_pods(asked, place, "reading").status == 200
    target = f"/api/v1/namespaces/{place}/configmaps"
    user = token(asked, "reading")
    for method, path, body in (
        ("POST", f"{target}?dryRun=All", {"metadata": {"name": "x"}}),
        ("DELETE", f"{target}/kept", None),
        ("POST", f"/api/v1/namespaces/{place}/pods/x/exec?command=id", None),
    ):
        lacks(asked, send(asked, user, method, path, body), "reading")


def test_a_bound_token(asked: Real, place: str) -> None:
    world = asked.world
    told = lacks(asked, list_pods(asked, place, "bound"), "bound")
    assert "bound to your client certificate" in told
    certificate, key = world.device("bound-laptop")
    pem = ssl.PEM_cert_to_DER_cert(certificate.read_text())
    thumbprint = base64.urlsafe_b64encode(hashlib.sha256(pem).digest()).rstrip(b"=").decode()
    bound = token(asked, "bound", cnf={"x5t#S256": thumbprint})
    with world.client(certificate=(certificate, key)) as client:
        target = f"/api/v1/namespaces/{place}/pods"
        assert client.ask(request("GET", target, bound)).status == 200


def is_there(administrator: httpx.Client, place: str, name: str) -> bool:
    target = f"/api/v1/namespaces/{place}/configmaps/{name}"
    return administrator.get(target).status_code == 200


def test_rehearsals(asked: Real, place: str, administrator: httpx.Client) -> None:
    target = f"/api/v1/namespaces/{place}/configmaps"
    user = token(asked, "rehearsing")
    manifest = {"metadata": {"name": "new"}}
    assert send(asked, user, "POST", f"{target}?dryRun=All", manifest).status == 201
    assert not is_there(administrator, place, "new")
    lacks(asked, send(asked, user, "POST", target, manifest), "rehearsing")

    options = {"kind": "DeleteOptions", "apiVersion": "v1"}
    assert send(asked, user, "DELETE", f"{target}/kept?dryRun=All").status == 200
    dry = options | {"dryRun": ["All"]}
    assert send(asked, user, "DELETE", f"{target}/kept", dry).status == 200
    # kube-apiserver would delete it: where there is a body, the query says nothing.
    told = send(asked, user, "DELETE", f"{target}/kept?dryRun=All", options)
    lacks(asked, told, "rehearsing")
    lacks(asked, send(asked, user, "DELETE", f"{target}/kept"), "rehearsing")
    collection = f"{target}?fieldSelector=metadata.name%3Dkept&dryRun=All"
    lacks(asked, send(asked, user, "DELETE", collection, options), "rehearsing")
    assert is_there(administrator, place, "kept")

    for path in (
        f"/api/v1/namespaces/{place}/serviceaccounts/default/token?dryRun=All",
        f"/api/v1/namespaces/{place}/pods/x/exec?command=id&dryRun=All",
    ):
        lacks(asked, send(asked, user, "POST", path), "rehearsing")


def test_a_dry_run_of_kubectl(asked: Real, place: str, administrator: httpx.Client) -> None:
    kubectl = asked.kubectl("rehearser", "rehearsing", "testers", namespace=place)
    done = kubectl("delete", "configmap", "doomed", "--dry-run=server")
    assert done.returncode == 0, done.stderr
    assert is_there(administrator, place, "doomed")
    refused = kubectl("delete", "configmap", "doomed")
    assert refused.returncode == 1
    assert b"dry run" in refused.stderr
    assert kubectl("create", "configmap", "x", "--dry-run=server").returncode == 0
    assert kubectl("get", "configmaps").returncode == 0
    assert is_there(administrator, place, "doomed")


def test_a_deletion_that_nothing_is_asked_of_is_sent_on_whole(
    asked: Real, place: str, administrator: httpx.Client
) -> None:
    options = {"kind": "DeleteOptions", "apiVersion": "v1", "gracePeriodSeconds": 0}
    now = int(time.time())
    user = token(asked, "fresh", auth_time=now)
    target = f"/api/v1/namespaces/{place}/configmaps/doomed-too"
    assert send(asked, user, "DELETE", target, options).status == 200
    assert not is_there(administrator, place, "doomed-too")
