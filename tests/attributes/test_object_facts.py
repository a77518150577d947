"""What is read of an object, of every kind that runs pods and of every part of a pod."""

import pytest

from kzproxy.attributes.api_object import ApiObject
from kzproxy.attributes.object_facts import object_facts
from kzproxy.attributes.request_info import RequestInfo
from kzproxy.errors.kinds import BadRequest

PODS = RequestInfo.parse("POST", "/api/v1/namespaces/a/pods")
CONFIG_MAPS = RequestInfo.parse("POST", "/api/v1/namespaces/a/configmaps")
PRIVILEGED = {"securityContext": {"privileged": True}}
MAIN = {"name": "main", "image": "web:1"}


def pod(**spec: object) -> dict[str, object]:
    return {"metadata": {"name": "x"}, "spec": {"containers": [MAIN], **spec}}


def test_a_plain_pod() -> None:
    assert object_facts(pod(), PODS) == ApiObject(service_account="default", images=("web:1",))


def test_labels_are_sorted() -> None:
    manifest = pod() | {"metadata": {"labels": {"b": "2", "a": "1", "privileGED": "x"}}}
    facts = object_facts(manifest, PODS)
    assert facts.labels == (("a", "1"), ("b", "2"), ("privileGED", "x"))


@pytest.mark.parametrize(
    "spec",
    [
        {"containers": [MAIN, MAIN | PRIVILEGED]},
        {"initContainers": [MAIN | PRIVILEGED]},
        {"ephemeralContainers": [MAIN | PRIVILEGED]},
        {"containers": [MAIN | {"securityContext": {"windowsOptions": {"hostProcess": True}}}]},
        {"securityContext": {"windowsOptions": {"hostProcess": True}}},
    ],
)
def test_a_pod_is_privileged_if_any_container_is(spec: dict[str, object]) -> None:
    assert object_facts(pod(**spec), PODS).privileged


@pytest.mark.parametrize("name", ["hostNetwork", "hostPID", "hostIPC"])
def test_a_pod_shares_a_namespace_of_its_node(name: str) -> None:
    assert object_facts(pod(**{name: True}), PODS).host_namespaces
    assert not object_facts(pod(**{name: False}), PODS).host_namespaces
    assert not object_facts(pod(**{name: None}), PODS).host_namespaces


@pytest.mark.parametrize("name", ["serviceAccount", "serviceAccountName"])
def test_the_account_has_two_names(name: str) -> None:
    assert object_facts(pod(**{name: "robot"}), PODS).service_account == "robot"


def test_images_that_are_mounted_count_too() -> None:
    volumes = [{"name": "a", "emptyDir": {}}, {"name": "b", "image": {"reference": "evil:1"}}]
    assert object_facts(pod(volumes=volumes), PODS).images == ("web:1", "evil:1")
    with pytest.raises(BadRequest):
        object_facts(pod(volumes=[{"image": {"Reference": "evil:1"}}]), PODS)


def test_images_are_those_of_all_containers() -> None:
    spec = {"initContainers": [{"image": "i"}], "ephemeralContainers": [{"image": "e"}]}
    assert object_facts(pod(**spec), PODS).images == ("i", "web:1", "e")


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("/api/v1/namespaces/a/podtemplates", ["template"]),
        ("/api/v1/namespaces/a/replicationcontrollers", ["spec", "template"]),
        ("/apis/apps/v1/namespaces/a/deployments", ["spec", "template"]),
        ("/apis/apps/v1/namespaces/a/daemonsets", ["spec", "template"]),
        ("/apis/apps/v1/namespaces/a/replicasets", ["spec", "template"]),
        ("/apis/apps/v1/namespaces/a/statefulsets", ["spec", "template"]),
        ("/apis/batch/v1/namespaces/a/jobs", ["spec", "template"]),
        ("/apis/batch/v1/namespaces/a/cronjobs", ["spec", "jobTemplate", "spec", "template"]),
    ],
)
def test_what_makes_pods_is_looked_into(target: str, path: list[str]) -> None:
    template = pod(containers=[MAIN | PRIVILEGED], serviceAccountName="robot", hostPID=True)
    manifest: object = template
    for name in reversed(path):
        manifest = {name: manifest}
    assert isinstance(manifest, dict)
    manifest["metadata"] = {"labels": {"of": "the workload"}}
    facts = object_facts(manifest, RequestInfo.parse("POST", target))

    assert facts == ApiObject(
        labels=(("of", "the workload"),),
        service_account="robot",
        privileged=True,
        host_namespaces=True,
        images=("web:1",),
    )


