import json
from collections.abc import Callable

import pytest

from kzproxy.attributes.request_info import RequestInfo
from kzproxy.errors.kinds import UpstreamInvalid
from kzproxy.http.messages import Headers, Length, NoBody, ResponseHead
from kzproxy.http.protobuf_status import status_document
from kzproxy.upstream.answer import check_answer, client_headers, names_account

POD = RequestInfo.parse("GET", "/api/v1/namespaces/a/pods/p")
EXEC = RequestInfo.parse("GET", "/api/v1/namespaces/a/pods/p/exec?command=id")
SERVICE = RequestInfo.parse("GET", "/api/v1/namespaces/a/services/s/proxy/")
ACCOUNT = "system:serviceaccount:kzproxy:kzproxy"


def answered(status: int, headers: Headers = (), upgrade: str = "") -> ResponseHead:
    body = NoBody() if upgrade else Length(0)
    return ResponseHead(status=status, reason="", headers=headers, body=body, upgrade=upgrade)


@pytest.mark.parametrize("status", [200, 201, 204, 304, 400, 403, 404, 409, 429, 500, 503])
def test_an_ordinary_answer_is_relayed(status: int) -> None:
    check_answer(answered(status), POD, "")


@pytest.mark.parametrize(
    ("answer", "info", "upgrade"),
    [
        pytest.param(answered(401), POD, "", id="our-credential"),
        pytest.param(answered(301), POD, "", id="redirect"),
        pytest.param(answered(302), EXEC, "websocket", id="redirect-of-an-upgrade"),
        pytest.param(answered(302), SERVICE, "websocket", id="redirect-of-a-proxied-upgrade"),
        pytest.param(answered(101, upgrade="websocket"), POD, "", id="unasked-tunnel"),
        pytest.param(answered(101, upgrade="websocket"), EXEC, "spdy/3.1", id="other-tunnel"),
    ],
)
def test_what_must_not_reach_a_client_is_refused(
    answer: ResponseHead, info: RequestInfo, upgrade: str
) -> None:
    with pytest.raises(UpstreamInvalid):
        check_answer(answer, info, upgrade)


def test_an_application_behind_a_proxy_may_redirect() -> None:
    check_answer(answered(302), SERVICE, "")


def test_a_tunnel_that_was_asked_for_is_relayed() -> None:
    check_answer(answered(101, upgrade="spdy/3.1"), EXEC, "spdy/3.1")


def test_headers_of_the_connection_are_dropped_and_the_audit_id_is_ours() -> None:
    answer = answered(
        200,
        (
            ("audit-id", "theirs"),
            ("connection", "x-hop"),
            ("x-hop", "1"),
            ("content-length", "0"),
            ("warning", '299 - "old"'),
        ),
    )

    assert client_headers(answer) == (("warning", '299 - "old"'),)


@pytest.mark.parametrize(
    "body",
    [
        b'{"message":"users \\"al\\" is forbidden: User \\"%b\\" cannot impersonate"}',
        b'k8s\x00\n\x0busers "al" is forbidden: User "%b" cannot impersonate',
    ],
    ids=["json", "protobuf"],
)
def test_a_403_to_our_account_is_known(body: bytes) -> None:
    assert names_account(answered(403), body % ACCOUNT.encode(), ACCOUNT)


def test_a_403_to_the_user_is_not_ours() -> None:
    body = b'{"message":"pods is forbidden: User \\"al\\" cannot list resource \\"pods\\""}'

    assert not names_account(answered(403), body, ACCOUNT)
    assert not names_account(answered(200), b'User "%b"' % ACCOUNT.encode(), ACCOUNT)


def _refusal(name: str) -> bytes:
    """Return kube-apiserver's answer to somebody who asks for a pod of this name."""
    who = 'User "t:ann" cannot get resource "pods" in API group "" in the namespace "a"'
    status = {
        "kind": "Status",
        "status": "Failure",
        "message": f"pods {json.dumps(name)} is forbidden: {who}",
        "reason": "Forbidden",
        "details": {"name": name, "kind": "pods"},
        "code": 403,
    }
    return json.dumps(status).encode()


@pytest.mark.parametrize("write", [bytes, status_document])
def test_who_asks_for_something_of_that_name_raises_no_alarm(
    write: Callable[[bytes], bytes],
) -> None:
    body = write(_refusal(f'User "{ACCOUNT}" cannot'))
    assert not names_account(answered(403), body, ACCOUNT)
