"""Read the question of a review of oneself (authorization.k8s.io/v1).

What is not understood is refused: an answer to another question than the one that was meant is
worse than none.
"""

from collections.abc import Mapping

from kzproxy.attributes.protobuf import field_bytes, field_text, read_object
from kzproxy.errors.kinds import BadRequest
from kzproxy.policy.question import Question

_OPERATORS = {"In": "in", "NotIn": "notin", "Exists": "", "DoesNotExist": "!"}


def read_access_review(document: object) -> Question:
    """Return what is asked.

    Raises:
        BadRequest: Nothing, or two things, or something that is not to be understood.
    """
    spec = _mapping(_mapping(document, "the review"), "the review", "spec")
    resource = spec.get("resourceAttributes")
    path = spec.get("nonResourceAttributes")
    if (resource is None) is (path is None):
        raise BadRequest("spec must have one of resourceAttributes and nonResourceAttributes")
    if resource is None:
        asked = _mapping(path, "nonResourceAttributes")
        return Question(verb=_text(asked, "verb"), path=_text(asked, "path") or "/")
    return _on_resource(_mapping(resource, "resourceAttributes"))


def read_rules_namespace(document: object) -> str:
    """Return the namespace that a SelfSubjectRulesReview is about.

    Raises:
        BadRequest: It is not to be understood.
    """
    return _text(_mapping(_mapping(document, "the review"), "the review", "spec"), "namespace")


def read_rules_namespace_in_protobuf(body: bytes) -> str:
    """Do the same where the review is in Kubernetes' protobuf.

    Raises:
        BadRequest: It is not to be understood.
    """
    # SelfSubjectRulesReview.spec and SelfSubjectRulesReviewSpec.namespace.
    return field_text(field_bytes(read_object(body), 2), 1)


def _on_resource(asked: Mapping[str, object]) -> Question:
    resource, subresource = _text(asked, "resource"), _text(asked, "subresource")
    return Question(
        verb=_text(asked, "verb"),
        api_group=_text(asked, "group"),
        api_version=_text(asked, "version"),
        resource=f"{resource}/{subresource}" if subresource else resource,
        namespace=_text(asked, "namespace"),
        name=_text(asked, "name"),
        label_selector=_selector(asked, "labelSelector"),
        field_selector=_selector(asked, "fieldSelector"),
    )


def _selector(asked: Mapping[str, object], key: str) -> str:
    """Write a selector as a request would have it."""
    if asked.get(key) is None:
        return ""
    selector = _mapping(asked[key], key)
    if raw := _text(selector, "rawSelector"):
        return raw
    requirements = selector.get("requirements") or []
    if not isinstance(requirements, list):
        raise BadRequest(f"{key}.requirements is no list")
    return ",".join(_requirement(_mapping(each, key)) for each in requirements)


def _requirement(asked: Mapping[str, object]) -> str:
    key, operator = _text(asked, "key"), _text(asked, "operator")
    values = asked.get("values") or []
    if operator not in _OPERATORS or not isinstance(values, list):
        raise BadRequest(f"a selector's requirement on {key} is not to be understood")
    texts = [each for each in values if isinstance(each, str)]
    if operator in ("Exists", "DoesNotExist"):
        return f"{_OPERATORS[operator]}{key}"
    if operator == "In" and len(texts) == 1:
        return f"{key}={texts[0]}"
    return f"{key} {_OPERATORS[operator]} ({','.join(texts)})"


def _mapping(value: object, what: str, key: str = "") -> Mapping[str, object]:
    if key and isinstance(value, dict):
        value, what = value.get(key, {}), key
    if not isinstance(value, dict):
        raise BadRequest(f"{what} is no object")
    return value


def _text(asked: Mapping[str, object], key: str) -> str:
    value = asked.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise BadRequest(f"{key} is no text")
    return value