def test_of_anything_else_only_the_labels_are_known() -> None:
    manifest = {"metadata": {"labels": {"a": "b"}}, "data": {"spec": "x", "Spec": "y"}}
    assert object_facts(manifest, CONFIG_MAPS) == ApiObject(labels=(("a", "b"),))


@pytest.mark.parametrize(
    "manifest",
    [
        None,
        [],
        "x",
        {"spec": []},
        {"metadata": []},
        {"metadata": {"labels": []}},
        {"metadata": {"labels": {"a": 1}}},
        {"metadata": {"labels": {"a": None}}},
        pod(containers={}),
        pod(containers=[None]),
        pod(containers=["x"]),
        pod(containers=[{"image": 1}]),
        pod(containers=[{"securityContext": []}]),
        pod(containers=[{"securityContext": {"privileged": "true"}}]),
        pod(containers=[{"securityContext": {"privileged": 1}}]),
        pod(containers=[MAIN | PRIVILEGED, {"securityContext": {"privileged": "x"}}]),
        pod(hostNetwork="true"),
        pod(hostNetwork=True, hostPID="x"),
        pod(serviceAccountName=1),
        pod(serviceAccountName="a", serviceAccount="b"),
        {"Spec": {}},
        {"SPEC": {}, "spec": {}},
        pod(Containers=[]),
        pod(containers=[{"SecurityContext": {"privileged": True}}]),
        pod(containers=[{"securityContext": {"Privileged": True}}]),
        pod(containers=[{"\u017fecurityContext": {"privileged": True}}]),
        pod(hostpid=True),
        pod(hostIPc=True),
        {"metadata": {"Labels": {}}},
    ],
)
def test_what_another_reader_could_see_otherwise_is_refused(manifest: object) -> None:
    with pytest.raises(BadRequest):
        object_facts(manifest, PODS)


def test_null_is_as_if_it_were_not_there() -> None:
    manifest = {
        "metadata": {"labels": None},
        "spec": {
            "containers": [
                MAIN | {"securityContext": None},
                {"securityContext": {"privileged": None}},
            ],
            "initContainers": None,
            "hostNetwork": None,
            "serviceAccountName": None,
        },
    }
    assert object_facts(manifest, PODS) == ApiObject(service_account="default", images=("web:1",))


@pytest.mark.parametrize(
    "target",
    ["/api/v1/namespaces/a/replicationcontrollers", "/apis/batch/v1/namespaces/a/jobs"],
)
def test_what_gets_its_labels_from_its_template_has_them(target: str) -> None:
    template = {"metadata": {"labels": {"app": "x"}}, "spec": {"containers": [MAIN]}}
    manifest = {"metadata": {"labels": {}}, "spec": {"template": template}}
    assert object_facts(manifest, RequestInfo.parse("POST", target)).labels == (("app", "x"),)


def test_what_has_labels_of_its_own_has_none_of_its_templates() -> None:
    """Those of a Deployment are its own alone; so are any that a Job has."""
    inner = {"metadata": {"labels": {"team": "a"}}, "spec": {"containers": [MAIN]}}
    deployments = RequestInfo.parse("POST", "/apis/apps/v1/namespaces/a/deployments")
    jobs = RequestInfo.parse("POST", "/apis/batch/v1/namespaces/a/jobs")

    assert object_facts({"spec": {"template": inner}}, deployments).labels == ()
    own = {"metadata": {"labels": {"b": "c"}}, "spec": {"template": inner}}
    assert object_facts(own, jobs).labels == (("b", "c"),)
