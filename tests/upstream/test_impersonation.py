from datetime import timedelta
from ipaddress import ip_address

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from kzproxy.attributes.identity import Identity
from kzproxy.errors.kinds import InternalError
from kzproxy.http.encode import EncodedHeaders, encode_request_head
from kzproxy.http.messages import Chunked, Headers, Length, NoBody, RequestBody, RequestHead
from kzproxy.policy.decision import Permit
from kzproxy.upstream.impersonation import (
    DEVICE_EXTRA,
    SESSION_EXTRA,
    Impersonation,
    check_impersonates,
    extra_header,
    identity_block,
    impersonate,
)
from tests.policy.samples import WEDNESDAY_MORNING, allow, asked, decide, match

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


EXTRAS = ((SESSION_EXTRA, "s-1"), (DEVICE_EXTRA, "laptop-1"))


def block(subject: Identity = ANN, *, send_uid: bool = True) -> EncodedHeaders:
    return identity_block(
        subject,
        ip_address("192.0.2.7"),
        extras=EXTRAS,
        authority="upstream:6443",
        authorization="Bearer ours",
        send_uid=send_uid,
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


def sent(
    *headers: tuple[str, str],
    upgrade: str = "",
    target: str = "/api/v1/pods",
    identity: EncodedHeaders | None = None,
    extras: Headers = (),
) -> list[str]:
    """The lines of the head that goes out."""
    outgoing = impersonate(
        came_with(*headers, upgrade=upgrade),
        permit(target),
        identity or block(),
        audit_id="a-1",
        extras=extras,
    )
    return outgoing.head.decode().split("\r\n")


def test_the_identity_is_the_permits_and_one_header_a_value() -> None:
    assert sent() == [
        "GET /api/v1/pods HTTP/1.1",
        "audit-id: a-1",
        "host: upstream:6443",
        "authorization: Bearer ours",
        "impersonate-user: ann",
        "impersonate-group: dev",
        "impersonate-group: g,2",
        "impersonate-uid: u-1",
        "impersonate-extra-example.com%2fteam: a",
        "impersonate-extra-example.com%2fteam: b",
        "impersonate-extra-kzproxy.dev%2fsession-id: s-1",
        "impersonate-extra-kzproxy.dev%2fdevice-id: laptop-1",
        "x-forwarded-for: 192.0.2.7",
        "",
        "",
    ]


def test_what_was_judged_is_what_is_sent() -> None:
    assert sent(target="/api/v1/pods?limit=1")[0] == "GET /api/v1/pods?limit=1 HTTP/1.1"


def test_an_extra_of_this_request_alone_is_sent_too() -> None:
    assert "impersonate-extra-kzproxy.dev%2fdecision-id: a-1" in sent(
        extras=(("kzproxy.dev/decision-id", "a-1"),)
    )


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

    assert set(sent(*kept)) - set(sent()) == {f"{name}: {value}" for name, value in kept}


def test_E2_6_a_token_hidden_in_a_subprotocol_is_not_sent() -> None:
    offered = "base64url.bearer.authorization.k8s.io.YWRtaW4, v5.channel.k8s.io"
    lines = sent(("sec-websocket-protocol", offered), upgrade="websocket")

    assert "sec-websocket-protocol: v5.channel.k8s.io" in lines
    assert not any("YWRtaW4" in line for line in lines)


def test_each_upgrade_keeps_its_own_headers_only() -> None:
    both = (("sec-websocket-key", "k"), ("x-stream-protocol-version", "v4"))
    by_websocket, by_spdy = sent(*both, upgrade="websocket"), sent(*both, upgrade="spdy/3.1")

    assert "sec-websocket-key: k" in by_websocket
    assert "x-stream-protocol-version: v4" not in by_websocket
    assert "x-stream-protocol-version: v4" in by_spdy
    assert "sec-websocket-key: k" not in by_spdy
    assert sent(*both) == sent()


def test_the_uid_is_left_out_where_the_account_may_not_send_it() -> None:
    assert not any("impersonate-uid" in line for line in sent(identity=block(send_uid=False)))


def test_an_identity_block_of_somebody_else_is_refused() -> None:
    with pytest.raises(InternalError):
        sent(identity=block(replace(ANN, username="bob")))


def test_a_blank_user_makes_no_identity_block() -> None:
    """kube-apiserver reads it as no impersonation and acts as kzproxy (protocol: B.2)."""
    for blank in ("", " ", "\t"):
        with pytest.raises(InternalError):
            block(replace(ANN, username=blank))


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1\r\nhost: h\r\n\r\n",
        b"GET / HTTP/1.1\r\nimpersonate-user: bob\r\n\r\n",
        b"GET / HTTP/1.1\r\nimpersonate-user: ann\r\nimpersonate-user: bob\r\n\r\n",
        b"GET / HTTP/1.1\r\nimpersonate-user: \r\nimpersonate-user: ann\r\n\r\n",
        b"GET / HTTP/1.1\r\nimpersonate-user: ann \r\n\r\n",
        b"GET / HTTP/1.1\r\nx: impersonate-user: ann\r\n\r\n",
    ],
)
def test_a_head_that_does_not_carry_exactly_the_user_is_refused(head: bytes) -> None:
    with pytest.raises(InternalError):
        check_impersonates(head, "ann")


