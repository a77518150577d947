"""One credential, in one place."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kzproxy.authentication.bearer import bearer_token
from kzproxy.errors.kinds import BadRequest, Unauthenticated
from kzproxy.http.messages import NoBody, RequestHead

ADMIN_TOKEN_SUBPROTOCOL = "base64url.bearer.authorization.k8s.io.YWRtaW4"


def head_of(*headers, target="/api"):
    return RequestHead(method="GET", target=target, headers=headers, body=NoBody())


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
@pytest.mark.parametrize("token", ["a.b.c", "abc", "a-_~+/.1==", "x" * 70_000])
def test_a_bearer_token_is_found_whatever_the_case_of_its_scheme(scheme, token):
    assert bearer_token(head_of(("host", "p"), ("authorization", f"{scheme} {token}"))) == token


@pytest.mark.parametrize(
    "value",
    [
        "",
        "Bearer",
        "Bearer ",
        "Bearer  abc",
        "Bearer\tabc",
        "Bearer abc ",
        "Bearer abc def",
        "Bearer abc, Bearer def",
        "Bearer =abc",
        "Bearer a=b",
        "Bearer ab\x00c",
        "Bearer abc\n",
        "Bearer abç",
        "Basic YWxpY2U6cHc=",
        "Bearerabc",
        "abc",
    ],
)
def test_anything_else_in_authorization_is_refused(value):
    with pytest.raises(Unauthenticated, match="not one bearer token"):
        bearer_token(head_of(("authorization", value)))


@pytest.mark.parametrize(
    "target",
    ["/", "/version", "/healthz", "/livez", "/readyz", "/api", "/openid/v1/jwks", "/metrics"],
)
def test_e6_13_a_request_without_credential_is_refused_on_every_path(target):
    with pytest.raises(Unauthenticated, match="no credential was sent"):
        bearer_token(head_of(("host", "p"), target=target))


def test_e2_7_two_authorization_headers_are_a_bad_request():
    two = head_of(("authorization", "Bearer a.b.c"), ("authorization", "Bearer a.b.c"))
    with pytest.raises(BadRequest, match="more than one credential"):
        bearer_token(two)


@pytest.mark.parametrize(
    "subprotocol",
    [
        ADMIN_TOKEN_SUBPROTOCOL,
        f"v5.channel.k8s.io, {ADMIN_TOKEN_SUBPROTOCOL}",
        f"{ADMIN_TOKEN_SUBPROTOCOL},v4.channel.k8s.io",
        ADMIN_TOKEN_SUBPROTOCOL.upper(),
    ],
)
def test_e2_6_a_token_in_the_websocket_subprotocol_beside_a_bearer_token_is_refused(subprotocol):
    two = head_of(
        ("authorization", "Bearer a.b.c"),
        ("sec-websocket-protocol", "v4.channel.k8s.io"),
        ("sec-websocket-protocol", subprotocol),
    )
    with pytest.raises(BadRequest, match="more than one credential"):
        bearer_token(two)


def test_e2_6_a_token_in_the_websocket_subprotocol_alone_is_refused():
    with pytest.raises(Unauthenticated, match="Sec-WebSocket-Protocol"):
        bearer_token(head_of(("sec-websocket-protocol", ADMIN_TOKEN_SUBPROTOCOL)))


def test_the_other_subprotocols_do_not_matter():
    head = head_of(
        ("authorization", "Bearer a.b.c"),
        ("sec-websocket-protocol", "v5.channel.k8s.io, v4.channel.k8s.io"),
    )
    assert bearer_token(head) == "a.b.c"


def test_no_refusal_repeats_the_credential():
    with pytest.raises(Unauthenticated) as refusal:
        bearer_token(head_of(("authorization", "Basic c2VjcmV0OnNlY3JldA==")))
    assert "c2VjcmV0" not in refusal.value.message + refusal.value.detail


@given(st.lists(st.tuples(st.sampled_from(["authorization", "sec-websocket-protocol"]), st.text())))
def test_any_headers_give_one_token_or_a_refusal(headers):
    try:
        token = bearer_token(head_of(*headers))
    except (BadRequest, Unauthenticated):
        return
    assert token.isascii()
    assert token.isprintable()
