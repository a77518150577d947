"""Which requests have an object that rules can look at.

That is decided in ``enforcement/object_checks.py``: what a create or update would write, a patch
of which only that it is one is known, and the pod that is read, deleted or entered. A request for
many objects has none.
"""

from kzproxy.policy.rules import Match
from kzproxy.policy.vocabulary import ALL, COLLECTION_VERBS, RESOURCE_VERBS, resource_key

_WRITING = frozenset({"create", "update", "patch"})
_EPHEMERAL = "ephemeralcontainers"
# One for each way in which subresources differ.
_KINDS_OF_SUBRESOURCE = ("", _EPHEMERAL, "exec")


def may_have_object(match: Match) -> bool:
    """Whether any request that ``match`` reaches has one."""
    verbs = RESOURCE_VERBS if ALL in match.verbs else match.verbs
    return any(
        has_object(verb, group, resource, subresource)
        for verb in verbs
        for group in match.api_groups
        for pattern in match.resources
        for resource, subresource in _kinds(pattern)
    )


def has_object(verb: str, group: str, resource: str, subresource: str) -> bool:
    """Whether a request of this kind has one; ``*`` as group or resource is any of them."""
    if verb in COLLECTION_VERBS:
        return False
    if verb in _WRITING and not subresource:
        return True
    if verb == "patch" and subresource == _EPHEMERAL:
        return True
    is_pod = group in ("", ALL) and resource in ("pods", ALL)
    return is_pod and (bool(subresource) or verb in ("get", "delete"))


def _kinds(pattern: str) -> list[tuple[str, str]]:
    if resource_key(pattern) == ALL:
        return [(ALL, subresource) for subresource in _KINDS_OF_SUBRESOURCE]
    resource, _, subresource = pattern.partition("/")
    if subresource != ALL:
        return [(resource, subresource)]
    return [(resource, each) for each in _KINDS_OF_SUBRESOURCE if each]
