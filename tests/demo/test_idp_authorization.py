"""An authorization request is good, or it says why to whom it may be said."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kzproxy.demo.idp_authorization import parse_authorization_request
from kzproxy.demo.idp_clients import KZPROXY_CLIENT
from kzproxy.demo.idp_errors import PageRefusal, RedirectedError
from kzproxy.demo.idp_forms import Parameters

CLIENTS = {"kzproxy": KZPROXY_CLIENT}
GOOD = {
    "client_id": "kzproxy",
    "redirect_uri": "http://127.0.0.1:1/callback",
    "response_type": "code",
    "scope": "openid unknown profile",
    "state": "s",
    "nonce": "n",
    "code_challenge": "c" * 43,
    "code_challenge_method": "S256",
}


def parse(**changes):
    return parse_authorization_request(Parameters((GOOD | changes).items()), CLIENTS)


def test_unknown_scopes_are_left_out():
    assert parse().scopes == ("openid", "profile")


def test_a_hint_counts_if_it_names_a_user():
    assert parse(login_hint="operator").login_hint == "operator"
    assert parse(login_hint="operator@demo.kzproxy.example").login_hint == "operator"
    assert parse(login_hint="<script>").login_hint == ""


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"response_mode": "fragment"}, "invalid_request"),
        ({"scope": "profile"}, "invalid_scope"),
        ({"code_challenge": ""}, "invalid_request"),
        ({"code_challenge": "c" * 42}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge_method": ""}, "invalid_request"),
        ({"prompt": "none"}, "login_required"),
        ({"prompt": "none login"}, "invalid_request"),
        ({"request": "x"}, "request_not_supported"),
        ({"request_uri": "urn:x"}, "request_uri_not_supported"),
    ],
)
def test_the_client_is_told_of_its_fault(change, error):
    with pytest.raises(RedirectedError) as caught:
        parse(**change)
    assert (caught.value.error, caught.value.state) == (error, "s")


@given(
    st.lists(
        st.tuples(
            st.sampled_from(sorted({*GOOD, "prompt", "request", "login_hint", "x"})),
            st.one_of(st.sampled_from(sorted(GOOD.values())), st.text(max_size=8)),
        ),
        max_size=12,
    )
)
def test_any_parameters_are_a_request_or_a_documented_refusal(pairs):
    try:
        request = parse_authorization_request(Parameters(pairs), CLIENTS)
        redirect_uri = request.redirect_uri
    except RedirectedError as error:
        redirect_uri = error.redirect_uri
    except PageRefusal:
        return
    assert KZPROXY_CLIENT.accepts_redirect(redirect_uri)
