"""The bearer token of a request: exactly one credential in one place (RFC 6750 section 2.1)."""

import re

from kzproxy.errors.kinds import BadRequest, Unauthenticated
from kzproxy.http.messages import RequestHead

# One blank between the two: kube-apiserver takes the word after the first blank, others split at
# any run of blanks, and a credential must not have two readings.
_BEARER = re.compile(r"(?i:bearer) ([A-Za-z0-9\-._~+/]+=*)")

# kube-apiserver also takes a token from here, and even where the Authorization header does not
# hold (staging/src/k8s.io/apiserver/pkg/authentication/request/websocket/protocol.go).
_WEBSOCKET_BEARER = "base64url.bearer.authorization.k8s.io."

_MEND = "use a kubeconfig made by `kzproxy kubeconfig`, or run `kzproxy login`"


def bearer_token(head: RequestHead) -> str:
    """Take the one bearer token out of a request head.

    Raises:
        BadRequest: There are two credentials.
        Unauthenticated: There is none, or it is not a bearer token.
    """
    values = head.values("authorization")
    in_subprotocol = _names_websocket_bearer(head)
    if len(values) + in_subprotocol > 1:
        raise BadRequest("the request carries more than one credential; send one Authorization")
    if in_subprotocol:
        raise Unauthenticated(
            "kzproxy does not take a token from Sec-WebSocket-Protocol; send it as Authorization"
        )
    if not values:
        raise Unauthenticated(f"no credential was sent; {_MEND}")
    match = _BEARER.fullmatch(values[0])
    if match is None:
        raise Unauthenticated(f"Authorization is not one bearer token; {_MEND}")
    return match[1]


def _names_websocket_bearer(head: RequestHead) -> bool:
    return any(
        protocol.strip().lower().startswith(_WEBSOCKET_BEARER)
        for value in head.values("sec-websocket-protocol")
        for protocol in value.split(",")
    )
