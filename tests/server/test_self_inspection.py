"""What kzproxy says that one can do is what one can do, before the real kube-apiserver."""

import json
import ssl
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from kzproxy.http.websocket_frames import Opcode
from kzproxy.http.websocket_messages import WebSocketMessages
from tests.cluster.kubectl import Kubectl
from tests.proxy.eventually import eventually
from tests.proxy.fixtures import REPOSITORY, Real
from tests.proxy.issuer_thread import issuer_in_thread
from tests.proxy.process import running_proxy
from tests.proxy.world import POLICY, PREFIX, World, configuration, request
from tests.servers.authority import Authority

pytestmark = pytest.mark.cluster

RIGHTS = str(REPOSITORY / "deploy" / "rbac" / "namespaces")
AUTHORIZATION = "/apis/authorization.k8s.io/v1"
OPEN, CLOSED, LABELLED = "selves-open", "selves-closed", "selves-labelled"
NAMESPACES = (OPEN, CLOSED, LABELLED)
LABEL = "kzproxy.dev/selves"


def rule(name: str, group: str, *match: dict[str, Any], **more: Any) -> dict[str, Any]:
    subjects = {"groups": [f"{PREFIX}{group}"]}
    return {"id": name, "effect": "allow", "subjects": subjects, "match": list(match)} | more


def on(verbs: str, resources: str, group: str = "", **more: Any) -> dict[str, Any]:
    kinds = {"apiGroups": [group], "resources": resources.split()}
    return {"verbs": verbs.split(), **kinds, **more}


EVERYBODY = {"groups": ["system:authenticated"]}
REVIEWS = on("create", "selfsubjectaccessreviews selfsubjectrulesreviews", "authorization.k8s.io")
RULES: list[dict[str, Any]] = [
    rule(
        "reviews",
        "all",
        REVIEWS,
        on("create", "selfsubjectreviews", "authentication.k8s.io"),
        {"verbs": ["get"], "nonResourceURLs": ["/api*", "/openapi*", "/version"]},
        subjects=EVERYBODY,
    ),
    rule(
        "viewers",
        "viewers",
        on("get list watch", "pods configmaps pods/log"),
        on("get", "deployments", "apps", names=["web"]),
    ),
    rule(
        "editors",
        "editors",
        on("*", "*", "*", namespaces=["selves-*"]),
        on("get list", "nodes namespaces"),
        {"verbs": ["*"], "nonResourceURLs": ["/livez", "/metrics"]},
    ),
    rule(
        "labelled",
        "labelled",
        on("*", "*", "*", namespaceSelector={"matchLabels": {LABEL: "yes"}}),
    ),
    rule(
        "enrolled",
        "enrolled",
        on("*", "configmaps secrets pods pods/exec"),
        conditions={"device": {"enrolled": True}},
    ),
    rule(
        "with-reason", "reasoned", on("*", "secrets configmaps"), obligations={"reason": "required"}
    ),
    rule("admins", "admins", on("*", "*", "*"), {"verbs": ["*"], "nonResourceURLs": ["*"]}),
    rule("closed", "editors", on("*", "*", "*", namespaces=[CLOSED]), effect="deny"),
    rule("no-secrets", "admins", on("*", "secrets"), effect="deny"),
    rule("no-exec", "editors", on("connect", "pods/exec"), effect="deny"),
]
GROUPS = ("viewers", "editors", "labelled", "enrolled", "reasoned", "admins")


def access() -> list[dict[str, Any]]:
    """RBAC of the groups: some may do all, some see all, some do all in one namespace."""
    roles = {"editors": "cluster-admin", "admins": "cluster-admin", "enrolled": "cluster-admin"}
    roles |= {"viewers": "view", "labelled": "admin", "reasoned": "edit"}
    return [
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": f"kzproxy-selves-{group}"},
            "roleRef": {
                "apiGroup": "rbac.authorization.k8s.io",
                "kind": "ClusterRole",
                "name": role,
            },
            "subjects": [
                {
                    "kind": "Group",
                    "apiGroup": "rbac.authorization.k8s.io",
                    "name": f"{PREFIX}{group}",
                }
            ],
        }
        for group, role in roles.items()
    ]


