"""What is asked: kube-apiserver's reading of a request, and one canonical target."""

from dataclasses import dataclass
from enum import StrEnum


class StreamKind(StrEnum):
    """How a long-running request talks; NONE is an ordinary one."""

    NONE = "none"
    WATCH = "watch"
    LOG = "log"
    EXEC = "exec"
    ATTACH = "attach"
    PORT_FORWARD = "portforward"
    PROXY = "proxy"


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestInfo:
    """A request read once; ``target`` is what is judged and what is sent.

    Attributes:
        method: Exact upper-case HTTP method.
        target: The canonical origin-form target, re-encoded from the parts below.
        path: The canonical path, percent-decoded, without query (``nonResourceURLs`` match it).
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

    @property
    def qualified_resource(self) -> str:
        """Return ``resource`` or ``resource/subresource``, as policy and RBAC write it."""
        return f"{self.resource}/{self.subresource}" if self.subresource else self.resource