@pytest.mark.parametrize("blank", ["", " "])
def test_a_blank_user_is_refused_in_a_finished_head_too(blank: str) -> None:
    head = f"GET / HTTP/1.1\r\nimpersonate-user: {blank}\r\n\r\n".encode()

    with pytest.raises(InternalError):
        check_impersonates(head, blank)


CONDITIONS = (
    ("if-match", '"a"'),
    ("if-modified-since", "Sat, 21 Nov 2026 10:00:00 GMT"),
    ("if-none-match", '"b"'),
    ("if-range", '"c"'),
    ("if-unmodified-since", "Sat, 21 Nov 2026 10:00:00 GMT"),
    ("range", "bytes=100-"),
)


def test_a_backend_behind_a_proxy_hears_all_conditions_of_a_request() -> None:
    """Without them it would do what the client wants only if nothing has changed."""
    judged = permit("/api/v1/namespaces/a/services/s/proxy/x")

    head = impersonate(came_with(*CONDITIONS), judged, block(), audit_id="a-1").head.decode()

    lines = head.split("\r\n")
    assert [
        f"{name}: {value}" for name, value in CONDITIONS if f"{name}: {value}" not in lines
    ] == []


def test_a_secret_does_not_print() -> None:
    outgoing = impersonate(came_with(), permit(), block(), audit_id="a-1")

    assert "Bearer ours" not in repr(block()) + repr(outgoing)


@given(st.text(min_size=1, max_size=40))
def test_any_extra_key_becomes_one_header_name(key: str) -> None:
    name = extra_header(key)

    head = RequestHead(
        method="GET", target="/", headers=(("host", "h"), (name, "v")), body=NoBody()
    )
    assert encode_request_head(head).count(b"\r\n") == 4


AUDIT_IDS = ("0b5d2d0e-6f1c-4a55-8f5e-0123456789ab", "7c1b2d0e-6f1c-4a55-9f5e-0123456789ab")
KINDS = (
    ("GET", "/api/v1/pods", NoBody()),
    ("GET", "/api/v1/pods?limit=5", NoBody()),
    ("GET", "/api/v1/pods?watch=true&sendInitialEvents=true", NoBody()),
    ("POST", "/api/v1/namespaces/a/pods", Length(7)),
    ("POST", "/api/v1/namespaces/a/pods", Chunked()),
    ("GET", "/api/v1/namespaces/a/services/s/proxy/x", NoBody()),
)


