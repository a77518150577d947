import json
from collections.abc import Callable
from urllib.parse import quote

import pytest
import yaml

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


_OPENAPI = "/openapi/v3/apis/apps/v1"


def _moved(place: str, status: int = 301) -> ResponseHead:
    return answered(status, (("location", place),))


def test_who_asks_for_openapi_as_it_was_is_sent_to_what_it_is_now() -> None:
    """kube-apiserver does it for a hash that has become old since the client read the index."""
    info = RequestInfo.parse("GET", f"{_OPENAPI}?hash=OLD")

    check_answer(_moved(f"{_OPENAPI}?hash=5A1B"), info, "")


@pytest.mark.parametrize(
    ("asked", "answer"),
    [
        (_OPENAPI, _moved("/openapi/v3/apis/batch/v1?hash=5A1B")),
        (_OPENAPI, _moved(f"https://evil.example{_OPENAPI}?hash=5A1B")),
        (_OPENAPI, _moved(f"//evil.example{_OPENAPI}?hash=5A1B")),
        (_OPENAPI, _moved(f"{_OPENAPI}?hash=5A1B&x=y")),
        (_OPENAPI, _moved(f"{_OPENAPI}?hash=")),
        (_OPENAPI, _moved(_OPENAPI)),
        (_OPENAPI, _moved(f"{_OPENAPI}?hash=5A1B", 302)),
        (_OPENAPI, answered(301, (("location", f"{_OPENAPI}?hash=1"),) * 2)),
        (_OPENAPI, answered(301)),
        ("/apis/apps/v1", _moved("/apis/apps/v1?hash=5A1B")),
        ("/openapi/v2", _moved("/openapi/v2?hash=5A1B")),
    ],
)
def test_nobody_is_sent_anywhere_else(asked: str, answer: ResponseHead) -> None:
    with pytest.raises(UpstreamInvalid):
        check_answer(answer, RequestInfo.parse("GET", asked), "")


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
    "verb", ["impersonate", "impersonate:user-info", "impersonate-on:user-info:get", "get"]
)
def test_a_403_to_our_account_is_known(verb: str) -> None:
    body = b'{"message":"users \\"al\\" is forbidden: User \\"%b\\" cannot %b resource"}'

    assert names_account(answered(403), POD, body % (ACCOUNT.encode(), verb.encode()), ACCOUNT)


def test_a_403_to_the_user_is_not_ours() -> None:
    body = b'{"message":"pods is forbidden: User \\"al\\" cannot list resource \\"pods\\""}'

    assert not names_account(answered(403), POD, body, ACCOUNT)
    assert not names_account(answered(200), POD, b'User "%b"' % ACCOUNT.encode(), ACCOUNT)
    assert not names_account(answered(403), SERVICE, b'User "%b"' % ACCOUNT.encode(), ACCOUNT)


def _refusal(info: RequestInfo, who: str) -> bytes:
    """Return kube-apiserver's 403 as ForbiddenStatusError and NewForbidden of Go write it."""
    kind = f"{info.resource}.{info.api_group}" if info.api_group else info.resource
    asked_for = f"{kind} {json.dumps(info.name)}" if info.name else kind
    resource = json.dumps(info.qualified_resource)
    why = f'User "{who}" cannot {info.kube_verb} resource {resource} in API group ""'
    status = {
        "kind": "Status",
        "status": "Failure",
        "message": f"{asked_for} is forbidden: {why}" if kind else f"forbidden: {why}",
        "reason": "Forbidden",
        "details": {"name": info.name, "group": info.api_group, "kind": info.resource},
        "code": 403,
    }
    return json.dumps(status).encode()


def _yaml(status: bytes) -> bytes:
    """Write a Status in a form that kzproxy does not read, in lines of 80 as Go does."""
    return yaml.safe_dump(json.loads(status)).encode()


_TEXT = quote(f'User "{ACCOUNT}"', safe="")
_NAMING = [
    f"/api/v1/namespaces/a/pods/{_TEXT}",
    f"/api/v1/namespaces/a/pods/x{_TEXT}%20cannot",
    f"/api/v1/namespaces/a/{_TEXT}/x",
    f"/api/v1/namespaces/a/{_TEXT}",
    f"/apis/{_TEXT}/v1/x",
    f"/apis/a/v1/namespaces/{_TEXT}/pods",
    f"/{_TEXT}",
    f"/api/v1/namespaces/a/pods?fieldSelector=metadata.name%3D{_TEXT}",
    f"/api/v1/namespaces/a/pods/p?fieldManager={_TEXT}",
    # Put together by kube-apiserver, which writes a name in quotes behind its resource.
    f"/api/v1/namespaces/a/User/{ACCOUNT}",
    f"/api/v1/xUser?fieldSelector=metadata.name%3D{ACCOUNT}",
    f"/apis/User/v1/x/{ACCOUNT}",
]


@pytest.mark.parametrize("write", [bytes, status_document, _yaml])
@pytest.mark.parametrize("target", _NAMING)
def test_who_asks_for_something_of_that_name_raises_no_alarm(
    target: str, write: Callable[[bytes], bytes]
) -> None:
    info = RequestInfo.parse("GET", target)
    body = write(_refusal(info, "t:ann"))

    assert not names_account(answered(403), info, body, ACCOUNT)


@pytest.mark.parametrize("write", [bytes, status_document, _yaml])
@pytest.mark.parametrize(
    "target",
    [
        "/api/v1/namespaces/a/pods/p",
        f"/api/v1/namespaces/{ACCOUNT}/pods/{ACCOUNT}",
        f"/api/v1/users/{ACCOUNT}",
        f"/api/v1/User/{ACCOUNT}x",
        f"/api/v1/namespaces/a/pods?fieldSelector=metadata.name%3D{ACCOUNT}",
        "/version?User",
    ],
)
def test_a_403_to_our_account_is_known_whatever_else_is_asked_for(
    target: str, write: Callable[[bytes], bytes]
) -> None:
    info = RequestInfo.parse("GET", target)
    body = write(_refusal(info, ACCOUNT))

    assert names_account(answered(403), info, body, ACCOUNT)


@pytest.mark.parametrize("write", [bytes, status_document, _yaml])
@pytest.mark.parametrize("account", [f'User "{ACCOUNT}"', f'x"y: User "{ACCOUNT}" cannot get'])
def test_who_sends_something_of_that_name_raises_no_alarm(
    account: str, write: Callable[[bytes], bytes]
) -> None:
    """As admission says it of a pod for a ServiceAccount of that name, which there is not."""
    info = RequestInfo.parse("POST", "/api/v1/namespaces/a/pods")
    message = (
        f"pods {json.dumps(account)} is forbidden: error looking up service account a/{account}:"
        f" serviceaccount {json.dumps(account)} not found"
    )
    refusal = {"kind": "Status", "status": "Failure", "message": message, "code": 403}
    body = write(json.dumps(refusal).encode())

    assert not names_account(answered(403), info, body, ACCOUNT)


def test_a_body_that_is_cut_short_is_looked_at_anywhere() -> None:
    ours, theirs = (_refusal(POD, who)[:-20] for who in (ACCOUNT, "t:ann"))

    assert names_account(answered(403), POD, ours, ACCOUNT)
    assert not names_account(answered(403), POD, theirs, ACCOUNT)