@dataclass
class Selves:
    """A kzproxy that answers about oneself, and clients of it: by group, and by device or not."""

    real: Real
    clients: dict[tuple[str, bool], httpx.Client]


@pytest.fixture(scope="module")
def selves(
    real: Real,
    upstream_kubeconfig: Path,
    administrator: httpx.Client,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Selves]:
    kubectl = Kubectl.of(real.control_plane)
    kubectl.out("apply", "--kustomize", RIGHTS)
    bindings = json.dumps({"apiVersion": "v1", "kind": "List", "items": access()})
    kubectl.out("apply", "-f", "-", stdin=bindings.encode())
    for name in NAMESPACES:
        labels = {LABEL: "yes"} if name == LABELLED else {}
        body = {"metadata": {"name": name, "labels": labels}}
        administrator.post("/api/v1/namespaces", json=body).raise_for_status()
    directory = tmp_path_factory.mktemp("selves")
    authority = Authority.root()
    with issuer_in_thread(directory, authority) as issuer:
        upstream = {"kubeconfig": {"file": str(upstream_kubeconfig)}}
        configured = configuration(directory, authority, issuer, upstream)
        configured["reasons"] = {"directory": "reasons"}
        (directory / "policy.yaml").write_text(yaml.safe_dump(POLICY | {"rules": RULES}))
        with running_proxy(directory, configured) as proxy, ExitStack() as stack:
            world = World(directory, authority, issuer, proxy)
            yield Selves(
                Real(world, real.audit_log, real.control_plane),
                {
                    (group, device): stack.enter_context(client(world, group, device=device))
                    for group in GROUPS
                    for device in (False, True)
                },
            )
    for name in NAMESPACES:
        administrator.delete(f"/api/v1/namespaces/{name}")
    kubectl.out("delete", "-f", "-", stdin=bindings.encode())
    kubectl.out("delete", "--kustomize", RIGHTS, "--ignore-not-found")


def client(world: World, group: str, *, device: bool) -> httpx.Client:
    context = ssl.create_default_context(cafile=str(world.authority_file))
    if device:
        context.load_cert_chain(*world.device(f"of-{group}"))
    return httpx.Client(
        base_url=f"https://localhost:{world.proxy.port}",
        verify=context,
        trust_env=False,
        headers={"Authorization": f"Bearer {world.token(group, group)}"},
        timeout=30,
    )


@dataclass(frozen=True)
class Action:
    """Something to do; ``of`` is group, version, resource with subresource, whether namespaced."""

    verb: str
    of: tuple[str, str, str, bool]
    namespace: str
    name: str

    @property
    def attributes(self) -> dict[str, str]:
        group, version, resource, namespaced = self.of
        kind, _, subresource = resource.partition("/")
        return {
            "verb": self.verb,
            "group": group,
            "version": version,
            "resource": kind,
            "subresource": subresource,
            "namespace": self.namespace if namespaced else "",
            "name": self.name if self.verb not in UNNAMED else "",
        }

    def done(self, by: httpx.Client) -> httpx.Response:
        """Do it as far as shows whether one may: it names nothing that is there."""
        group, version, resource, namespaced = self.of
        kind, _, subresource = resource.partition("/")
        path = f"/apis/{group}/{version}" if group else f"/api/{version}"
        if namespaced and self.namespace:
            path += f"/namespaces/{self.namespace}"
        path += f"/{kind}" + (f"/{self.name}" if self.verb not in UNNAMED or subresource else "")
        path += f"/{subresource}" if subresource else ""
        query = {"watch": {"watch": "1", "timeoutSeconds": "1"}}.get(self.verb, {})
        if self.verb == "deletecollection":
            query = {"labelSelector": "kzproxy.dev/none=none"}
        body = {} if self.verb in ("create", "update") else None
        return by.request(METHODS[self.verb], path, params=query, json=body)


