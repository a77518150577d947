"""Which header names end a request."""

import pytest

from kzproxy.errors.kinds import BadRequest
from kzproxy.http.messages import NoBody, RequestHead
from kzproxy.http.refused_headers import (
    ImpersonationRefused,
    asks_to_impersonate,
    refuse_sensitive_name,
)

HEAD = RequestHead(method="GET", target="/", headers=(), body=NoBody())


@pytest.mark.parametrize("name", ["impersonate-user", "impersonate-extra-a_b", "impersonate-"])
def test_every_name_under_impersonate_asks_to(name):
    assert asks_to_impersonate(name)
    assert name in ImpersonationRefused(name, HEAD).message


@pytest.mark.parametrize("name", ["impersonated", "x-impersonate-user", "impersonate_user"])
def test_no_other_name_does(name):
    assert not asks_to_impersonate(name)


# What some server behind a proxy gives a meaning to, as CGI spells it.
READ_BY_SERVERS = (
    "audit_id",
    "authorization_extra",
    "content_length",
    "impersonate_user",
    "keep_alive",
    "kubectl_session",
    "proxy_authorization",
    "sec_websocket_key",
    "transfer_encoding",
    "x_forwarded_for",
    "x_http_method_override",
    "x_original_url",
    "x_real_ip",
    "x-remote_group",
    "x_remote_user",
    "x_stream_protocol_version",
)


@pytest.mark.parametrize("name", READ_BY_SERVERS)
def test_a_sensitive_name_with_an_underscore_is_a_bad_request(name):
    with pytest.raises(BadRequest) as refusal:
        refuse_sensitive_name(name)
    assert name in refusal.value.message


@pytest.mark.parametrize("name", ["x-remote-user", "my_header", "impersonated", "_", "x-a"])
def test_other_names_pass(name):
    refuse_sensitive_name(name)


def test_a_refusal_does_not_repeat_a_name_without_end():
    assert len(ImpersonationRefused("impersonate-" + "a" * 100_000, HEAD).message) < 300
