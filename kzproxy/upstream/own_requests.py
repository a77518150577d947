"""The heads of requests that kzproxy makes at kube-apiserver for itself, as itself."""

from kzproxy.http.messages import NoBody, RequestHead
from kzproxy.upstream.api_server import ApiServer

JSON = "application/json"


def own_get(
    api_server: ApiServer, target: str, *, user_agent: str, accept: str = JSON
) -> RequestHead:
    """Return a GET of ``target`` with kzproxy's own credential.

    Args:
        api_server: Whose authority and credential are meant.
        target: Origin-form, encoded.
        user_agent: Says in kube-apiserver's log which part of kzproxy asks.
        accept: Media types.
    """
    headers = [
        ("host", api_server.authority),
        ("accept", accept),
        ("user-agent", user_agent),
    ]
    authorization = api_server.authorization()
    if authorization:
        headers.append(("authorization", authorization))
    return RequestHead(method="GET", target=target, headers=tuple(headers), body=NoBody())
