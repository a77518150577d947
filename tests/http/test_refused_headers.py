"""Which header names end a request."""

import pytest

from kzproxy.errors.kinds import BadRequest, Forbidden
from kzproxy.http.refused_headers import refuse_sensitive_name


@pytest.mark.parametrize("name", ["impersonate-user", "impersonate-extra-a_b", "impersonate-"])
def test_every_name_under_impersonate_is_forbidden(name):
    """An extra's key may hold an underscore, so this family is looked at first."""
    with pytest.raises(Forbidden) as refusal:
        refuse_sensitive_name(name)
    assert name in refusal.value.message


@pytest.mark.parametrize(
    "name", ["impersonate_user", "x_remote_user", "x-remote_group", "audit_id", "sec_websocket_key"]
)
def test_a_sensitive_name_with_an_underscore_is_a_bad_request(name):
    with pytest.raises(BadRequest) as refusal:
        refuse_sensitive_name(name)
    assert name in refusal.value.message


@pytest.mark.parametrize("name", ["x-remote-user", "my_header", "impersonated", "_", "x-a"])
def test_other_names_pass(name):
    refuse_sensitive_name(name)


def test_a_refusal_does_not_repeat_a_name_without_end():
    with pytest.raises(Forbidden) as refusal:
        refuse_sensitive_name("impersonate-" + "a" * 100_000)
    assert len(refusal.value.message) < 300
