"""What is asked: kube-apiserver's reading of a request, and one canonical target.

What was judged is what is sent: ``RequestInfo.parse`` reads a target once, refuses one with two
readings, and spells the rest anew from the parts. The attributes are those that kube-apiserver
derives (NewRequestInfo in k8s.io/apiserver pkg/endpoints/request/requestinfo.go), but for ``verb``
and the port syntax; tests/fuzz holds both against kube-apiserver's own parser.
"""

from enum import StrEnum
from urllib.parse import urlencode

import msgspec

from kzproxy.attributes.list_options import selected_name
from kzproxy.attributes.path import Path, ResourceAddress, read_path
from kzproxy.attributes.query import Query, read_proxied_query, read_query
from kzproxy.attributes.target import MAX_TARGET_BYTES, split_target
from kzproxy.errors.kinds import BadRequest


class StreamKind(StrEnum):
    """How a long-running request talks; NONE is an ordinary one."""

    NONE = "none"
    WATCH = "watch"
    LOG = "log"
    EXEC = "exec"
    ATTACH = "attach"
    PORT_FORWARD = "portforward"
    PROXY = "proxy"


_VERBS = {
    "DELETE": "delete",
    "GET": "get",
    "HEAD": "get",
    "PATCH": "patch",
    "POST": "create",
    "PUT": "update",
}
OWN_ROOT = "/kzproxy.dev"
"""Of kzproxy's own endpoints, which kube-apiserver never hears of."""

_STREAMING_SUBRESOURCES = {
    "attach": StreamKind.ATTACH,
    "exec": StreamKind.EXEC,
    "portforward": StreamKind.PORT_FORWARD,
    "proxy": StreamKind.PROXY,
}
_VERBS_WITH_SELECTORS = frozenset({"deletecollection", "list", "watch"})
_VERBS_WITH_DRY_RUN = frozenset({"create", "delete", "deletecollection", "patch", "update"})
_READS = frozenset({"get", "list", "watch", "head"})
_WITHOUT_DRY_RUN = frozenset({"serviceaccounts/token"})
# The kinds of the core group whose proxied names hold a port (SplitSchemeNamePort, apimachinery
# pkg/util/net/port_split.go, called in pkg/registry/core of kubernetes for these three).
_NAMED_WITH_PORT = frozenset({"nodes", "pods", "services"})

# Two texts in a tuple, beside their letters, by sys.getsizeof: a header of three letters too.
PAIR_BYTES = 192
_WEIGHT_BYTES = 1024


class RequestInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A request read once; ``target`` is what is judged and what is sent.

    Attributes:
        method: Exact upper-case HTTP method.
        target: The canonical origin-form target, re-encoded from the parts below.
        path: The path, percent-decoded, without query (``nonResourceURLs`` match it). What follows
            ``…/proxy`` stays as it was sent.
        query: Decoded pairs in their order.
        is_resource: Whether it addresses the API's resources.
        verb: What policy judges: kube-apiserver's verb, but ``connect`` for exec, attach and
            portforward and ``proxy`` for ``*/proxy``, whatever the method. For a non-resource
            request the method in lower case. Never empty.
        kube_verb: kube-apiserver's own verb for it.
        api_group: Empty for the core group.
        api_version: Empty for non-resource requests.
        namespace: Empty for cluster scope and for all namespaces.
        resource: Plural, as in the path.
        subresource: Empty where none.
        name: Empty where none; the one that a ``metadata.name`` field selector names counts.
        port_scheme: For ``*/proxy`` names ``scheme:name:port``; ``name`` holds the bare name.
        port: See ``port_scheme``.
        field_selector: Raw first value.
        label_selector: Raw first value.
        stream: How it talks if it is long-running.
        dry_run_in_body: Of a deletion that has a body, whether that asks for a dry run; False also
            where it was not read. None where there is no such body. Not part of the target.
    """

    method: str
    target: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    is_resource: bool
    verb: str
    kube_verb: str
    api_group: str = ""
    api_version: str = ""
    namespace: str = ""
    resource: str = ""
    subresource: str = ""
    name: str = ""
    port_scheme: str = ""
    port: str = ""
    field_selector: str = ""
    label_selector: str = ""
    stream: StreamKind = StreamKind.NONE
    dry_run_in_body: bool | None = None

    @property
    def is_own(self) -> bool:
        """Whether the path is kzproxy's own; decided on the canonical path."""
        return self.path == OWN_ROOT or self.path.startswith(f"{OWN_ROOT}/")

    @property
    def is_read(self) -> bool:
        """Whether it changes nothing: to send it twice does no harm."""
        return self.verb in _READS

    @property
    def weight_bytes(self) -> int:
        """Return about how much memory it takes; whoever remembers it must bound that.

        A pair of the query is far more than its letters: 8 KiB of them make 300 KiB.
        """
        return _WEIGHT_BYTES + 4 * len(self.target) + PAIR_BYTES * len(self.query)

    @property
    def qualified_resource(self) -> str:
        """Return ``resource`` or ``resource/subresource``, as policy and RBAC write it."""
        return f"{self.resource}/{self.subresource}" if self.subresource else self.resource

    @property
    def is_dry_run(self) -> bool:
        """Whether kube-apiserver would persist nothing of it.

        ``dryRun`` in the query means nothing to reads, to exec and its like, and to the issuing of
        a ServiceAccount's token, which is issued all the same; and a deletion that has a body is
        a dry run only where that says so, whatever the query says (seen with kube-apiserver 1.36;
        ``DeleteResource`` in apiserver's pkg/endpoints/handlers/delete.go).
        """
        if not self.is_resource or self.verb not in _VERBS_WITH_DRY_RUN:
            return False
        if self.qualified_resource in _WITHOUT_DRY_RUN:
            return False
        if self.dry_run_in_body is not None:
            return self.dry_run_in_body
        return ("dryRun", "All") in self.query

    @property
    def command(self) -> tuple[str, ...]:
        """The argv of an exec; empty for anything else."""
        if self.stream is not StreamKind.EXEC:
            return ()
        return tuple([value for key, value in self.query if key == "command"])

    @property
    def container(self) -> str:
        """The container that an exec, attach or log names; empty where it names none."""
        return next((value for key, value in self.query if key == "container"), "")

    def in_one_piece(self) -> "RequestInfo":
        """Return the same list without ``limit``, so that its answer has no pages."""
        pairs = [pair for pair in self.query if pair[0] != "limit"]
        path = self.target.partition("?")[0]
        return self.parse(self.method, f"{path}?{urlencode(pairs)}" if pairs else path)

    @classmethod
    def parse(cls, method: str, target: str) -> "RequestInfo":
        """Read a request line; ``parse(method, info.target)`` gives ``info`` again.

        Raises:
            BadRequest: A method that kube-apiserver has no verb for, or a target that has no
                reading or two.
            NotServed: A legacy ``/watch/`` or ``/proxy/`` prefix.
        """
        if method not in _VERBS:
            raise _unknown_method(method)
        encoded_path, encoded_query = split_target(target)
        path = read_path(encoded_path)
        query = read_proxied_query(encoded_query) if path.proxied else read_query(encoded_query)
        canonical = _canonical_target(path, query)
        if path.address is None:
            return cls._outside_the_resources(method, canonical, path, query)
        return cls._on_a_resource(method, canonical, path, query, path.address)

    @classmethod
    def _outside_the_resources(
        cls, method: str, target: str, path: Path, query: Query
    ) -> "RequestInfo":
        return cls(
            method=method,
            target=target,
            path=path.decoded,
            query=query.pairs,
            is_resource=False,
            verb=method.lower(),
            kube_verb=method.lower(),
        )

    @classmethod
    def _on_a_resource(
        cls, method: str, target: str, path: Path, query: Query, address: ResourceAddress
    ) -> "RequestInfo":
        kube_verb, name = _kube_verb_and_name(method, address, query)
        port_scheme, name, port = _split_port(address, name)
        has_selectors = kube_verb in _VERBS_WITH_SELECTORS
        return cls(
            method=method,
            target=target,
            path=path.decoded,
            query=query.pairs,
            is_resource=True,
            verb=_judged_verb(kube_verb, address.subresource),
            kube_verb=kube_verb,
            api_group=address.api_group,
            api_version=address.api_version,
            namespace=address.namespace,
            resource=address.resource,
            subresource=address.subresource,
            name=name,
            port_scheme=port_scheme,
            port=port,
            field_selector=(query.values.get("fieldSelector") or "") if has_selectors else "",
            label_selector=(query.values.get("labelSelector") or "") if has_selectors else "",
            stream=_stream_kind(kube_verb, address.subresource, query),
        )


