from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kzproxy.attributes.identity import Identity
from kzproxy.errors.kinds import InternalError
from kzproxy.http.encode import encode_request_head
from kzproxy.http.messages import Headers, NoBody, RequestHead
from kzproxy.policy.decision import Permit
from kzproxy.upstream.impersonation import (
    DEVICE_EXTRA,
    SESSION_EXTRA,
    Envelope,
    check_impersonates,
    extra_header,
    impersonate,
)
from tests.policy.samples import WEDNESDAY_MORNING, allow, asked, decide, match

ENVELOPE = Envelope(
    authority="upstream:6443",
    authorization="Bearer ours",
    audit_id="a-1",
    extras=((SESSION_EXTRA, "s-1"), (DEVICE_EXTRA, "laptop-1")),
    send_uid=True,
)
ANN = Identity(
    username="ann",
    groups=("dev", "g,2"),
    uid="u-1",
    extra=(("example.com/team", ("a", "b")),),
    method="oidc",
    issuer="https://idp.example",
    subject="ann",
    expires_at=WEDNESDAY_MORNING + timedelta(hours=1),
)


def permit(target: str = "/api/v1/pods", method: str = "GET") -> Permit:
    rules = [allow("all", match("*", "*"), groups="system:authenticated")]
    decision = decide(rules, asked(method, target, who=ANN))
    assert isinstance(decision, Permit)
    return decision


def came_with(*headers: tuple[str, str], upgrade: str = "") -> RequestHead:
    return RequestHead(
        method="GET", target="/elsewhere", headers=headers, body=NoBody(), upgrade=upgrade
    )


def sent(*headers: tuple[str, str], upgrade: str = "", target: str = "/api/v1/pods") -> Headers:
    return impersonate(came_with(*headers, upgrade=upgrade), permit(target), ENVELOPE).headers


def test_the_identity_is_the_permits_and_one_header_a_value() -> None:
    assert sent() == (
        ("host", "upstream:6443"),
        ("authorization", "Bearer ours"),
        ("impersonate-user", "ann"),
        ("impersonate-group", "dev"),
        ("impersonate-group", "g,2"),
        ("impersonate-uid", "u-1"),
        ("impersonate-extra-example.com%2fteam", "a"),
        ("impersonate-extra-example.com%2fteam", "b"),
        ("impersonate-extra-kzproxy.dev%2fsession-id", "s-1"),
        ("impersonate-extra-kzproxy.dev%2fdevice-id", "laptop-1"),
        ("audit-id", "a-1"),
        ("x-forwarded-for", "192.0.2.7"),
    )


def test_what_was_judged_is_what_is_sent() -> None:
    outgoing = impersonate(came_with(), permit("/api/v1/pods?limit=1"), ENVELOPE)

    assert (outgoing.method, outgoing.target) == ("GET", "/api/v1/pods?limit=1")


@pytest.mark.parametrize(
    "name",
    [
        "authorization",
        "impersonate-user",
        "impersonate-uid",
        "x-remote-user",
        "x-remote-group",
        "x-forwarded-for",
        "x-forwarded-uri",
        "x-real-ip",
        "forwarded",
        "audit-id",
        "cookie",
        "connection",
        "proxy-authorization",
        "x-unknown",
    ],
)
def test_a_clients_header_that_is_not_listed_is_not_sent(name: str) -> None:
    assert sent((name, "smuggled")) == sent()


def test_a_clients_harmless_headers_are_sent() -> None:
    kept = (("accept", "application/json"), ("user-agent", "kubectl/v1.36.3"))

    assert sent(*kept) == (*sent(), *kept)


def test_E2_6_a_token_hidden_in_a_subprotocol_is_not_sent() -> None:
    offered = "base64url.bearer.authorization.k8s.io.YWRtaW4, v5.channel.k8s.io"
    headers = sent(("sec-websocket-protocol", offered), upgrade="websocket")

    assert headers[-1] == ("sec-websocket-protocol", "v5.channel.k8s.io")


def test_each_upgrade_keeps_its_own_headers_only() -> None:
    both = (("sec-websocket-key", "k"), ("x-stream-protocol-version", "v4"))

    assert sent(*both, upgrade="websocket")[-1] == both[0]
    assert sent(*both, upgrade="spdy/3.1")[-1] == both[1]
    assert sent(*both) == sent()


def test_a_websocket_handshake_keeps_its_origin() -> None:
    """Without it kube-apiserver refuses to serve a watch or a log by WebSocket (403)."""
    origin = ("origin", "https://dashboard.example")

    assert sent(origin, upgrade="websocket")[-1] == origin
    assert sent(origin) == sent()


def test_the_uid_is_left_out_where_the_account_may_not_send_it() -> None:
    outgoing = impersonate(came_with(), permit(), replace(ENVELOPE, send_uid=False))

    assert outgoing.values("impersonate-uid") == []


@pytest.mark.parametrize("names", [[], ["bob"], ["ann", "bob"], ["", "ann"]])
def test_a_head_that_does_not_carry_exactly_the_user_is_refused(names: list[str]) -> None:
    head = came_with(*(("impersonate-user", name) for name in names))

    with pytest.raises(InternalError):
        check_impersonates(head, "ann")


@pytest.mark.parametrize("blank", ["", " ", "\t"])
def test_a_blank_user_is_refused_even_where_it_was_judged(blank: str) -> None:
    """kube-apiserver reads it as no impersonation and acts as kzproxy (protocol: B.2)."""
    with pytest.raises(InternalError):
        check_impersonates(came_with(("impersonate-user", blank)), blank)


def test_a_secret_does_not_print() -> None:
    assert "Bearer ours" not in repr(ENVELOPE)


@given(st.text(min_size=1, max_size=40))
def test_any_extra_key_becomes_one_header_name(key: str) -> None:
    name = extra_header(key)

    head = RequestHead(
        method="GET", target="/", headers=(("host", "h"), (name, "v")), body=NoBody()
    )
    assert encode_request_head(head).count(b"\r\n") == 4
