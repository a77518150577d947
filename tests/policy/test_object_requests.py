"""Which requests have an object, held against what the enforcement point looks up."""

import asyncio
import inspect

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kzproxy.attributes.api_object import ApiObject
from kzproxy.attributes.request_info import RequestInfo
from kzproxy.enforcement.object_checks import ObjectChecks
from kzproxy.policy.object_requests import has_object, may_have_object
from kzproxy.policy.rules import Match
from tests.policy.samples import match, subject

FOUND = ApiObject()


class _Looking(ObjectChecks):
    """Says that it would look, where the real one reads a body or asks kube-apiserver."""

    def __init__(self) -> None:
        super().__init__(pods=_Pods(), held=None)  # type: ignore[arg-type]

    async def _document(self, *_: object) -> object:
        return {}


class _Pods:
    """Stands in for kube-apiserver, which has every pod."""

    async def facts(self, _: object) -> ApiObject:
        return FOUND


def is_looked_at(request: RequestInfo) -> bool:
    return asyncio.run(_Looking().object_of(None, None, request, subject())) is not None  # type: ignore[arg-type]


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("path", ["/api/v1/namespaces/d/pods", "/apis/apps/v1/deployments"])
@pytest.mark.parametrize(
    "rest", ["", "?watch=1", "/a", "/a/log", "/a/exec", "/a/ephemeralcontainers", "/a/status"]
)
def test_it_says_what_the_enforcement_point_does(method: str, path: str, rest: str) -> None:
    request = RequestInfo.parse(method, path + rest)
    what = (request.verb, request.api_group, request.resource, request.subresource)
    if request.verb != "create" or not request.name or request.subresource:
        assert has_object(*what) is is_looked_at(request)


def test_the_stand_in_has_no_other_way_to_look() -> None:
    assert set(inspect.signature(ObjectChecks.object_of).parameters) == {
        "self",
        "exchange",
        "request",
        "info",
        "whose",
    }


@given(
    verb=st.sampled_from(["get", "list", "create", "patch", "delete", "connect", "update"]),
    resource=st.sampled_from(["pods", "pods/exec", "pods/ephemeralcontainers", "secrets"]),
    group=st.sampled_from(["", "apps"]),
)
def test_a_wildcard_may_have_what_one_of_its_requests_has(
    verb: str, resource: str, group: str
) -> None:
    kind, _, subresource = resource.partition("/")
    if has_object(verb, group, kind, subresource):
        for wide in (match("*", resource), match(verb, "*"), match(verb, "*/*")):
            assert may_have_object(wide)
        if subresource:
            assert may_have_object(match(verb, f"{kind}/*"))
            assert may_have_object(match(verb, f"*/{subresource}"))


@pytest.mark.parametrize(
    "nothing",
    [
        match("list watch deletecollection", "*"),
        match("get delete", "secrets deployments"),
        match("get", "pods", groups=("metrics.k8s.io",)),
        match("*", urls="*"),
    ],
)
def test_what_has_no_object_has_none(nothing: Match) -> None:
    assert not may_have_object(nothing)
