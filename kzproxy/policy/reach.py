"""Whether a match reaches a request whose verb, group and resource already fit.

The two effects read the same words differently where a request does not say which object it is
for. An allow rule must be sure: it reaches only what it names. A deny rule must not be escaped by
asking for more at once: ``kubectl get secrets --all-namespaces`` brings those of the namespace
that a deny rule names, and a list brings the secret that it names.
"""

from kzproxy.attributes.request_info import RequestInfo
from kzproxy.policy.index import CompiledMatch
from kzproxy.policy.scope import CLUSTER_SCOPED
from kzproxy.policy.vocabulary import COLLECTION_VERBS


def allow_reaches(candidate: CompiledMatch, request: RequestInfo) -> bool:
    """Whether the match names this request's URL, or its namespace and its name."""
    if not request.is_resource:
        return candidate.urls is not None and candidate.urls.hold(request.path)
    return allows_namespace(candidate, request) and allows_name(candidate, request)


def allows_namespace(candidate: CompiledMatch, request: RequestInfo) -> bool:
    """Whether a namespace is not asked for, or is named by the request and by the match."""
    if candidate.namespaces is None:
        return True
    return bool(request.namespace) and candidate.namespaces.hold(request.namespace)


def allows_name(candidate: CompiledMatch, request: RequestInfo) -> bool:
    """Whether a name is not asked for, or is named by the request and by the match."""
    if candidate.names is None:
        return True
    return bool(request.name) and candidate.names.hold(request.name)


def deny_reaches(candidate: CompiledMatch, request: RequestInfo) -> bool:
    """Whether the request is, or may include, something that the match names."""
    if not request.is_resource:
        return _holds_url(candidate, request.path)
    return _may_be_in_namespace(candidate, request) and _may_have_name(candidate, request)


def _holds_url(candidate: CompiledMatch, path: str) -> bool:
    urls = candidate.urls
    # kube-apiserver serves /api and /api/ alike.
    return urls is not None and (urls.hold(path) or urls.hold(path.removesuffix("/")))


def _may_be_in_namespace(candidate: CompiledMatch, request: RequestInfo) -> bool:
    if candidate.namespaces is None:
        return True
    if request.namespace:
        return candidate.namespaces.hold(request.namespace)
    is_clusterwide = (request.api_group, request.resource) in CLUSTER_SCOPED
    return request.verb in COLLECTION_VERBS and not is_clusterwide


def _may_have_name(candidate: CompiledMatch, request: RequestInfo) -> bool:
    # A created object's name stands in the body, which is not read here.
    return candidate.names is None or not request.name or candidate.names.hold(request.name)
