"""How request lines are read; the tables are in ``request_lines.py``."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from kzproxy.attributes.request_info import RequestInfo
from kzproxy.attributes.target import MAX_TARGET_BYTES
from kzproxy.errors.kinds import BadRequest, NotServed, ProxyError
from tests.attributes.request_lines import (
    CANONICAL,
    NOT_SERVED,
    OUTSIDE,
    PORTS,
    QUERIES,
    REFUSED,
    RESOURCES,
    STREAMS,
)
from tests.fuzz.targets import CLIENT_TARGETS, LIST_TARGETS, METHODS, ODD_METHODS, TARGETS

PROXIED_SUFFIXES = st.lists(
    st.sampled_from(
        ["/", "..", ".", "%2F", "%2e", "%5c", "%25", "%41", "exec", "?", "&", "=", "watch"]
    )
).map(lambda parts: "/" + "".join(parts))


def rows(table):
    return [pytest.param(*row[1:], id=row[0]) for row in table]


@pytest.mark.parametrize(
    ("method", "target", "verb", "group_version", "namespace", "resource", "name"), rows(RESOURCES)
)
def test_a_resource_path_is_read(method, target, verb, group_version, namespace, resource, name):
    info = RequestInfo.parse(method, target)
    assert info.is_resource
    assert info.verb == verb
    assert f"{info.api_group}/{info.api_version}" == group_version
    assert (info.namespace, info.qualified_resource, info.name) == (namespace, resource, name)


@pytest.mark.parametrize(("method", "target", "path"), rows(OUTSIDE))
def test_any_other_path_is_taken_as_it_is(method, target, path):
    info = RequestInfo.parse(method, target)
    assert not info.is_resource
    assert info.path == path
    assert info.verb == info.kube_verb == method.lower()
    assert (info.namespace, info.resource, info.name, info.api_version) == ("", "", "", "")


@pytest.mark.parametrize(("query", "verb", "name"), rows(QUERIES))
def test_a_query_decides_between_list_and_watch(query, verb, name):
    info = RequestInfo.parse("GET", f"/api/v1/namespaces/b/secrets?{query}")
    assert (info.verb, info.kube_verb, info.name) == (verb, verb, name)


@pytest.mark.parametrize(("method", "target", "message"), rows(REFUSED))
def test_a_request_with_two_readings_is_refused(method, target, message):
    with pytest.raises(BadRequest) as refusal:
        RequestInfo.parse(method, target)
    assert message in refusal.value.message
    assert refusal.value.detail.isascii()


@pytest.mark.parametrize(("target", "instead"), rows(NOT_SERVED))
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_legacy_prefix_is_not_served(method, target, instead):
    with pytest.raises(NotServed) as refusal:
        RequestInfo.parse(method, target)
    assert instead in refusal.value.message


@pytest.mark.parametrize(("target", "canonical"), rows(CANONICAL))
def test_the_target_is_spelt_in_one_way(target, canonical):
    info = RequestInfo.parse("GET", target)
    assert info.target == canonical
    assert RequestInfo.parse("GET", canonical) == info


@pytest.mark.parametrize(("path", "scheme", "name", "port"), rows(PORTS))
def test_a_port_in_a_proxied_name_is_split_off(path, scheme, name, port):
    info = RequestInfo.parse("GET", "/api/v1" + path)
    assert (info.port_scheme, info.name, info.port) == (scheme, name, port)


@pytest.mark.parametrize(("method", "target", "stream"), rows(STREAMS))
def test_a_long_running_request_is_known_by_how_it_talks(method, target, stream):
    assert RequestInfo.parse(method, target).stream is stream


@pytest.mark.parametrize("query", ["fieldSelector=a%3Db&labelSelector=c", "labelSelector=c"])
def test_selectors_count_for_many_objects_only(query):
    for method, verb in (("GET", "list"), ("DELETE", "deletecollection")):
        info = RequestInfo.parse(method, f"/api/v1/pods?{query}")
        assert (info.verb, info.label_selector) == (verb, "c")
        assert info.field_selector == ("a=b" if "field" in query else "")
    for method in ("GET", "DELETE"):
        info = RequestInfo.parse(method, f"/api/v1/nodes/n?{query}")
        assert (info.field_selector, info.label_selector) == ("", "")
    assert RequestInfo.parse("POST", f"/api/v1/pods?{query}").label_selector == ""


def test_the_name_in_a_field_selector_does_not_make_a_deletecollection_a_delete():
    info = RequestInfo.parse("DELETE", "/api/v1/pods?fieldSelector=metadata.name%3Dx")
    assert (info.verb, info.name) == ("deletecollection", "")


def test_the_verb_of_kube_apiserver_is_kept_beside_the_judged_one():
    for method, kube_verb in (("GET", "get"), ("POST", "create"), ("PUT", "update")):
        info = RequestInfo.parse(method, "/api/v1/namespaces/a/pods/p/exec")
        assert (info.verb, info.kube_verb) == ("connect", kube_verb)


def test_the_longest_target_is_read():
    target = "/api/v1/nodes/" + "a" * (MAX_TARGET_BYTES - len("/api/v1/nodes/"))
    assert RequestInfo.parse("GET", target).target == target


@given(METHODS | ODD_METHODS, TARGETS | LIST_TARGETS)
def test_any_request_line_is_read_or_refused(method: str, target: str):
    """There are these outcomes and no other; what is read is the same when read again."""
    try:
        info = RequestInfo.parse(method, target)
    except (BadRequest, NotServed):
        return
    assert RequestInfo.parse(method, info.target) == info
    assert info.verb
    assert info.kube_verb


@given(METHODS, TARGETS)
def test_what_is_read_holds_nothing_that_another_parser_would_resolve(method: str, target: str):
    try:
        info = RequestInfo.parse(method, target)
    except ProxyError:
        return
    before_a_backend = info.path.partition("/proxy/")[0].split("/")
    assert not {".", ".."} & set(before_a_backend)
    assert "" not in before_a_backend[1:-1]
    assert not set("#\\ \x7f") & set(info.target)
    assert info.target.isascii()
    assert info.target.isprintable()
    for part in (info.namespace, info.resource, info.subresource, info.api_group):
        assert not set("/%") & set(part)


@given(METHODS, PROXIED_SUFFIXES)
def test_nothing_behind_proxy_changes_what_is_asked(method: str, suffix: str):
    """P11: dot segments, slashes and escapes there are the backend's."""
    plain = RequestInfo.parse(method, "/api/v1/nodes/n:80/proxy")
    target = f"/api/v1/nodes/n:80/proxy{suffix}"
    try:
        info = RequestInfo.parse(method, target)
    except BadRequest:
        return
    assert info.target == target
    assert replace(info, target=plain.target, path=plain.path, query=()) == plain