UNNAMED = ("list", "watch", "create", "deletecollection")
METHODS = {
    "get": "GET",
    "list": "GET",
    "watch": "GET",
    "create": "POST",
    "update": "PUT",
    "patch": "PATCH",
    "delete": "DELETE",
    "deletecollection": "DELETE",
}
NAMESPACED = [
    ("", "v1", "pods", True),
    ("", "v1", "configmaps", True),
    ("", "v1", "secrets", True),
    ("apps", "v1", "deployments", True),
    ("batch", "v1", "jobs", True),
]
CLUSTERWIDE = [("", "v1", "nodes", False), ("storage.k8s.io", "v1", "storageclasses", False)]
BELOW = [
    ("get", ("", "v1", "pods/log", True)),
    ("create", ("", "v1", "pods/exec", True)),
    ("update", ("apps", "v1", "deployments/scale", True)),
    ("patch", ("", "v1", "pods/status", True)),
]
NAMES = st.sampled_from(["web", "kzproxy-none", "other"])
PLAIN = st.builds(
    Action,
    verb=st.sampled_from(sorted(METHODS)),
    of=st.sampled_from([*NAMESPACED, *CLUSTERWIDE]),
    namespace=st.sampled_from(NAMESPACES),
    name=NAMES,
)
SUBRESOURCES = st.builds(
    lambda below, namespace, name: Action(below[0], below[1], namespace, name),
    st.sampled_from(BELOW),
    st.sampled_from(NAMESPACES),
    NAMES,
)
EVERYWHERE = st.builds(
    Action,
    verb=st.sampled_from(["list", "watch"]),
    of=st.sampled_from(NAMESPACED),
    namespace=st.just(""),
    name=st.just(""),
)
CALLERS = st.tuples(st.sampled_from(GROUPS), st.booleans())
IN_A_CLUSTER = settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def asked(by: httpx.Client, **attributes: Any) -> dict[str, Any]:
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": attributes,
    }
    answer = by.post(f"{AUTHORIZATION}/selfsubjectaccessreviews", json=review)
    assert answer.status_code == 201, answer.text
    status: dict[str, Any] = answer.json()["status"]
    return status


@IN_A_CLUSTER
@given(caller=CALLERS, action=st.one_of(PLAIN, SUBRESOURCES, EVERYWHERE))
def test_an_access_review_says_what_doing_it_shows(
    selves: Selves, caller: tuple[str, bool], action: Action
) -> None:
    by = selves.clients[caller]
    status = asked(by, resourceAttributes=action.attributes)
    done = action.done(by)
    event(f"allowed: {status['allowed']}")
    assert status["allowed"] is (done.status_code != 403), (status, done.text)
    assert "kzproxy" in status["reason"] or not status["allowed"]


@IN_A_CLUSTER
@given(
    caller=CALLERS,
    path=st.sampled_from(["/version", "/livez", "/metrics", "/api", "/readyz/ping", "/logs/x"]),
)
def test_so_it_does_of_urls(selves: Selves, caller: tuple[str, bool], path: str) -> None:
    by = selves.clients[caller]
    status = asked(by, nonResourceAttributes={"verb": "get", "path": path})
    assert status["allowed"] is (by.get(path).status_code != 403), status


def listed(by: httpx.Client, namespace: str) -> dict[str, Any]:
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectRulesReview",
        "spec": {"namespace": namespace},
    }
    answer = by.post(f"{AUTHORIZATION}/selfsubjectrulesreviews", json=review)
    assert answer.status_code == 201, answer.text
    status: dict[str, Any] = answer.json()["status"]
    return status


