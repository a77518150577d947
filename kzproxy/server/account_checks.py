"""Ask kube-apiserver, before the first client comes, whether kzproxy can do its job there.

Nothing is asked that changes anything: SelfSubjectReview and SelfSubjectAccessReview are answered
and forgotten.
"""

import json
from typing import Any

import msgspec

from kzproxy.errors.kinds import ProxyError, ServiceUnavailable
from kzproxy.http.messages import Headers, Length, RequestHead
from kzproxy.upstream.api_server import ApiServer
from kzproxy.upstream.impersonation import DEVICE_EXTRA, SESSION_EXTRA, extra_header

_CREATED, _UNAUTHORIZED, _FORBIDDEN, _TOO_MANY, _FAILED = 201, 401, 403, 429, 500
_SELF_REVIEW = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
_ACCESS_REVIEW = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
_PROBE_USER = "kzproxy-startup-check"
_ADMINS = "system:masters"


class AccountReport(msgspec.Struct, frozen=True, kw_only=True):
    """What was found.

    Attributes:
        reached: Whether kube-apiserver answered all that it was asked; what it could not answer at
            that moment it may a moment later.
        username: kzproxy's own name at kube-apiserver; empty where it could not be asked.
        problems: Why kzproxy must not, or cannot, work with this account; each says the mend.
    """

    reached: bool = True
    username: str = ""
    problems: tuple[str, ...] = ()


class _Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What kube-apiserver says to one review: that, or a ``metav1.Status``."""

    status: int
    said: dict[str, Any]

    def __str__(self) -> str:
        return f"{self.status} {self.said.get('message', '')}".strip()

    @property
    def result(self) -> dict[str, Any]:
        """What the review found; empty where it was not made, and ``status`` is but a word."""
        return _mapping(self.said.get("status")) if self.status == _CREATED else {}

    @property
    def user(self) -> dict[str, Any]:
        """Whom a SelfSubjectReview names."""
        return _mapping(self.result.get("userInfo"))


class _NotNow(ServiceUnavailable):
    """kube-apiserver has no answer at this moment, which says nothing of the account."""

    def __init__(self, answer: _Answer) -> None:
        super().__init__(f"kube-apiserver cannot answer at this moment: {answer}")


async def check_account(api_server: ApiServer, *, send_uid: bool) -> AccountReport:
    """Find out who kzproxy is at kube-apiserver, and that it can impersonate and nothing else."""
    try:
        own = await _create(api_server, _SELF_REVIEW, _review(), ())
        name = own.user.get("username")
        if not name:
            return AccountReport(problems=(_not_known(own),))
        problems = [
            *_too_mighty(own.user),
            *await _own_rights(api_server),
            *await _impersonation(api_server, send_uid=send_uid),
        ]
    except _NotNow as error:
        return AccountReport(reached=False, problems=(error.message,))
    except ProxyError as error:
        why = error.detail or error.message
        return AccountReport(reached=False, problems=(f"cannot reach kube-apiserver: {why}",))
    return AccountReport(username=str(name), problems=tuple(problems))


def _not_known(answer: _Answer) -> str:
    if answer.status == _UNAUTHORIZED:
        return (
            f"kube-apiserver does not accept kzproxy's credential: {answer};"
            " renew the token or certificate"
        )
    return f"kube-apiserver does not say who kzproxy is: {answer} (POST {_SELF_REVIEW})"


def _too_mighty(user: dict[str, Any]) -> list[str]:
    if _ADMINS in (user.get("groups") or ()):
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
    answer = await _create(api_server, _ACCESS_REVIEW, body, ())
    allowed = answer.result.get("allowed")
    if allowed is False:
        return []
    if allowed is True:
        return [
            "kzproxy's account can list secrets without impersonating anybody; give it the rights"
            " in deploy/rbac and nothing else"
        ]
    return [
        "kube-apiserver does not say whether kzproxy's account can list secrets by itself:"
        f" {answer} (POST {_ACCESS_REVIEW})"
    ]


async def _impersonation(api_server: ApiServer, *, send_uid: bool) -> list[str]:
    headers: list[tuple[str, str]] = [
        ("impersonate-user", _PROBE_USER),
        (extra_header(SESSION_EXTRA), "startup-check"),
        (extra_header(DEVICE_EXTRA), "startup-check"),
    ]
    if send_uid:
        headers.append(("impersonate-uid", "startup-check"))
    answer = await _create(api_server, _SELF_REVIEW, _review(), tuple(headers))
    name = answer.user.get("username")
    if name == _PROBE_USER:
        return []
    if answer.status != _FORBIDDEN:
        taken = f" as {name!r}" if name else ""
        return [f"kube-apiserver does not take kzproxy for whom it impersonates: {answer}{taken}"]
    return [
        f"kzproxy's account cannot impersonate: {answer}; apply"
        " deploy/rbac/constrained (Kubernetes 1.36 and later) or deploy/rbac/legacy"
    ]


def _mapping(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _review() -> dict[str, Any]:
    return {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}


async def _create(
    api_server: ApiServer, target: str, body: dict[str, Any], headers: Headers
) -> _Answer:
    """Ask for a review.

    Raises:
        _NotNow: kube-apiserver is too busy for it, or fails.
        ProxyError: There is no answer.
    """
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
    answered, received = await api_server.ask(head, payload)
    try:
        parsed = json.loads(received)
    except ValueError:
        parsed = {"message": received[:200].decode("utf-8", "replace")}
    answer = _Answer(status=answered.status, said=_mapping(parsed))
    if answer.status == _TOO_MANY or answer.status >= _FAILED:
        raise _NotNow(answer)
    return answer
