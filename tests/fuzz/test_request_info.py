"""Hold ``RequestInfo.parse`` against kube-apiserver's own parser (net/http, then NewRequestInfo).

The statement: what kzproxy accepts, kube-apiserver reads in the same way, both as it was sent and
as it is forwarded. Set KZPROXY_FUZZ_EXAMPLES for a longer run.
"""

import os
from itertools import product
from urllib.parse import unquote, urlencode

import pytest
from hypothesis import given, note, settings

from kzproxy.attributes.request_info import RequestInfo, StreamKind
from kzproxy.errors.kinds import BadRequest, NotServed
from tests.attributes.request_lines import (
    CANONICAL,
    OUTSIDE,
    PORTS,
    QUERIES,
    RESOURCES,
    STREAMS,
)
from tests.cluster.request_info_oracle import RequestInfoAnswer, RequestInfoOracle
from tests.fuzz.targets import (
    CLIENT_TARGETS,
    FIELD_SELECTORS,
    LABEL_SELECTORS,
    LIST_TARGETS,
    METHODS,
    TARGETS,
)

pytestmark = pytest.mark.cluster

EXAMPLES = int(os.environ.get("KZPROXY_FUZZ_EXAMPLES", "4000"))
# Others each time, in CI too, where all else draws the same: they are to find what is not known.
AT_LENGTH = settings(max_examples=EXAMPLES, derandomize=False)


@AT_LENGTH
@given(METHODS, TARGETS)
def test_what_is_accepted_is_read_by_kube_apiserver_in_the_same_way(
    request_info_oracle: RequestInfoOracle, method: str, target: str
):
    assert_same_reading_if_accepted(request_info_oracle, method, target)


@AT_LENGTH
@given(LIST_TARGETS)
def test_a_name_out_of_a_field_selector_is_the_one_that_kube_apiserver_takes(
    request_info_oracle: RequestInfoOracle, target: str
):
    assert_same_reading_if_accepted(request_info_oracle, "GET", target)


def test_the_tables_of_the_unit_tests_are_what_kube_apiserver_reads(
    request_info_oracle: RequestInfoOracle,
):
    lines = [(row[1], row[2]) for table in (RESOURCES, OUTSIDE, STREAMS) for row in table]
    lines += [("GET", f"/api/v1/namespaces/b/secrets?{row[1]}") for row in QUERIES]
    lines += [("GET", row[1]) for row in CANONICAL]
    lines += [("GET", "/api/v1" + row[1]) for row in PORTS]
    for method, target in lines:
        info = RequestInfo.parse(method, target)
        assert_same_reading(info, request_info_oracle.ask(method, target))


@settings(AT_LENGTH, max_examples=EXAMPLES // 10)
@given(METHODS, CLIENT_TARGETS)
def test_what_client_go_writes_is_accepted_unchanged(
    request_info_oracle: RequestInfoOracle, method: str, target: str
):
    note(f"{method} {target!a}")
    info = RequestInfo.parse(method, target)
    assert info.target == target
    assert_same_reading(info, request_info_oracle.ask(method, target))


def test_no_selector_that_kube_apiserver_can_read_is_refused(
    request_info_oracle: RequestInfoOracle,
):
    """Of those in the lists, less the ones with a tab, which is a control byte."""
    for field, label in product(FIELD_SELECTORS, LABEL_SELECTORS):
        query = urlencode({"fieldSelector": field, "labelSelector": label})
        target = f"/api/v1/pods?{query}"
        if request_info_oracle.ask("GET", target).name and label.isprintable():
            RequestInfo.parse("GET", target)


def assert_same_reading_if_accepted(
    request_info_oracle: RequestInfoOracle, method: str, target: str
) -> None:
    note(f"{method} {target!a}")
    try:
        info = RequestInfo.parse(method, target)
    except (BadRequest, NotServed):
        return
    assert_same_reading(info, request_info_oracle.ask(method, target))
    assert_same_reading(info, request_info_oracle.ask(method, info.target))


def assert_same_reading(info: RequestInfo, answer: RequestInfoAnswer) -> None:
    """Compare with Go's reading all but the documented differences: verb, port, proxied path."""
    assert not answer.refused, answer
    assert (
        info.method,
        info.is_resource,
        info.kube_verb,
        info.api_group,
        info.api_version,
        info.namespace,
        info.resource,
        info.subresource,
        info.field_selector,
        info.label_selector,
    ) == (
        answer.method,
        answer.is_resource_request,
        answer.verb,
        answer.api_group,
        answer.api_version,
        answer.namespace,
        answer.resource,
        answer.subresource,
        answer.field_selector,
        answer.label_selector,
    )
    assert (info.port_scheme, info.name, info.port) == scheme_name_port(answer)
    assert info.verb == judged_verb(answer)
    assert (info.stream is StreamKind.WATCH) == (answer.verb == "watch")
    assert grouped(info.query) == answer.query
    assert_same_path(info, answer)


def assert_same_path(info: RequestInfo, answer: RequestInfoAnswer) -> None:
    if answer.subresource != "proxy":
        assert info.path == answer.path
    elif not answer.lossy:
        assert unquote(info.path) == answer.path


def judged_verb(answer: RequestInfoAnswer) -> str:
    if answer.subresource in {"exec", "attach", "portforward"}:
        return "connect"
    return "proxy" if answer.subresource == "proxy" else answer.verb


def scheme_name_port(answer: RequestInfoAnswer) -> tuple[str, str, str]:
    """Split Go's name as SplitSchemeNamePort does: one, two or three parts."""
    parts = [answer.name]
    kind = (answer.api_group, answer.resource, answer.subresource)
    if kind in {("", kind, "proxy") for kind in ("nodes", "pods", "services")}:
        parts = answer.name.split(":")
    match parts:
        case [name]:
            return "", name, ""
        case [name, port]:
            return "", name, port
        case [scheme, name, port]:
            return scheme, name, port
    raise AssertionError(f"kube-apiserver refuses this name: {answer.name}")


def grouped(pairs: tuple[tuple[str, str], ...]) -> dict[str, list[str]]:
    values: dict[str, list[str]] = {}
    for key, value in pairs:
        values.setdefault(key, []).append(value)
    return values
