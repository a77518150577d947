"""The part of the policy's schema that says what a rule reaches."""

from kzproxy.config.json_schema import (
    Schema,
    any_text,
    choice,
    filled_list,
    mapping,
    text,
    within,
    without,
)
from kzproxy.config.policy_match import (
    EXCEPT,
    GROUP,
    NAMESPACE,
    OBJECT_NAME,
    RESOURCE,
    RESOURCE_FIELDS,
    VERSION,
)
from kzproxy.policy.selectors import Operator
from kzproxy.policy.vocabulary import ALL, COLLECTION_VERBS, RESOURCE_VERBS, URL_VERBS

_VERBS = list(dict.fromkeys((*RESOURCE_VERBS, *URL_VERBS, ALL)))
_WITH_VALUES = [Operator.IN.value, Operator.NOT_IN.value]
_EQUALITY = r"\s*[^\s=!(),]+\s*==?\s*[^\s=!(),]*\s*"
_EQUALITIES = f"{_EQUALITY}(?:,{_EQUALITY})*"
# Visible ASCII without # % * ? and \, and nothing that is a resource or has an empty segment.
_URL = (
    r"\*|(?!.*//)(?!/api/[^/]*/.|/apis/[^/]*/[^/]*/.)"
    r'/[!"$&-)+->@-\[\]-~]*\*?'
)
_GROUP_ALONE = rf"(?!(?:{VERSION.pattern}|core)$)(?:{GROUP.pattern})"
_NAME = rf"(?!.*[/%?\[\]])(?:{OBJECT_NAME.pattern})"


def _words(description: str, pattern: str) -> Schema:
    return filled_list(description, {"type": "string", "pattern": f"^(?:{pattern})$"})


LABEL_SELECTOR = mapping(
    "A label selector, as Kubernetes writes it.",
    {
        "matchLabels": {
            "type": "object",
            "description": "Labels and their values.",
            "additionalProperties": any_text("The value."),
        },
        "matchExpressions": filled_list(
            "Requirements, all of which must be met.",
            mapping(
                "A requirement.",
                {
                    "key": text("Of the label."),
                    "operator": choice("How it is asked for.", [each.value for each in Operator]),
                    "values": filled_list("For In and NotIn.", any_text("A value.")),
                },
                ["key", "operator"],
                **{
                    "if": {"properties": {"operator": {"enum": _WITH_VALUES}}},
                    "then": {"required": ["values"]},
                    "else": {"properties": without("values")},
                },
            ),
        ),
    },
    anyOf=[
        {"required": ["matchExpressions"]},
        {"required": ["matchLabels"], "properties": {"matchLabels": {"minProperties": 1}}},
    ],
)

MATCH = mapping(
    "Either resources, or other URLs.",
    {
        "verbs": filled_list(
            "Of resources, or the HTTP method of other URLs in lower case.",
            choice("exec, attach and port-forward are connect.", _VERBS),
        ),
        "apiGroups": _words('Without version; "" is the core group.', _GROUP_ALONE),
        "resources": {
            **_words(
                "Plurals, as pods, pods/log, pods/*, */scale, *; !secrets leaves secrets out.",
                f"{EXCEPT}?(?:{RESOURCE.pattern})",
            ),
            "contains": {"pattern": f"^[^{EXCEPT}]"},
        },
        "namespaces": _words("Names; * stands for any characters.", NAMESPACE.pattern),
        "names": _words("Of objects; * stands for any characters.", _NAME),
        "namespaceSelector": {"$ref": "#/definitions/labels"},
        "labelSelector": text("What a list must ask for: team=a,tier=b.", _EQUALITIES),
        "fieldSelector": text("What a list must ask for: spec.nodeName=n.", _EQUALITIES),
        "nonResourceURLs": _words("Paths; a * at the end stands for any rest.", _URL),
    },
    ["verbs"],
    allOf=[
        {
            "if": {"required": ["nonResourceURLs"]},
            "then": {
                "properties": {"verbs": within([*URL_VERBS, ALL]), **without(*RESOURCE_FIELDS)}
            },
            "else": {
                "required": ["apiGroups", "resources"],
                "properties": {"verbs": within([*RESOURCE_VERBS, ALL])},
            },
        },
        {
            "if": {"anyOf": [{"required": ["labelSelector"]}, {"required": ["fieldSelector"]}]},
            "then": {"properties": {"verbs": within(sorted(COLLECTION_VERBS))}},
        },
    ],
)