def holds(rules: list[dict[str, Any]], asked: dict[str, str]) -> bool:
    """Read rules as RBAC does (pkg/apis/rbac/v1/evaluation_helpers.go)."""
    below = f"/{asked['subresource']}" if asked["subresource"] else ""
    resources = {"*", f"{asked['resource']}{below}", *([f"*{below}"] if below else [])}
    return any(
        {"*", asked["verb"]} & set(rule["verbs"])
        and {"*", asked["group"]} & set(rule["apiGroups"])
        and resources & set(rule["resources"])
        and asked["name"] in (rule.get("resourceNames") or [asked["name"]])
        for rule in rules
    )


@IN_A_CLUSTER
@given(caller=CALLERS, action=st.one_of(PLAIN, SUBRESOURCES))
def test_a_list_of_rules_holds_what_doing_it_shows(
    selves: Selves, caller: tuple[str, bool], action: Action
) -> None:
    by = selves.clients[caller]
    rules = listed(by, action.namespace)["resourceRules"]
    done = action.done(by)
    event(f"allowed: {done.status_code != 403}")
    assert holds(rules, action.attributes) is (done.status_code != 403), (rules, done.text)


def test_kubectl_prints_it(selves: Selves) -> None:
    kubectl = selves.real.kubectl("viv", "viewers", namespace=OPEN)
    permitted = kubectl("auth", "can-i", "get", "pods")
    assert permitted.stdout == b"yes\n", permitted.stderr
    refused = kubectl("auth", "can-i", "get", "services")
    assert refused.returncode == 1
    assert refused.stdout.startswith(b"no - kzproxy: no kzproxy rule allows it")
    every = kubectl.out("auth", "can-i", "--list")
    assert "configmaps" in every
    assert "services" not in every
    assert kubectl("auth", "can-i", "*", "*").stdout.startswith(b"no - kzproxy: ")
    assert f"{PREFIX}viv" in kubectl.out("auth", "whoami")


def test_admins_are_told_the_exception(selves: Selves) -> None:
    kubectl = selves.real.kubectl("addie", "admins", namespace=OPEN)
    assert kubectl("auth", "can-i", "delete", "pods").stdout == b"yes\n"
    refused = kubectl("auth", "can-i", "*", "*").stdout
    assert b"secrets" in refused
    assert b"no-secrets" in refused


def test_a_reason_that_is_missing_is_said(selves: Selves) -> None:
    by = selves.clients["reasoned", False]
    attributes = {"verb": "list", "resource": "secrets", "namespace": OPEN}
    status = asked(by, resourceAttributes=attributes)
    assert (status["allowed"], status["denied"]) == (False, True)
    assert "kzproxy reason" in status["reason"]


@pytest.mark.parametrize(
    "verb",
    [
        "impersonate",
        "impersonate:user-info",
        "impersonate-on:user-info:get",
        "Impersonate:User-Info",
    ],
)
def test_nobody_can_impersonate(selves: Selves, verb: str) -> None:
    """Nor as kube-apiserver asks since Kubernetes 1.36 (KEP-5284)."""
    by = selves.clients["admins", False]
    group = "authentication.k8s.io"
    attributes = {"verb": verb, "group": group, "resource": "users", "name": "bob"}
    assert asked(by, resourceAttributes=attributes)["allowed"] is False


@pytest.mark.parametrize("verb", ["connect", "proxy", "GET"])
def test_a_verb_that_nobody_asks_in_is_not_answered_with_yes(selves: Selves, verb: str) -> None:
    """RBAC's ``*`` covers it."""
    status = asked(
        selves.clients["editors", False],
        resourceAttributes={"verb": verb, "resource": "pods/exec", "namespace": OPEN},
    )
    assert status["allowed"] is False
    assert "get, create" in status["reason"]


def test_a_verb_that_is_no_request_is_left_to_rbac(selves: Selves) -> None:
    by = selves.clients["admins", False]
    attributes = {
        "verb": "bind",
        "group": "rbac.authorization.k8s.io",
        "resource": "clusterroles",
    }
    assert asked(by, resourceAttributes=attributes)["allowed"] is True


