"""What the Kubernetes Python client is asked to do while it is recorded; see ``record.py``."""

from kubernetes import client, config, dynamic, watch  # type: ignore[import-not-found]
from kubernetes.client.rest import ApiException  # type: ignore[import-not-found]
from kubernetes.stream import stream  # type: ignore[import-not-found]

NAMESPACE = "default"


def main() -> None:
    """Ask for a little of everything."""
    config.load_kube_config()
    core, apps = client.CoreV1Api(), client.AppsV1Api()
    body = {"metadata": {"name": "python"}, "data": {"a": "b"}}
    core.create_namespaced_config_map(NAMESPACE, body)
    core.patch_namespaced_config_map("python", NAMESPACE, {"data": {"a": "c"}})
    core.replace_namespaced_config_map("python", NAMESPACE, body)
    core.read_namespaced_config_map("python", NAMESPACE)
    core.list_namespaced_config_map(NAMESPACE, limit=1)
    core.list_pod_for_all_namespaces(label_selector="a in (b,c)", field_selector="spec.nodeName=x")
    apps.list_namespaced_deployment(NAMESPACE, _preload_content=False).data.decode()
    for _ in watch.Watch().stream(core.list_namespaced_config_map, NAMESPACE, timeout_seconds=1):
        pass
    core.delete_namespaced_config_map("python", NAMESPACE, dry_run="All")
    core.delete_namespaced_config_map("python", NAMESPACE)
    core.delete_collection_namespaced_config_map(NAMESPACE, label_selector="a=b")
    client.AuthorizationV1Api().create_self_subject_access_review(
        {"spec": {"resourceAttributes": {"verb": "get", "resource": "pods"}}}
    )
    client.VersionApi().get_code()
    for versions in (client.CoreApi(), client.ApisApi()):
        versions.get_api_versions()
    client.AppsApi().get_api_group()
    for resources in (core, apps, client.RbacAuthorizationV1Api()):
        resources.get_api_resources()
    found = dynamic.DynamicClient(client.ApiClient()).resources.get(
        api_version="v1", kind="ConfigMap"
    )
    found.server_side_apply(
        namespace=NAMESPACE,
        body={"apiVersion": "v1", "kind": "ConfigMap", **body},
        field_manager="python",
        force_conflicts=True,
    )
    for attempt in (_exec, _logs):
        try:
            attempt(core)
        except ApiException as error:
            print(attempt.__name__, error.status)


def _exec(core: client.CoreV1Api) -> None:
    stream(
        core.connect_get_namespaced_pod_exec,
        "none",
        NAMESPACE,
        command=["sh", "-c", "echo 'a b'; exit 3"],
        stdout=True,
        stderr=True,
    )


def _logs(core: client.CoreV1Api) -> None:
    core.read_namespaced_pod_log("none", NAMESPACE, follow=True, tail_lines=3)


main()
