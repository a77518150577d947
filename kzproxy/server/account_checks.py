"""Ask kube-apiserver, before the first client comes, whether kzproxy can do its job there.

Nothing is asked that changes anything: SelfSubjectReview and SelfSubjectAccessReview are answered
and forgotten.
"""

import json
from dataclasses import dataclass
from typing import Any

from kzproxy.errors.kinds import ProxyError
from kzproxy.http.messages import Headers, Length, RequestHead
from kzproxy.upstream.api_server import ApiServer
from kzproxy.upstream.impersonation import DEVICE_EXTRA, SESSION_EXTRA, extra_header

_CREATED = 201
_SELF_REVIEW = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
_ACCESS_REVIEW = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
_PROBE_USER = "kzproxy-startup-check"
_ADMINS = "system:masters"


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountReport:
    """What was found.

    Attributes:
        reached: Whether kube-apiserver answered at all.
        username: kzproxy's own name at kube-apiserver; empty where it could not be asked.
        problems: Why kzproxy must not, or cannot, work with this account; each says the mend.
    """

    reached: bool = True
    username: str = ""
    problems: tuple[str, ...] = ()


async def check_account(api_server: ApiServer, *, send_uid: bool) -> AccountReport:
    """Find out who kzproxy is at kube-apiserver, and that it can impersonate and nothing else."""
    try:
        status, answer = await _create(api_server, _SELF_REVIEW, _review(), ())
        if status != _CREATED:
            return AccountReport(problems=(_not_accepted(status, answer),))
        user = _result(answer).get("userInfo", {})
        problems = [
            *_too_mighty(user),
            *await _own_rights(api_server),
            *await _impersonation(api_server, send_uid=send_uid),
        ]
    except ProxyError as error:
        why = error.detail or error.message
        return AccountReport(reached=False, problems=(f"cannot reach kube-apiserver: {why}",))
    return AccountReport(username=str(user.get("username", "")), problems=tuple(problems))


def _not_accepted(status: int, answer: dict[str, Any]) -> str:
    return (
        f"kube-apiserver does not accept kzproxy's credential: {status}"
        f" {answer.get('message', '')}; renew the token or certificate"
    )


def _too_mighty(user: dict[str, Any]) -> list[str]:
    if _ADMINS in user.get("groups", ()):
        return [
            f"kzproxy's account {user.get('username')!r} is in {_ADMINS}: a mistake in kzproxy"
            " would give everybody everything; use the ServiceAccount and RBAC in deploy/rbac"
        ]
    return []


async def _own_rights(api_server: ApiServer) -> list[str]:
    """Impersonation fails open, so an account with rights of its own is not accepted."""
    attributes = {"verb": "list", "resource": "secrets"}
    body = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": attributes},
    }
    status, answer = await _create(api_server, _ACCESS_REVIEW, body, ())
    if status != _CREATED or _result(answer).get("allowed") is not False:
        return [
            "kzproxy's account can list secrets without impersonating anybody; give it the rights"
            " in deploy/rbac and nothing else"
        ]
    return []


async def _impersonation(api_server: ApiServer, *, send_uid: bool) -> list[str]:
    headers: list[tuple[str, str]] = [
        ("impersonate-user", _PROBE_USER),
        (extra_header(SESSION_EXTRA), "startup-check"),
        (extra_header(DEVICE_EXTRA), "startup-check"),
    ]
    if send_uid:
        headers.append(("impersonate-uid", "startup-check"))
    status, answer = await _create(api_server, _SELF_REVIEW, _review(), tuple(headers))
    name = _result(answer).get("userInfo", {}).get("username")
    if status == _CREATED and name == _PROBE_USER:
        return []
    return [
        f"kzproxy's account cannot impersonate: {status} {answer.get('message', '')}; apply"
        " deploy/rbac/constrained (Kubernetes 1.36 and later) or deploy/rbac/legacy"
    ]


def _result(answer: dict[str, Any]) -> dict[str, Any]:
    """Return a review's ``status``; that of a ``metav1.Status`` is a word and says nothing here."""
    result = answer.get("status")
    return result if isinstance(result, dict) else {}


def _review() -> dict[str, Any]:
    return {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}


async def _create(
    api_server: ApiServer, target: str, body: dict[str, Any], headers: Headers
) -> tuple[int, dict[str, Any]]:
    payload = json.dumps(body).encode()
    own: list[tuple[str, str]] = [
        ("host", api_server.authority),
        ("accept", "application/json"),
        ("content-type", "application/json"),
        ("user-agent", "kzproxy-startup-check"),
    ]
    authorization = api_server.authorization()
    if authorization:
        own.append(("authorization", authorization))
    head = RequestHead(
        method="POST", target=target, headers=(*own, *headers), body=Length(len(payload))
    )
    answer, received = await api_server.ask(head, payload)
    try:
        parsed = json.loads(received)
    except ValueError:
        parsed = {"message": received[:200].decode("utf-8", "replace")}
    return answer.status, parsed if isinstance(parsed, dict) else {}
