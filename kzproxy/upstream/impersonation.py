"""Build what is sent to kube-apiserver from an allow-list; pure.

Nothing of the client's head is copied but what is named here, and identity comes from the permit
alone. Impersonation fails open - kube-apiserver reads a blank ``Impersonate-User`` as none and acts
as kzproxy itself - so the finished head is checked once more before it may go out.
"""

import re

import msgspec

from kzproxy.attributes.environment import IPAddress
from kzproxy.attributes.identity import Identity
from kzproxy.attributes.request_info import RequestInfo
from kzproxy.errors.kinds import InternalError
from kzproxy.http.encode import EncodedHeaders, encode_request_head
from kzproxy.http.messages import Headers, RequestBody, RequestHead
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
# Since Kubernetes 1.37 (WatchListCompression) a watch that begins with a list comes in gzip to who
# takes that, as Go's clients do: where an event ends, and what is a bookmark, could not be told.
_FORWARDED_TO_WATCHES = _FORWARDED - {"accept-encoding"}
# golang.org/x/net/websocket, with which kube-apiserver serves watch and log, refuses a handshake
# without Origin.
_FORWARDED_ON_WEBSOCKET = frozenset({"origin", "sec-websocket-key", "sec-websocket-version"})
_FORWARDED_ON_SPDY = frozenset({"x-stream-protocol-version"})
# All of RFC 9110 section 13.1, as a backend must not do without what was asked for on a condition:
# a part of what has become another whole, or an overwriting of what somebody else has changed.
_FORWARDED_TO_PROXIES = frozenset(
    {
        "content-encoding",
        "content-language",
        "if-modified-since",
        "if-range",
        "if-unmodified-since",
        "range",
    }
)
_WITH_HEADERS_OF_THEIR_OWN = frozenset({"proxy", "watch"})
# k8s.io/apiserver pkg/authentication/request/websocket: a bearer token hidden in a subprotocol.
_BEARER_SUBPROTOCOL = "base64url.bearer.authorization.k8s.io."

_FRONT = re.compile(r"[A-Z]{1,24} /[\x21-\x7e]*+ HTTP/1\.1\r\naudit-id: [\x21-\x7e]{1,64}\r\n")
_USER = b"\r\nimpersonate-user:"

SESSION_EXTRA = "kzproxy.dev/session-id"
DEVICE_EXTRA = "kzproxy.dev/device-id"
DECISION_EXTRA = "kzproxy.dev/decision-id"

# RFC 9110 section 5.6.2; "%" is the escape character itself.
_TOKEN = frozenset("!#$&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")


class Outgoing(msgspec.Struct, frozen=True, kw_only=True):
    """A request as it goes to kube-apiserver, to the last byte of its head, which does not print.

    Attributes:
        method: Of the request line.
        body: How the body is framed.
        upgrade: ``websocket``, ``spdy/3.1`` or empty.
        head: The encoded head.
    """

    method: str
    body: RequestBody
    upgrade: str
    head: bytes

    def __repr__(self) -> str:
        return f"Outgoing({self.method}, {self.body}, upgrade={self.upgrade!r})"


def identity_block(
    subject: Identity,
    source_address: IPAddress,
    *,
    extras: Headers,
    authority: str,
    authorization: str,
    send_uid: bool,
) -> EncodedHeaders:
    """Make the headers that say as whom a caller's requests go upstream; once for a caller.

    Args:
        subject: Whom the request is made as.
        source_address: The socket's peer, for ``X-Forwarded-For``.
        extras: kzproxy's own extra keys with their values.
        authority: ``Host``.
        authorization: kzproxy's own credential; empty where a client certificate speaks.
        send_uid: Whether ``Impersonate-Uid`` is sent.

    Raises:
        InternalError: A value must not be written, or the user name is blank.
    """
    headers: list[tuple[str, str]] = [("host", authority)]
    if authorization:
        headers.append(("authorization", authorization))
    headers.append(("impersonate-user", subject.username))
    headers += [("impersonate-group", group) for group in subject.groups]
    if subject.uid and send_uid:
        headers.append(("impersonate-uid", subject.uid))
    for key, values in subject.extra:
        headers += [(extra_header(key), value) for value in values]
    headers += [(extra_header(key), value) for key, value in extras]
    headers.append(("x-forwarded-for", str(source_address)))
    return EncodedHeaders.of(tuple(headers))


