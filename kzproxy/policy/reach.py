"""Whether a match reaches a request whose verb, group and resource already fit.

The two effects read the same words differently where a request does not say which object it is
for. An allow rule must be sure: it reaches only what it names. A deny rule must not be escaped by
asking for more at once: ``kubectl get secrets --all-namespaces`` brings those of the namespace
that a deny rule names, and a list brings the secret that it names.
"""

from kzproxy.attributes.attributes import Attributes
from kzproxy.attributes.request_info import RequestInfo
from kzproxy.policy.decision import Dependency
from kzproxy.policy.index import CompiledMatch
from kzproxy.policy.scope import CLUSTER_SCOPED
from kzproxy.policy.selectors import asked_equalities, asked_fields
from kzproxy.policy.vocabulary import ALL, COLLECTION_VERBS

LISTING_VERBS = frozenset({"list", "watch"})


def lists_namespaces(request: RequestInfo) -> bool:
    """Whether many namespaces are asked for: each is then judged, and shown or not, by itself."""
    return (
        request.resource == "namespaces"
        and not request.api_group
        and not request.namespace
        and not request.subresource
        and request.verb in LISTING_VERBS
    )


def tells_namespaces_apart(candidate: CompiledMatch) -> bool:
    """Whether the match may say something else of one namespace than of another."""
    rests = candidate.compiled.check.depends_on
    return (
        candidate.namespaces is not None
        or candidate.names is not None
        or candidate.match.namespace_selector is not None
        or not rests.isdisjoint((Dependency.REQUEST, Dependency.NAMESPACE))
    )


def allow_reaches(candidate: CompiledMatch, attributes: Attributes) -> bool:
    """Whether the match names this request's URL, or its namespace and its name.

    Of a list of namespaces: whether it names any that is asked for.
    """
    request = attributes.request
    if candidate.is_simple and request.resource != "namespaces":
        namespace, names = request.namespace, candidate.namespaces
        return names is None or (bool(namespace) and names.hold(namespace))
    if not request.is_resource:
        return candidate.urls is not None and candidate.urls.hold(request.path)
    if lists_namespaces(request):
        return (
            _names_one_of(candidate, request.name)
            and _allows_resource(candidate, request)
            and _allows_selectors(candidate, request)
        )
    return (
        allows_namespace(candidate, attributes)
        and allows_name(candidate, request)
        and _allows_resource(candidate, request)
        and _allows_selectors(candidate, request)
    )


def _names_one_of(candidate: CompiledMatch, name: str) -> bool:
    """Whether the match names the namespace, or any at all where none is asked for by name."""
    asked = [names for names in (candidate.namespaces, candidate.names) if names is not None]
    return not name or all(names.hold(name) for names in asked)


def allows_namespace(candidate: CompiledMatch, attributes: Attributes) -> bool:
    """Whether a namespace is not asked for, or is named by the request and by the match."""
    request, selector = attributes.request, candidate.match.namespace_selector
    if candidate.namespaces is not None and not (
        request.namespace and candidate.namespaces.hold(request.namespace)
    ):
        return False
    if selector is None:
        return True
    labels = attributes.namespace_labels
    return bool(request.namespace) and labels is not None and selector.selects(labels)


def allows_name(candidate: CompiledMatch, request: RequestInfo) -> bool:
    """Whether a name is not asked for, or is named by the request and by the match."""
    if candidate.names is None:
        return True
    return bool(request.name) and candidate.names.hold(request.name)


def _allows_resource(candidate: CompiledMatch, request: RequestInfo) -> bool:
    """Whether it is not excluded; whoever excludes a resource means what is below it too."""
    excluded = candidate.excluded
    if not excluded:
        return True
    if not request.subresource:
        return request.resource not in excluded
    return request.resource not in excluded and excluded.isdisjoint(_subresource_patterns(request))


def _allows_selectors(candidate: CompiledMatch, request: RequestInfo) -> bool:
    match = candidate.match
    if not match.label_equalities and not match.field_equalities:
        return True
    return (
        request.verb in COLLECTION_VERBS
        and match.label_equalities <= asked_equalities(request.label_selector)
        and match.field_equalities <= asked_fields(request.field_selector)
    )


def deny_reaches(candidate: CompiledMatch, attributes: Attributes) -> bool:
    """Whether the request is, or may include, something that the match names.

    Of a list of namespaces: whether it names all of them.
    """
    request = attributes.request
    if not request.is_resource:
        return _holds_url(candidate, request.path)
    if lists_namespaces(request):
        return _names_every(candidate) and not _is_excluded(candidate, request)
    return (
        _may_be_in_namespace(candidate, request)
        and _may_have_labels(candidate, attributes)
        and _may_have_name(candidate, request)
        and not _is_excluded(candidate, request)
    )


def _names_every(candidate: CompiledMatch) -> bool:
    match = candidate.match
    return match.namespace_selector is None and all(
        not patterns or ALL in patterns for patterns in (match.namespaces, match.names)
    )


def _holds_url(candidate: CompiledMatch, path: str) -> bool:
    urls = candidate.urls
    # kube-apiserver serves /api and /api/ alike.
    return urls is not None and (urls.hold(path) or urls.hold(path.removesuffix("/")))


def _may_be_in_namespace(candidate: CompiledMatch, request: RequestInfo) -> bool:
    if candidate.namespaces is None:
        return True
    if request.namespace:
        return candidate.namespaces.hold(request.namespace)
    return _may_hold_namespaces(request)


def _may_have_labels(candidate: CompiledMatch, attributes: Attributes) -> bool:
    selector, request = candidate.match.namespace_selector, attributes.request
    if selector is None:
        return True
    if not request.namespace:
        return _may_hold_namespaces(request)
    labels = attributes.namespace_labels
    return labels is None or selector.selects(labels)


def _may_hold_namespaces(request: RequestInfo) -> bool:
    """Whether a request without a namespace may be for objects of many."""
    is_clusterwide = (request.api_group, request.resource) in CLUSTER_SCOPED
    return request.verb in COLLECTION_VERBS and not is_clusterwide


def _may_have_name(candidate: CompiledMatch, request: RequestInfo) -> bool:
    # A created object's name stands in the body, which is not read here.
    return candidate.names is None or not request.name or candidate.names.hold(request.name)


def _is_excluded(candidate: CompiledMatch, request: RequestInfo) -> bool:
    """Whether exactly this is excluded: what is below it was not."""
    excluded = candidate.excluded
    if not excluded:
        return False
    if not request.subresource:
        return request.resource in excluded
    return not excluded.isdisjoint(_subresource_patterns(request))


def _subresource_patterns(request: RequestInfo) -> tuple[str, str, str]:
    return (request.qualified_resource, f"{request.resource}/*", f"*/{request.subresource}")
