"""Label selectors as Kubernetes writes them (LabelSelector of apimachinery meta/v1)."""

from collections.abc import Iterator

from kzproxy.config.document import Node
from kzproxy.config.policy_names import filled
from kzproxy.policy.selectors import LabelRequirement, LabelSelector, Operator, equalities

_WITH_VALUES = (Operator.IN, Operator.NOT_IN)


def read_label_selector(node: Node) -> LabelSelector:
    """Read ``matchLabels`` and ``matchExpressions``; an empty selector is a mistake."""
    fields = node.mapping(optional=("matchLabels", "matchExpressions"))
    found = [*_labels(fields), *_expressions(fields)]
    if node.is_mapping() and not found:
        node.mistake("an empty selector selects everything; leave it out")
    return LabelSelector(requirements=tuple(found))


def _labels(fields: dict[str, Node]) -> Iterator[LabelRequirement]:
    if "matchLabels" not in fields:
        return
    for key, value in fields["matchLabels"].entries():
        values = frozenset({value.string(may_be_empty=True)})
        yield LabelRequirement(key=key.string(), operator=Operator.IN, values=values)


def _expressions(fields: dict[str, Node]) -> Iterator[LabelRequirement]:
    for item in (
        filled(fields["matchExpressions"], "expressions") if ("matchExpressions" in fields) else []
    ):
        parts = item.mapping(required=("key", "operator"), optional=("values",))
        word = parts["operator"].choice([each.value for each in Operator])
        operator = Operator(word) if word else Operator.IN
        values = frozenset(
            each.string(may_be_empty=True)
            for each in (filled(parts["values"], "values") if "values" in parts else [])
        )
        if bool(values) is not (operator in _WITH_VALUES):
            item.mistake("In and NotIn have values; Exists and DoesNotExist have none")
        yield LabelRequirement(key=parts["key"].string(), operator=operator, values=values)


def read_equalities(node: Node) -> frozenset[tuple[str, str]]:
    """Read what a request's own selector must ask for: ``a=b,c=d``."""
    text = node.string()
    found = equalities(text) if text else frozenset()
    if found is None:
        node.mistake(f'"{text}" must be equalities, such as "team=payments" or "a=b,c=d"')
        return frozenset()
    return found