@given(METHODS, CLIENT_TARGETS)
def test_what_client_go_writes_is_sent_on_as_it_came(method: str, target: str):
    assert RequestInfo.parse(method, target).target == target


@pytest.mark.parametrize(
    ("method", "target", "is_dry_run"),
    [
        ("POST", "/api/v1/namespaces/a/pods?dryRun=All", True),
        ("PUT", "/api/v1/namespaces/a/pods/x?dryRun=All", True),
        ("PATCH", "/api/v1/namespaces/a/pods/x?dryRun=All", True),
        ("DELETE", "/api/v1/namespaces/a/pods/x?dryRun=All", True),
        ("DELETE", "/api/v1/namespaces/a/pods?dryRun=All", True),
        ("POST", "/api/v1/namespaces/a/pods", False),
        ("POST", "/api/v1/namespaces/a/pods?dryRun=", False),
        ("POST", "/api/v1/namespaces/a/pods?dryRun=all", False),
        ("POST", "/api/v1/namespaces/a/pods?dryrun=All", False),
        ("GET", "/api/v1/namespaces/a/pods?dryRun=All", False),
        ("POST", "/api/v1/namespaces/a/pods/x/exec?command=ls&dryRun=All", False),
        ("POST", "/api/v1/namespaces/a/pods/x/proxy/?dryRun=All", False),
        ("POST", "/api/v1/namespaces/a/serviceaccounts/x/token?dryRun=All", False),
        ("POST", "/elsewhere?dryRun=All", False),
        ("DELETE", "/elsewhere?dryRun=All", False),
    ],
)
def test_a_dry_run_is_one_only_where_kube_apiserver_makes_it_one(
    method: str, target: str, is_dry_run: bool
):
    assert RequestInfo.parse(method, target).is_dry_run is is_dry_run


def test_the_body_of_a_deletion_says_whether_it_is_a_dry_run_and_the_query_does_not():
    info = RequestInfo.parse("DELETE", "/api/v1/namespaces/a/pods/x?dryRun=All")
    assert not replace(info, dry_run_in_body=False).is_dry_run
    plain = RequestInfo.parse("DELETE", "/api/v1/namespaces/a/pods/x")
    assert replace(plain, dry_run_in_body=True).is_dry_run


@pytest.mark.parametrize(
    ("asked", "whole"),
    [
        ("", ""),
        ("?limit=500", ""),
        ("?limit=1&labelSelector=a%3Db&continue=x", "?labelSelector=a%3Db&continue=x"),
        ("?labelSelector=a+in+%28b%29", "?labelSelector=a+in+%28b%29"),
    ],
)
def test_a_list_in_one_piece_is_the_same_list(asked: str, whole: str) -> None:
    one, other = (
        RequestInfo.parse("GET", f"/api/v1/namespaces{query}") for query in (asked, whole)
    )
    assert one.in_one_piece() == other


@pytest.mark.parametrize(
    ("method", "target", "is_read"),
    [
        ("GET", "/api/v1/pods", True),
        ("GET", "/api/v1/pods?watch=1", True),
        ("GET", "/api/v1/namespaces/a/pods/p", True),
        ("HEAD", "/api/v1/namespaces/a/pods/p", True),
        ("GET", "/version", True),
        ("HEAD", "/version", True),
        ("POST", "/api/v1/namespaces/a/pods", False),
        ("PUT", "/api/v1/namespaces/a/pods/p", False),
        ("PATCH", "/api/v1/namespaces/a/pods/p", False),
        ("DELETE", "/api/v1/namespaces/a/pods/p", False),
        ("DELETE", "/api/v1/namespaces/a/pods", False),
        ("GET", "/api/v1/namespaces/a/pods/p/exec", False),
        ("GET", "/api/v1/namespaces/a/pods/p/proxy/", False),
        ("POST", "/version", False),
    ],
)
def test_only_what_changes_nothing_is_a_read(method: str, target: str, is_read: bool) -> None:
    assert RequestInfo.parse(method, target).is_read is is_read
