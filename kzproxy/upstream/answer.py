"""What of kube-apiserver's answers may reach a client; pure."""

import re
from itertools import chain

import msgspec

from kzproxy.attributes.protobuf import field_text, read_object
from kzproxy.attributes.request_info import RequestInfo
from kzproxy.errors.kinds import BadRequest, UpstreamInvalid
from kzproxy.http.hop_by_hop import end_to_end
from kzproxy.http.messages import Headers, ResponseHead

_UNAUTHORIZED = 401
_FORBIDDEN = 403
_NOT_MODIFIED = 304
_REDIRECTS = range(300, 400)
_SWITCHING_PROTOCOLS = 101
_MOVED_PERMANENTLY = 301
# Of metav1.Status (apimachinery pkg/apis/meta/v1/generated.proto).
_MESSAGE_FIELD = 3
_OPENAPI = "/openapi/v3/"
_HASH = re.compile(r"hash=[0-9A-Za-z]{1,256}")
# What is asked for, a name in quotes as Go writes it, and who may not have it: ForbiddenStatusError
# of apiserver's responsewriters/errors.go in NewForbidden of apimachinery's pkg/api/errors.
_REFUSAL = r'(?:forbidden|[^\s"]+(?: "(?:[^"\\]|\\.)*")? is forbidden): User "{}" cannot '
# In a body that cannot be read as a whole; a quote within a text of JSON has a backslash before it.
_IN_JSON = re.compile(r'(?<!\\)"message": ?"((?:[^"\\]|\\.)*)')
_IN_YAML = re.compile(r"^message: '?(.*(?:\n +.*)*)", re.MULTILINE)
_FOLD = re.compile(r"\n +")
_ESCAPED = re.compile(r'\\(["\\])')


class _Status(msgspec.Struct):
    message: str


def check_answer(answer: ResponseHead, info: RequestInfo, upgrade: str) -> None:
    """Refuse an answer that must not be relayed.

    * 401 means that *our* credential failed. Relayed, client-go would throw away the user's good
      sign-in and run its plugin again (client-go plugin/pkg/client/auth/exec).
    * A redirect would send the client past kzproxy (CVE-2020-8559, CVE-2022-3172); only the
      application behind a ``*/proxy`` may redirect, and never an upgrade. What of OpenAPI has been
      replaced meanwhile is at the same path (``HandleGroupVersion`` in kube-openapi's handler3).
    * 101 that nobody asked for, or to another protocol, would open a tunnel.

    Raises:
        UpstreamInvalid: It is one of these.
    """
    if answer.status == _UNAUTHORIZED:
        raise UpstreamInvalid(_unauthorized(info))
    redirects = answer.status in _REDIRECTS and answer.status != _NOT_MODIFIED
    if redirects and (upgrade or not _may_redirect(answer, info)):
        raise UpstreamInvalid("kube-apiserver answered with a redirect, which is not followed")
    if answer.status == _SWITCHING_PROTOCOLS and answer.upgrade != upgrade:
        raise UpstreamInvalid("kube-apiserver switched to a protocol that was not asked for")


def _may_redirect(answer: ResponseHead, info: RequestInfo) -> bool:
    """Whether a redirect is an application's own, or leads to the same path by another hash."""
    if info.verb == "proxy":
        return True
    if answer.status != _MOVED_PERMANENTLY or not info.path.startswith(_OPENAPI):
        return False
    places = [each.partition("?") for each in answer.values("location")]
    return len(places) == 1 and places[0][0] == info.path and bool(_HASH.fullmatch(places[0][2]))


def _unauthorized(info: RequestInfo) -> str:
    if info.verb == "proxy":
        return (
            "the application behind kube-apiserver asks for a sign-in of its own (401), which"
            " cannot be told from a refusal of kzproxy's credential; neither is about your sign-in"
        )
    return "kube-apiserver refused kzproxy's own credential; this is not about your sign-in"


def may_name_account(answer: ResponseHead, info: RequestInfo) -> bool:
    """Whether an answer is a 403 by which ``names_account`` can tell something.

    What an application behind ``*/proxy`` says is its own affair: it could raise the alarm about
    kzproxy's account at will. Where that is broken, every other request says so too.
    """
    return answer.status == _FORBIDDEN and info.verb != "proxy"


def names_account(answer: ResponseHead, info: RequestInfo, body: bytes, account: str) -> bool:
    """Whether an answer is a 403 to kzproxy's own account: impersonation did not take place.

    The sentence of apiserver's responsewriters/errors.go is looked for where a Status' message has
    it. Further behind, admission quotes what was sent: whoever creates a pod for a ServiceAccount
    of the name ``User "..."`` would raise the alarm. So would who asks for a path that begins so.
    They get what kube-apiserver answers then, a 403 in either case.

    Args:
        answer: Of any status.
        info: What was asked.
        body: Of the answer, taken out of its framing.
        account: kzproxy's own name at kube-apiserver.
    """
    if not may_name_account(answer, info):
        return False
    message = _message(body)
    if message is None or re.match(_REFUSAL.format(re.escape(account)), message) is None:
        return False
    return not _says(info, f'User "{account}"')


def _says(info: RequestInfo, sentence: str) -> bool:
    """Whether a request holds ``sentence``, or what kube-apiserver makes a refusal of does.

    Its message begins with the resource, written as it was sent, and the name in quotes
    (NewForbidden in apimachinery's pkg/api/errors/errors.go).
    """
    group = f".{info.api_group}" if info.api_group else ""
    begun = f'{info.resource}{group} "{info.name}"'
    return any(sentence in text for text in (begun, info.path, *chain(*info.query)))


def _message(body: bytes) -> str | None:
    """Return the message of a Status, as far as it has come; None where there is none."""
    try:
        if body.startswith(b"k8s\0"):
            return field_text(read_object(body), _MESSAGE_FIELD)
        return msgspec.json.decode(body, type=_Status).message
    except (BadRequest, msgspec.MsgspecError, UnicodeDecodeError):
        return _message_begun(body.decode("utf-8", "replace"))


def _message_begun(text: str) -> str | None:
    """Return the message of a Status in YAML, or in JSON that is cut short."""
    if text.startswith("{"):
        found = _IN_JSON.search(text)
        return None if found is None else _ESCAPED.sub(r"\1", found[1])
    found = _IN_YAML.search(text)
    return None if found is None else _FOLD.sub(" ", found[1]).replace("''", "'")


def client_headers(answer: ResponseHead) -> Headers:
    """Return the answer's headers as the client gets them, but for ``Audit-Id``: that is ours."""
    return tuple([header for header in end_to_end(answer.headers) if header[0] != "audit-id"])
