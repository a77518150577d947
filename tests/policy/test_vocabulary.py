"""Verbs and the resources that can have them."""

import pytest

from kzproxy.attributes.request_info import RequestInfo
from kzproxy.policy.vocabulary import (
    RESOURCE_VERBS,
    URL_VERBS,
    misused_verbs,
    resource_key,
    verbs_left_open,
    verbs_possible,
)

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "path", ["pods", "pods/p", "pods/p/log", "pods/p/exec", "pods/p/attach", "pods/p/proxy"]
)
def test_every_verb_that_the_parser_gives_is_one_that_a_rule_can_name(method, path):
    info = RequestInfo.parse(method, f"/api/v1/namespaces/dev/{path}")

    assert info.verb in RESOURCE_VERBS
    assert info.verb in verbs_possible(info.qualified_resource)


@pytest.mark.parametrize("method", METHODS)
def test_every_verb_outside_the_resources_is_one_that_a_rule_can_name(method):
    assert RequestInfo.parse(method, "/version").verb in URL_VERBS


@pytest.mark.parametrize("subresource", ["exec", "attach", "portforward", "proxy"])
@pytest.mark.parametrize("resource", ["pods", "*", "virtualmachineinstances"])
def test_no_ordinary_verb_may_be_named_for_a_connection(resource, subresource):
    verb = "proxy" if subresource == "proxy" else "connect"

    assert misused_verbs([verb], f"{resource}/{subresource}") == ""
    assert misused_verbs(["*"], f"{resource}/{subresource}") == ""
    for wrong in {*RESOURCE_VERBS} - {verb}:
        message = misused_verbs([wrong, verb], f"{resource}/{subresource}")
        assert f"verbs: [{verb}]" in message
        assert wrong in message


@pytest.mark.parametrize("pattern", ["pods", "pods/log", "*/scale", "deployments/status"])
def test_connect_and_proxy_may_not_be_named_for_a_resource_that_never_has_them(pattern):
    assert "pods/exec" in misused_verbs(["connect"], pattern)
    assert "nodes/proxy" in misused_verbs(["get", "proxy"], pattern)
    assert misused_verbs(["get", "create", "*"], pattern) == ""


@pytest.mark.parametrize("pattern", ["*", "*/*", "pods/*"])
def test_a_wildcard_that_reaches_connections_takes_every_verb(pattern):
    assert misused_verbs(RESOURCE_VERBS, pattern) == ""


@pytest.mark.parametrize(
    ("verbs", "pattern", "missing"),
    [
        (["get"], "pods/*", "connect and proxy"),
        (["create", "connect"], "pods/*", "add proxy"),
        (["get", "connect", "proxy"], "pods/*", ""),
        (["*"], "pods/*", ""),
        (["connect"], "pods/*", ""),
        (["proxy"], "pods/*", ""),
        (["get"], "*", ""),
        (["get"], "*/*", ""),
        (["get"], "pods/log", ""),
    ],
)
def test_a_deny_on_all_subresources_must_say_what_it_does_to_connections(verbs, pattern, missing):
    message = verbs_left_open(verbs, pattern)

    assert missing in message
    assert bool(message) is bool(missing)


@pytest.mark.parametrize(
    ("pattern", "key"), [("*/*", "*"), ("*", "*"), ("*/scale", "*/scale"), ("pods", "pods")]
)
def test_two_spellings_of_everything_are_one(pattern, key):
    assert resource_key(pattern) == key