def impersonate(
    request: RequestHead,
    permit: Permit,
    identity: EncodedHeaders,
    *,
    audit_id: str,
    extras: Headers = (),
) -> Outgoing:
    """Return the request as it goes to kube-apiserver.

    Of ``request`` the framing and the allowed headers are used; method and target are those of
    ``permit``: what was judged is what is sent.

    Args:
        request: As the client sent it.
        permit: What was judged.
        identity: From ``identity_block``, of its subject.
        audit_id: Becomes ``Audit-ID``.
        extras: Extra keys of this request alone.

    Raises:
        InternalError: The head would not impersonate exactly the judged user.
    """
    asked = permit.attributes.request
    own = [("audit-id", audit_id), *((extra_header(key), value) for key, value in extras)]
    head = RequestHead(
        method=asked.method,
        target=asked.target,
        headers=(*own, *_forwarded(request, asked)),
        body=request.body,
        upgrade=request.upgrade,
    )
    encoded = encode_request_head(head, identity)
    check_impersonates(encoded, permit.attributes.subject.username)
    return Outgoing(method=head.method, body=head.body, upgrade=head.upgrade, head=encoded)


class Impersonation:
    """How the requests of one caller go upstream: as ``impersonate`` says, found out once a kind.

    A caller's requests differ in request line and audit id. Does not print what it holds.
    """

    __slots__ = ("_headers", "_subject", "_tails")

    def __init__(self, subject: Identity, headers: EncodedHeaders) -> None:
        """Begin with the headers of ``identity_block``, of ``subject``."""
        self._subject = subject
        self._headers = headers
        # By method and by the verb, where that decides what is forwarded: the request it was found
        # out for, and all of the head behind its audit id.
        self._tails: dict[tuple[str, str], tuple[RequestHead, bytes]] = {}

    def of(
        self, request: RequestHead, permit: Permit, *, audit_id: str, extras: Headers = ()
    ) -> Outgoing:
        """Return ``impersonate`` of these.

        Raises:
            InternalError: As ``impersonate`` does, and where ``permit`` is of another subject.
        """
        asked = permit.attributes.request
        subject = permit.attributes.subject
        if subject is not self._subject and not _is_sent_alike(subject, self._subject):
            raise InternalError("a permit of one caller for a request of another")
        if extras:
            return impersonate(request, permit, self._headers, audit_id=audit_id, extras=extras)
        front = f"{asked.method} {asked.target} HTTP/1.1\r\naudit-id: {audit_id}\r\n"
        key = (asked.method, asked.verb if asked.verb in _WITH_HEADERS_OF_THEIR_OWN else "")
        known = self._tails.get(key)
        if known is None or not _same_but_target(known[0], request):
            outgoing = impersonate(request, permit, self._headers, audit_id=audit_id)
            if outgoing.head.startswith(front.encode()):
                self._tails[key] = (request, outgoing.head[len(front) :])
            return outgoing
        if _FRONT.fullmatch(front) is None:
            raise InternalError("a request line or an audit id that must not be written")
        return Outgoing(
            method=asked.method,
            body=request.body,
            upgrade=request.upgrade,
            head=front.encode() + known[1],
        )


def _is_sent_alike(judged: Identity, standing: Identity) -> bool:
    """Whether both are the same to kube-apiserver; a risk, say, may be known of one alone."""
    return (
        judged.username == standing.username
        and judged.groups == standing.groups
        and judged.uid == standing.uid
        and judged.extra == standing.extra
    )


def _same_but_target(known: RequestHead, request: RequestHead) -> bool:
    return (
        (known.headers is request.headers or known.headers == request.headers)
        and (known.body is request.body or known.body == request.body)
        and known.upgrade == request.upgrade
    )


def own_request(head: RequestHead) -> Outgoing:
    """Encode a request that kzproxy makes for itself, as itself."""
    return Outgoing(
        method=head.method,
        body=head.body,
        upgrade=head.upgrade,
        head=encode_request_head(head),
    )


def check_impersonates(head: bytes, username: str) -> None:
    """Refuse an encoded head without exactly one, non-blank, right ``Impersonate-User``.

    Raises:
        InternalError: It must not go out.
    """
    wanted = b"\r\nimpersonate-user: %b\r\n" % username.encode()
    if head.count(_USER) != 1 or wanted not in head or not username.strip():
        raise InternalError(
            "the request could not be impersonated",
            detail=f"{head.count(_USER)} Impersonate-User headers in the final head",
        )


def extra_header(key: str) -> str:
    """Return the header name of an extra key (client-go transport/round_trippers.go)."""
    escaped = "".join(
        chr(byte) if chr(byte) in _TOKEN else f"%{byte:02x}" for byte in key.lower().encode()
    )
    return f"impersonate-extra-{escaped}"


def _forwarded(request: RequestHead, asked: RequestInfo) -> list[tuple[str, str]]:
    names = _FORWARDED_TO_WATCHES if asked.verb == "watch" else _FORWARDED
    if request.upgrade == "websocket":
        names |= _FORWARDED_ON_WEBSOCKET
    elif request.upgrade:
        names |= _FORWARDED_ON_SPDY
    if asked.verb == "proxy":
        names |= _FORWARDED_TO_PROXIES
    headers = [header for header in request.headers if header[0] in names]
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
