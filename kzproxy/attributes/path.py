"""Read a path as kube-apiserver does: which resource it addresses, if any.

The algorithm is NewRequestInfo in k8s.io/apiserver pkg/endpoints/request/requestinfo.go, less what
is refused. Since empty segments are refused before it, Go's trimming of slashes has nothing left
to do, but in the paths of ``may_end_with_slash`` and behind ``…/proxy``, where it cannot reach the
segments that count.
"""

import re

import msgspec

from kzproxy.attributes.target import check_suffix, decode_segment, encode_segment
from kzproxy.errors.kinds import BadRequest, NotServed

# Paths that clients ask for, or RBAC's own roles grant, with the slash at the end.
SLASHED_PATHS = frozenset(
    {
        "/",
        "/.well-known/openid-configuration/",
        "/api/",
        "/apis/",
        "/logs/",
        "/openapi/",
        "/openapi/v2/",
        "/openapi/v3/",
        "/openid/v1/jwks/",
        "/version/",
    }
)
# Further ones, of each group and version: generated clients ask for what is served there, as in
# AppsV1Api().get_api_resources(). What Go leaves of them is too short to address a resource.
_SLASHED_DISCOVERY = re.compile(r"/api(?:s(?:/[a-z0-9][a-z0-9.-]*)?)?/[a-z0-9][a-z0-9.-]*/")
_LEGACY_VERBS = frozenset({"proxy", "watch"})
_NAMESPACE_SUBRESOURCES = frozenset({"finalize", "status"})
# /apis/GROUP/VERSION/namespaces/NAMESPACE/RESOURCE/NAME/SUBRESOURCE: nothing behind it counts.
_DEEPEST = 8
_REENCODED = re.compile(r"[%\[\]]")


class ResourceAddress(msgspec.Struct, frozen=True, kw_only=True):
    """What a resource path names; see ``RequestInfo`` for the parts."""

    api_group: str
    api_version: str
    namespace: str
    resource: str
    name: str
    subresource: str


class Path(msgspec.Struct, frozen=True, kw_only=True):
    """A path with one reading.

    Attributes:
        canonical: Re-encoded; what is forwarded.
        decoded: Decoded once, but for what follows ``…/proxy``, which stays as it was sent.
        address: None for a path outside the API's resources.
        proxied: Whether a backend of a ``*/proxy`` subresource is addressed.
    """

    canonical: str
    decoded: str
    address: ResourceAddress | None
    proxied: bool


def may_end_with_slash(encoded: str) -> bool:
    """Tell whether a path that ends with a slash has one reading, that slash included."""
    return encoded in SLASHED_PATHS or _SLASHED_DISCOVERY.fullmatch(encoded) is not None


def read_path(encoded: str) -> Path:
    """Read the path of a target that ``split_target`` has passed.

    Raises:
        BadRequest: It has two readings.
        NotServed: A legacy ``/watch/`` or ``/proxy/`` prefix.
    """
    if encoded.endswith("/") and may_end_with_slash(encoded):
        return Path(canonical=encoded, decoded=encoded, address=None, proxied=False)
    segments, suffix = _segments(encoded)
    path = "/" + "/".join(segments)
    canonical = path
    if _REENCODED.search(encoded):
        canonical = "/" + "/".join([encode_segment(segment) for segment in segments])
    if suffix is None:
        return Path(
            canonical=canonical, decoded=path, address=resource_address(segments), proxied=False
        )
    check_suffix(suffix)
    return Path(
        canonical=canonical + suffix,
        decoded=path + suffix,
        address=resource_address(segments),
        proxied=True,
    )


def _segments(encoded: str) -> tuple[list[str], str | None]:
    """Decode the segments up to the end or to ``…/proxy``, and return what follows that."""
    segments: list[str] = []
    waiting = encoded[1:].split("/")
    for position, segment in enumerate(waiting, start=1):
        if not segment:
            raise _empty_segment(encoded, last=position == len(waiting))
        decoded = decode_segment(segment)
        segments.append(decoded)
        if decoded == "proxy" and position <= _DEEPEST and _names_proxy_subresource(segments):
            return segments, "".join(f"/{rest}" for rest in waiting[position:])
    return segments, None


def _names_proxy_subresource(segments: list[str]) -> bool:
    """Tell whether ``segments``, which end in their first such ``proxy``, address ``*/proxy``."""
    address = resource_address(segments)
    return address is not None and address.subresource == "proxy"


def _empty_segment(encoded: str, *, last: bool) -> BadRequest:
    if last:
        return BadRequest("the path ends with a slash; leave it out", detail=encoded)
    return BadRequest("the path holds two slashes in a row", detail=encoded)


def resource_address(segments: list[str]) -> ResourceAddress | None:
    """Find the parts of a resource path; None where ``segments`` are none.

    Raises:
        NotServed: A legacy ``/watch/`` or ``/proxy/`` prefix.
    """
    if len(segments) < 3 or segments[0] not in {"api", "apis"}:
        return None
    group, parts = "", segments[1:]
    if segments[0] == "apis":
        if len(segments) < 4:
            return None
        group, parts = segments[1], segments[2:]
    version, parts = parts[0], parts[1:]
    if parts[0] in _LEGACY_VERBS:
        raise _legacy_prefix(parts[0])
    namespace = ""
    if parts[0] == "namespaces" and len(parts) > 1:
        namespace = parts[1]
        if len(parts) > 2 and parts[2] not in _NAMESPACE_SUBRESOURCES:
            parts = parts[2:]
    return ResourceAddress(
        api_group=group,
        api_version=version,
        namespace=namespace,
        resource=parts[0],
        name=parts[1] if len(parts) > 1 else "",
        subresource=parts[2] if len(parts) > 2 else "",
    )


def _legacy_prefix(prefix: str) -> NotServed:
    if prefix == "watch":
        return NotServed("the /watch/ prefix is not served; use ?watch=true on the collection")
    return NotServed("the /proxy/ prefix is not served; use the proxy subresource of the object")
