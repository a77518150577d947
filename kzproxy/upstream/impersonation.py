"""Build what is sent to kube-apiserver from an allow-list; pure.

Nothing of the client's head is copied but what is named here, and identity comes from the permit
alone. Impersonation fails open - kube-apiserver reads a blank ``Impersonate-User`` as none and acts
as kzproxy itself - so the finished head is checked once more before it may go out.
"""

from dataclasses import dataclass, field

from kzproxy.attributes.attributes import Attributes
from kzproxy.attributes.identity import Identity
from kzproxy.errors.kinds import InternalError
from kzproxy.http.messages import Headers, RequestHead
from kzproxy.policy.decision import Permit

# A client's header that is not here does not reach kube-apiserver.
_FORWARDED = frozenset(
    {
        "accept",
        "accept-encoding",
        "content-type",
        "if-match",
        "if-none-match",
        "kubectl-command",
        "kubectl-session",
        "user-agent",
    }
)
# golang.org/x/net/websocket, with which kube-apiserver serves watch and log, refuses a handshake
# without Origin.
_FORWARDED_ON_WEBSOCKET = frozenset({"origin", "sec-websocket-key", "sec-websocket-version"})
_FORWARDED_ON_SPDY = frozenset({"x-stream-protocol-version"})
_FORWARDED_TO_PROXIES = frozenset({"range", "content-encoding", "content-language"})
# k8s.io/apiserver pkg/authentication/request/websocket: a bearer token hidden in a subprotocol.
_BEARER_SUBPROTOCOL = "base64url.bearer.authorization.k8s.io."

SESSION_EXTRA = "kzproxy.dev/session-id"
DEVICE_EXTRA = "kzproxy.dev/device-id"
DECISION_EXTRA = "kzproxy.dev/decision-id"

# RFC 9110 section 5.6.2; "%" is the escape character itself.
_TOKEN = frozenset("!#$&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """What kzproxy itself puts on a request.

    Attributes:
        authority: ``Host``.
        authorization: kzproxy's own credential; empty where a client certificate speaks.
        audit_id: Becomes ``Audit-ID``.
        extras: kzproxy's own extra keys with their values.
        send_uid: Whether ``Impersonate-Uid`` is sent.
    """

    authority: str
    authorization: str = field(repr=False)
    audit_id: str
    extras: Headers
    send_uid: bool


def impersonate(request: RequestHead, permit: Permit, envelope: Envelope) -> RequestHead:
    """Return the request as it goes to kube-apiserver.

    Of ``request`` the framing and the allowed headers are used; method, target and identity are
    those of ``permit``: what was judged is what is sent.

    Raises:
        InternalError: The head would not impersonate exactly one user.
    """
    attributes = permit.attributes
    own: list[tuple[str, str]] = [("host", envelope.authority)]
    if envelope.authorization:
        own.append(("authorization", envelope.authorization))
    own += _identity_headers(attributes.subject, envelope)
    own.append(("audit-id", envelope.audit_id))
    own.append(("x-forwarded-for", str(attributes.environment.source_address)))
    outgoing = RequestHead(
        method=attributes.request.method,
        target=attributes.request.target,
        headers=(*own, *_forwarded(request, attributes)),
        body=request.body,
        upgrade=request.upgrade,
    )
    check_impersonates(outgoing, attributes.subject.username)
    return outgoing


def check_impersonates(head: RequestHead, username: str) -> None:
    """Refuse a head that does not carry exactly one, non-blank, right ``Impersonate-User``.

    Raises:
        InternalError: It does not.
    """
    users = head.values("impersonate-user")
    if users != [username] or not username.strip():
        raise InternalError(
            "the request could not be impersonated",
            detail=f"{len(users)} Impersonate-User headers in the final head",
        )


def _identity_headers(subject: Identity, envelope: Envelope) -> list[tuple[str, str]]:
    headers = [("impersonate-user", subject.username)]
    headers += [("impersonate-group", group) for group in subject.groups]
    if subject.uid and envelope.send_uid:
        headers.append(("impersonate-uid", subject.uid))
    for key, values in subject.extra:
        headers += [(extra_header(key), value) for value in values]
    headers += [(extra_header(key), value) for key, value in envelope.extras]
    return headers


def extra_header(key: str) -> str:
    """Return the header name of an extra key (client-go transport/round_trippers.go)."""
    escaped = "".join(
        chr(byte) if chr(byte) in _TOKEN else f"%{byte:02x}" for byte in key.lower().encode()
    )
    return f"impersonate-extra-{escaped}"


def _forwarded(request: RequestHead, attributes: Attributes) -> list[tuple[str, str]]:
    names = _FORWARDED
    if request.upgrade == "websocket":
        names |= _FORWARDED_ON_WEBSOCKET
    elif request.upgrade:
        names |= _FORWARDED_ON_SPDY
    if attributes.request.verb == "proxy":
        names |= _FORWARDED_TO_PROXIES
    headers = [(name, value) for name, value in request.headers if name in names]
    if request.upgrade == "websocket":
        headers += _subprotocols(request)
    return headers


def _subprotocols(request: RequestHead) -> list[tuple[str, str]]:
    offered = [
        token.strip()
        for value in request.values("sec-websocket-protocol")
        for token in value.split(",")
    ]
    kept = [token for token in offered if token and not token.startswith(_BEARER_SUBPROTOCOL)]
    return [("sec-websocket-protocol", ", ".join(kept))] if kept else []