@pytest.mark.parametrize("kind", ["application/cbor", "application/json, application/cbor"])
def test_rules_are_not_read_in_other_formats(selves: Selves, kind: str) -> None:
    by = selves.clients["admins", False]
    path = f"{AUTHORIZATION}/selfsubjectrulesreviews"
    refused = by.post(path, content=b"{}", headers={"Content-Type": kind})
    assert refused.status_code == 415, refused.text


@pytest.mark.parametrize("resource", ["selfsubjectaccessreviews", "selfsubjectrulesreviews"])
def test_who_takes_no_json_gets_none(selves: Selves, resource: str) -> None:
    by = selves.clients["admins", False]
    headers = {"Accept": "application/vnd.kubernetes.protobuf"}
    refused = by.post(f"{AUTHORIZATION}/{resource}", json={"spec": {}}, headers=headers)
    assert refused.status_code == 406, refused.text


def test_a_question_that_kube_apiserver_refuses_is_refused(selves: Selves) -> None:
    by = selves.clients["admins", False]
    assert by.post(f"{AUTHORIZATION}/selfsubjectaccessreviews", json={}).status_code >= 400


def names_of(kubectl: Kubectl) -> list[str]:
    names = kubectl.out("get", "namespaces", "--output=name").split()
    return [name.removeprefix("namespace/") for name in names]


SELVES = "/api/v1/namespaces"


def test_namespaces_are_listed_as_far_as_they_may_be_seen(selves: Selves) -> None:
    editor = selves.real.kubectl("edd", "editors")
    everything = names_of(Kubectl.of(selves.real.control_plane))
    seen, whole = names_of(editor), names_of(selves.real.kubectl("addie", "admins"))
    after = names_of(Kubectl.of(selves.real.control_plane))
    # Those of earlier tests may be on their way out.
    assert seen == [name for name in everything if name in seen and name != CLOSED]
    assert whole == [name for name in everything if name in whole]
    assert {*after} - {CLOSED} <= {*seen}
    assert {*after} <= {*whole}
    assert CLOSED not in editor.out("get", "namespaces")
    assert CLOSED not in editor.out("get", "namespaces", "--show-labels", "--chunk-size=1")


def test_no_page_ends_with_the_name_of_one_that_may_not_be_seen(selves: Selves) -> None:
    """kube-apiserver writes into ``continue`` by which name a page ends."""
    by = selves.clients["editors", False]

    def names(**asked: int) -> set[str]:
        page = by.get(SELVES, params=asked).json()
        assert not page["metadata"].get("continue")
        return {each["metadata"]["name"] for each in page["items"]}

    whole = names()
    pages = [names(limit=limit) for limit in range(1, 10)]
    # Those of earlier tests may be on their way out.
    assert all(names() <= page <= whole for page in pages)


def test_head_tells_nothing(selves: Selves) -> None:
    """kube-apiserver has no HEAD for resources, so that no length tells of what is not shown."""
    assert selves.clients["editors", False].head(SELVES).status_code == 405


@pytest.mark.parametrize("group", ["editors", "labelled", "admins"])
def test_a_namespace_is_listed_where_it_is_shown_by_its_name(selves: Selves, group: str) -> None:
    by = selves.clients[group, False]
    listed_names = {each["metadata"]["name"] for each in by.get(SELVES).json().get("items", [])}
    for name in NAMESPACES:
        alone = by.get(SELVES, params={"fieldSelector": f"metadata.name={name}"})
        found = [each["metadata"]["name"] for each in alone.json().get("items", [])]
        assert (name in listed_names) is (found == [name]), alone.text


