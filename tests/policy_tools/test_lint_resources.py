"""Resources that Kubernetes does not have."""

from datetime import UTC, datetime

import pytest

from kzproxy.policy_tools.check import CheckOptions, check_policies
from kzproxy.policy_tools.lint_resources import SERVED
from tests.policy_tools.policies import rule, written

AT = datetime(2026, 3, 4, tzinfo=UTC)


def messages(directory, groups, resources):
    match = f'{{verbs: ["*"], apiGroups: {groups}, resources: {resources}}}'
    path = written(directory, rule("d", "deny", match))
    return [
        finding.message
        for finding in check_policies([path], CheckOptions(at=AT))
        if str(finding.lint) == "unknown-resource"
    ]


@pytest.mark.parametrize(
    ("groups", "resources", "hint"),
    [
        ('[""]', "[secret]", "did you mean secrets?"),
        ('["*"]', '["*", "!secret"]', "did you mean secrets?"),
        ('["*"]', "[pod/exec]", "did you mean pods?"),
        ('[""]', "[deployments]", "write deployments under apiGroups: ['apps']"),
        ("[apps]", "[pods]", "write pods under apiGroups: ['']"),
        ('[""]', "[cm]", "the core group has no cm"),
        ('[""]', '["*", "!pods/logs"]', "did you mean log?"),
        ("[batch, apps]", "[deployment/scale]", "did you mean deployments?"),
    ],
)
def test_a_resource_that_no_request_is_for_is_found(tmp_path, groups, resources, hint):
    (message,) = messages(tmp_path, groups, resources)

    assert hint in message


@pytest.mark.parametrize(
    ("groups", "resources"),
    [
        ('["", apps]', "[pods, deployments, pods/log, deployments/scale, '*/status', 'pods/*']"),
        ('["*"]', "['*', '!secrets', gateways, data]"),
        ("[example.com]", "[secret]"),
        ('["", example.com]', "[secret]"),
    ],
)
def test_what_there_may_be_is_let_be(tmp_path, groups, resources):
    assert messages(tmp_path, groups, resources) == []


@pytest.mark.cluster
def test_the_api_server_serves_what_is_said_here_and_no_more(administrator):
    served: dict[str, dict[str, set[str]]] = {group: {} for group in SERVED}
    paths = {"": ["/api/v1"]}
    for group in administrator.get("/apis").raise_for_status().json()["groups"]:
        paths[group["name"]] = [f"/apis/{each['groupVersion']}" for each in group["versions"]]
    for group in SERVED:
        for path in paths[group]:
            for each in administrator.get(path).raise_for_status().json()["resources"]:
                kind, _, subresource = each["name"].partition("/")
                of = served[group].setdefault(kind, set())
                of |= {subresource} - {""}

    assert served == {
        group: {kind: set(of) for kind, of in resources.items()}
        for group, resources in SERVED.items()
    }