@given(st.lists(st.tuples(st.sampled_from(KINDS), st.sampled_from(AUDIT_IDS)), max_size=12))
def test_what_is_found_out_once_for_a_caller_is_what_is_found_out_anew(
    asked_for: list[tuple[tuple[str, str, RequestBody], str]],
) -> None:
    impersonation = Impersonation(ANN, block())
    headers = (
        *(("user-agent", "kubectl"), ("accept-encoding", "gzip")),
        *(("range", "bytes=0-1"), ("cookie", "no")),
    )
    for (method, target, body), audit_id in asked_for:
        request = RequestHead(method=method, target="/elsewhere", headers=headers, body=body)
        judged = permit(target, method)

        found = impersonation.of(request, judged, audit_id=audit_id)

        assert found == impersonate(request, judged, block(), audit_id=audit_id)


@pytest.mark.parametrize(
    "other",
    [
        replace(ANN, username="bob"),
        replace(ANN, groups=ANN.groups[1:]),
        replace(ANN, uid="another"),
        replace(ANN, extra=()),
    ],
    ids=["user", "groups", "uid", "extra"],
)
def test_a_permit_of_somebody_else_is_refused(other: Identity) -> None:
    impersonation = Impersonation(other, block())

    with pytest.raises(InternalError):
        impersonation.of(came_with(), permit(), audit_id=AUDIT_IDS[0])


def test_a_caller_of_whom_more_was_known_when_judged_is_the_same_one() -> None:
    impersonation = Impersonation(replace(ANN, risk="LOW", seen_from="10.0.0.1"), block())

    found = impersonation.of(came_with(), permit(), audit_id=AUDIT_IDS[0])

    assert found == impersonate(came_with(), permit(), block(), audit_id=AUDIT_IDS[0])


@pytest.mark.parametrize(
    "audit_id", ["", "a\r\nimpersonate-user: bob", "a\nb", "a b", "é", "a" * 65]
)
def test_an_audit_id_that_must_not_be_written_is_not_whatever_was_sent_before(
    audit_id: str,
) -> None:
    impersonation = Impersonation(ANN, block())
    impersonation.of(came_with(), permit(), audit_id=AUDIT_IDS[0])

    with pytest.raises(InternalError):
        impersonation.of(came_with(), permit(), audit_id=audit_id)


def test_a_request_line_that_must_not_be_written_is_not_whatever_was_sent_before() -> None:
    impersonation = Impersonation(ANN, block())
    judged = permit()
    impersonation.of(came_with(), judged, audit_id=AUDIT_IDS[0])
    attributes = judged.attributes
    asked_for = replace(attributes.request, target="/x HTTP/1.1\r\nimpersonate-user: bob\r\nx: y")
    forged = msgspec.structs.replace(judged, attributes=replace(attributes, request=asked_for))

    with pytest.raises(InternalError):
        impersonation.of(came_with(), forged, audit_id=AUDIT_IDS[1])


def test_a_range_is_for_applications_behind_a_proxy_alone() -> None:
    asked_for = (("range", "bytes=0-1"), ("content-encoding", "gzip"))
    behind = "/api/v1/namespaces/a/services/s/proxy/x"

    assert sent(*asked_for) == sent()
    lines = sent(*asked_for, target=behind)
    assert set(lines) - set(sent(target=behind)) == {"range: bytes=0-1", "content-encoding: gzip"}


@pytest.mark.parametrize(
    "watch", ["/api/v1/pods?watch=1", "/api/v1/pods?watch=true&sendInitialEvents=true"]
)
def test_a_watch_is_asked_for_as_it_can_be_followed_and_ended(watch: str) -> None:
    coding = ("accept-encoding", "gzip")

    assert sent(coding, target=watch) == sent(target=watch)
    assert "accept-encoding: gzip" in sent(coding)


def test_a_token_alone_in_a_subprotocol_leaves_no_header() -> None:
    offered = "base64url.bearer.authorization.k8s.io.YWRtaW4"
    lines = sent(("sec-websocket-protocol", offered), upgrade="websocket")

    assert lines == sent(upgrade="websocket")


def test_where_a_certificate_speaks_for_kzproxy_no_credential_is_written() -> None:
    identity = identity_block(
        ANN,
        ip_address("192.0.2.7"),
        extras=EXTRAS,
        authority="upstream:6443",
        authorization="",
        send_uid=True,
    )

    assert not any(line.startswith("authorization") for line in sent(identity=identity))