def test_a_rule_for_some_namespaces_lists_them(selves: Selves) -> None:
    """RBAC lets nobody list some: the user's must let it list all."""
    world, kubectl = selves.real.world, Kubectl.of(selves.real.control_plane)
    binding = ("clusterrolebinding", "kzproxy-selves-lister")
    user = f"--user={PREFIX}labelled"
    kubectl.out("create", *binding, "--clusterrole=view", user)
    try:
        by = selves.clients["labelled", False]
        # kube-apiserver hears of a binding a moment after it has answered that it is made.
        eventually(lambda: "items" in by.get(SELVES).json())
        names = {each["metadata"]["name"] for each in by.get(SELVES).json()["items"]}
        assert names == {LABELLED}
        record = world.proxy.decisions_of(f"{PREFIX}labelled")[-1]
        assert (record["decision"], record["rule"]) == ("permit", "labelled")
    finally:
        kubectl.out("delete", *binding)


def test_a_watch_shows_no_others(selves: Selves) -> None:
    by = selves.clients["editors", False]
    asked = {"watch": "1", "timeoutSeconds": "4"}  # A second may pass before all has come.
    events = [json.loads(line) for line in by.get(SELVES, params=asked).text.splitlines()]
    names = {each["object"]["metadata"]["name"] for each in events}
    assert OPEN in names
    assert CLOSED not in names


def test_a_watch_over_a_websocket_shows_no_others(selves: Selves) -> None:
    """The Java client of fabric8 watches so; refused, its informers stop for good."""
    world = selves.real.world
    handshake = (
        *("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13"),
        *("Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==", "Origin: https://localhost"),
    )
    target = f"{SELVES}?watch=true&timeoutSeconds=4"
    with world.client() as client:
        answer = client.ask(request("GET", target, world.token("editors", "editors"), *handshake))
        assert answer.status == 101, answer.body
        said = list(WebSocketMessages(65536).feed(client.to_end()))
    events = [json.loads(each.payload) for each in said if each.opcode is Opcode.TEXT]
    names = {each["object"]["metadata"]["name"] for each in events}
    assert OPEN in names
    assert CLOSED not in names


def test_a_list_in_protobuf_is_given_in_json_or_not_at_all(selves: Selves) -> None:
    by = selves.clients["editors", False]
    protobuf = "application/vnd.kubernetes.protobuf"
    assert by.get(SELVES, headers={"Accept": protobuf}).status_code == 406
    both = by.get(SELVES, headers={"Accept": f"{protobuf},application/json"})
    assert both.headers["content-type"] == "application/json"
    whole = selves.clients["admins", False].get(SELVES, headers={"Accept": protobuf})
    assert whole.headers["content-type"] == protobuf, "who may see all is given it as it is"


@pytest.mark.parametrize(
    "asked", [{}, {"watch": "1", "timeoutSeconds": "1"}], ids=["list", "watch"]
)
def test_a_table_that_does_not_say_what_is_in_it_is_not_asked_for(
    selves: Selves, asked: dict[str, str]
) -> None:
    headers = {"Accept": "application/json;as=Table;v=v1;g=meta.k8s.io"}
    asked |= {"includeObject": "None"}
    refused = selves.clients["editors", False].get(SELVES, params=asked, headers=headers)
    assert (refused.status_code, "includeObject=None" in refused.text) == (400, True)
    whole = selves.clients["admins", False].get(SELVES, params=asked, headers=headers)
    assert whole.status_code == 200, "who may see all is given it as it is"


def test_when_the_policy_changes_a_watch_of_some_begins_anew(selves: Selves) -> None:
    policy = selves.real.world.directory / "policy.yaml"
    before = policy.read_text()
    with selves.clients["editors", False].stream(
        "GET", SELVES, params={"watch": "1", "timeoutSeconds": "30"}
    ) as watch:
        lines = watch.iter_lines()
        assert json.loads(next(lines))["type"] == "ADDED"
        policy.write_text(before.replace("selves-*", "self*"))
        try:
            last = json.loads(list(lines)[-1])
        finally:
            policy.write_text(before)
    assert (last["type"], last["object"]["code"]) == ("ERROR", 410)