def _unknown_method(method: str) -> BadRequest:
    known = ", ".join(sorted(_VERBS))
    if method == "OPTIONS":
        return BadRequest(
            "OPTIONS is not forwarded, not even to a proxied backend: Kubernetes has no verb for"
            f" it, so that no rule could judge it; use one of {known}"
        )
    return BadRequest(
        f"the method is not one of {known} (in capital letters)", detail=ascii(method)
    )


def _canonical_target(path: Path, query: Query) -> str:
    target = path.canonical
    if query.canonical is not None:
        target = f"{target}?{query.canonical}"
    # Encoding what came without it makes a target longer.
    if len(target) > MAX_TARGET_BYTES:
        raise BadRequest(f"the request target, fully encoded, is over {MAX_TARGET_BYTES} bytes")
    return target


def _kube_verb_and_name(method: str, address: ResourceAddress, query: Query) -> tuple[str, str]:
    """Return kube-apiserver's verb, and the name it takes from the path or a field selector."""
    verb, name = _VERBS[method], address.name
    if not name and verb == "get":
        return "watch" if query.is_true("watch") else "list", selected_name(query)
    if not name and verb == "delete":
        return "deletecollection", ""
    return verb, name


def _judged_verb(kube_verb: str, subresource: str) -> str:
    """Judge a connection by what it does: kubectl exec is a GET or a POST, as the client likes."""
    if subresource not in _STREAMING_SUBRESOURCES:
        return kube_verb
    return "proxy" if subresource == "proxy" else "connect"


def _stream_kind(kube_verb: str, subresource: str, query: Query) -> StreamKind:
    if kube_verb == "watch":
        return StreamKind.WATCH
    if subresource == "log":
        return StreamKind.LOG if query.is_true("follow") else StreamKind.NONE
    return _STREAMING_SUBRESOURCES.get(subresource, StreamKind.NONE)


def _split_port(address: ResourceAddress, name: str) -> tuple[str, str, str]:
    """Split ``scheme:name:port`` and ``name:port`` where kube-apiserver does.

    Raises:
        BadRequest: A form that kube-apiserver answers 400 to.
    """
    ported = not address.api_group and address.resource in _NAMED_WITH_PORT
    if ":" not in name or address.subresource != "proxy" or not ported:
        return "", name, ""
    scheme, rest = "", name
    if name.count(":") > 1:
        scheme, _, rest = name.partition(":")
    bare, _, port = rest.partition(":")
    if not bare or ":" in port or scheme not in {"", "http", "https"}:
        raise BadRequest(
            "a proxied name must be NAME, NAME:PORT or SCHEME:NAME:PORT, where SCHEME is http or"
            " https",
            detail=name,
        )
    return scheme, bare, port
