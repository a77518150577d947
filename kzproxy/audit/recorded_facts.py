"""What a decision rested on beside caller and request: into a record, and out of it again."""

from kzproxy.attributes.api_object import ApiObject, Labels
from kzproxy.audit.schema import Namespace, ObjectFacts
from kzproxy.audit.visible import MAX_ITEMS, visible, visible_all
from kzproxy.policy.decision import Decision, Dependency


def recorded_namespace(decision: Decision) -> Namespace | None:
    """Make the part about the namespace; None where nothing rested on it or is known of it."""
    labels = decision.attributes.namespace_labels
    if labels is None or Dependency.NAMESPACE not in decision.depends_on:
        return None
    return Namespace(labels=_labels(labels), labels_omitted=_omitted(labels))


def recorded_object(decision: Decision) -> ObjectFacts | None:
    """Make the part about the object; None where nothing rested on it or is known of it."""
    found = decision.attributes.api_object
    if found is None or Dependency.OBJECT not in decision.depends_on:
        return None
    return ObjectFacts(
        labels=_labels(found.labels),
        labels_omitted=_omitted(found.labels),
        service_account=visible(found.service_account),
        privileged=found.privileged,
        host_namespaces=found.host_namespaces,
        images=visible_all(found.images),
        images_omitted=_omitted(found.images),
        is_patch=found.is_patch,
    )


def namespace_labels_of(part: Namespace | None) -> Labels | None:
    """Return what ``recorded_namespace`` was made of, where nothing was left out."""
    return None if part is None else tuple(sorted(part.labels.items()))


def api_object_of(part: ObjectFacts | None) -> ApiObject | None:
    """Return what ``recorded_object`` was made of, where nothing was left out."""
    if part is None:
        return None
    return ApiObject(
        labels=tuple(sorted(part.labels.items())),
        service_account=part.service_account,
        privileged=part.privileged,
        host_namespaces=part.host_namespaces,
        images=part.images,
        is_patch=part.is_patch,
    )


def _labels(labels: Labels) -> dict[str, str]:
    return {visible(key): visible(value) for key, value in labels[:MAX_ITEMS]}


def _omitted(items: tuple[object, ...]) -> int:
    return max(0, len(items) - MAX_ITEMS)
