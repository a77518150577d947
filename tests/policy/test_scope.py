"""The resources that no namespace can hold."""

import pytest

from kzproxy.policy.scope import CLUSTER_SCOPED


def test_no_namespaced_resource_is_taken_for_a_cluster_scoped_one():
    """A sample of what a wrong entry would open; namespaces lie within themselves."""
    namespaced = {
        ("", "namespaces"),
        ("", "pods"),
        ("", "secrets"),
        ("", "persistentvolumeclaims"),
        ("apps", "deployments"),
        ("authorization.k8s.io", "localsubjectaccessreviews"),
        ("certificates.k8s.io", "podcertificaterequests"),
        ("networking.k8s.io", "ingresses"),
        ("policy", "poddisruptionbudgets"),
        ("rbac.authorization.k8s.io", "roles"),
        ("rbac.authorization.k8s.io", "rolebindings"),
        ("resource.k8s.io", "resourceclaims"),
        ("storage.k8s.io", "csistoragecapacities"),
    }

    assert not namespaced & CLUSTER_SCOPED


def test_the_resources_that_people_list_without_a_namespace_are_known():
    assert {("", "nodes"), ("storage.k8s.io", "storageclasses")} <= CLUSTER_SCOPED


@pytest.mark.cluster
def test_the_api_server_says_the_same(administrator):
    """Each resource that it serves and that can be listed, in every version, by its own word."""
    served = list(served_resources(administrator))
    namespaced = {resource for resource, is_namespaced in served if is_namespaced}
    clusterwide = {resource for resource, is_namespaced in served if not is_namespaced}

    assert not namespaced & CLUSTER_SCOPED
    assert clusterwide - CLUSTER_SCOPED == {("", "namespaces")}


def served_resources(api):
    """Yield (group, resource) and whether it is namespaced, as discovery tells."""
    groups = api.get("/apis").raise_for_status().json()["groups"]
    versions = [("", "/api/v1")] + [
        (group["name"], f"/apis/{version['groupVersion']}")
        for group in groups
        for version in group["versions"]
    ]
    for group, path in versions:
        for resource in api.get(path).raise_for_status().json()["resources"]:
            if "/" not in resource["name"] and "list" in resource["verbs"]:
                yield (group, resource["name"]), resource["namespaced"]
