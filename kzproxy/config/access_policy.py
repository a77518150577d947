"""AccessPolicy files to the rules that the engine judges by."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from kzproxy.config.document import Mistakes, Node, read_documents
from kzproxy.config.policy_conditions import Reader
from kzproxy.config.policy_contexts import Contexts
from kzproxy.config.policy_match import read_match
from kzproxy.config.policy_names import checked_message, checked_name, filled
from kzproxy.config.policy_obligations import read_obligations
from kzproxy.config.policy_subjects import read_subjects
from kzproxy.policy.object_requests import may_have_object
from kzproxy.policy.obligations import NO_OBLIGATIONS
from kzproxy.policy.rules import NO_CONDITIONS, AccessPolicySet, Conditions, Effect, Rule

if TYPE_CHECKING:
    from kzproxy.policy.expression import Expression

API_VERSION = "kzproxy.dev/v1"
KIND = "AccessPolicy"
_TEST_KIND = "PolicyTest"
_FIELDS = ("apiVersion", "kind", "metadata", "rules")

_NO_OBJECT = (
    "no request that this rule reaches has an object to look at: that is what a create, update or"
    " patch is to write, or the pod that is read, deleted or entered; leave out needs and what asks"
    " for the object, or name other verbs"
)


def load_access_policies(paths: Sequence[Path], mistakes: Mistakes) -> AccessPolicySet:
    """Read the AccessPolicy documents of all files as one policy.

    Networks, calendars, conditions and tiers may be defined in one file and used in another, the
    latter two after they are defined. If anything is wrong the mistakes are recorded and the policy
    is one without rules, which denies everything.
    """
    return load_with_documents(paths, mistakes)[0]


def load_with_documents(
    paths: Sequence[Path], mistakes: Mistakes
) -> tuple[AccessPolicySet, list[dict[str, Node]]]:
    """Do as ``load_access_policies`` does, and return the fields of each document too.

    For who speaks of the text: a second reading may be another text, and of a pipe it is none. No
    document comes back where a mistake was recorded.
    """
    before = len(mistakes)
    documents = [_fields(document) for path in paths for document in read_documents(path, mistakes)]
    _check_unique([fields["metadata"] for fields in documents])
    reader = Reader(Contexts(), {}, {})
    _define(documents, reader)
    nodes = [rule for fields in documents for rule in fields["rules"].sequence()]
    rules = _rules(nodes, reader)
    if len(mistakes) > before:
        return AccessPolicySet(rules=()), []
    policies = AccessPolicySet(
        rules=rules,
        networks=reader.contexts.all_networks,
        calendars=reader.contexts.all_calendars,
        tiers=tuple(tier for _, tier in sorted(reader.tiers.items())),
        conditions=tuple(reader.named.values()),
    )
    return policies, documents


def _fields(document: Node) -> dict[str, Node]:
    if _is_test(document):
        document.mistake(
            "is a PolicyTest and no policy; `kzproxy policy test` takes it, leave it out"
        )
        return dict.fromkeys(_FIELDS, Node(None, document.source, Mistakes()))
    fields = document.mapping(
        required=_FIELDS, optional=("networks", "calendars", "conditions", "tiers")
    )
    fields["apiVersion"].choice([API_VERSION])
    fields["kind"].choice([KIND])
    return fields


def _is_test(document: Node) -> bool:
    """Whether it holds cases, which stand beside policies: policies/*.yaml names both."""
    return document.is_mapping() and any(
        key.string() == "kind" and value.is_text() and value.string(may_be_empty=True) == _TEST_KIND
        for key, value in document.entries()
    )


def _define(documents: Sequence[dict[str, Node]], reader: Reader) -> None:
    for fields in documents:
        if "networks" in fields:
            reader.contexts.define_networks(fields["networks"])
        if "calendars" in fields:
            reader.contexts.define_calendars(fields["calendars"])
    reader.name_tiers([fields["tiers"] for fields in documents if "tiers" in fields])
    for fields in documents:
        for key, value in fields["conditions"].entries() if "conditions" in fields else []:
            reader.define_condition(key, value)
    for fields in documents:
        for node in filled(fields["tiers"], "tiers") if "tiers" in fields else []:
            reader.define_tier(node)


def _check_unique(metadata: Sequence[Node]) -> None:
    places: dict[str, str] = {}
    for node in metadata:
        name = node.mapping(required=("name",))["name"]
        _check_new(name, checked_name(name), places, "policy")


def _check_new(node: Node, name: str, places: dict[str, str], what: str) -> None:
    """Record a mistake if the name was used before; ``places`` holds where."""
    if name in places:
        node.mistake(f"{what} {name} is already at {places[name]}; choose another name")
    elif name:
        places[name] = f"{node.source}:{node.line}"


def _rules(nodes: Sequence[Node], reader: Reader) -> tuple[Rule, ...]:
    places: dict[str, str] = {}
    return tuple(_rule(node, reader, places) for node in nodes)


def _rule(node: Node, reader: Reader, places: dict[str, str]) -> Rule:
    fields = node.mapping(
        required=("id", "effect", "subjects", "match"),
        optional=("conditions", "when", "needs", "patches", "obligations", "message"),
    )
    rule_id = checked_name(fields["id"])
    _check_new(fields["id"], rule_id, places, "rule")
    effect = _effect(fields["effect"])
    subjects = read_subjects(fields["subjects"])
    conditions = NO_CONDITIONS
    if "conditions" in fields:
        conditions = reader.conditions(fields["conditions"], effect)
    when = reader.expression(fields["when"]) if "when" in fields else None
    matches = tuple(read_match(item, effect) for item in filled(fields["match"], "a match"))
    _check_needs(node, fields, asks=_asks_for_object(conditions, when, reader))
    if "needs" in fields and matches and not any(may_have_object(match) for match in matches):
        fields["needs"].mistake(_NO_OBJECT)
    obligations = NO_OBLIGATIONS
    if "obligations" in fields:
        obligations = read_obligations(fields["obligations"], effect)
    return Rule(
        id=rule_id,
        effect=effect or Effect.DENY,
        users=subjects.users,
        groups=subjects.groups,
        spiffe_ids=subjects.spiffe_ids,
        match=matches,
        conditions=conditions,
        when=when,
        patches_allowed="patches" in fields and fields["patches"].choice(["allow"]) == "allow",
        obligations=obligations,
        message=checked_message(fields["message"]) if "message" in fields else "",
    )


def _effect(node: Node) -> Effect | None:
    word = node.choice([effect.value for effect in Effect])
    return Effect(word) if word else None


def _asks_for_object(conditions: Conditions, when: "Expression | None", reader: Reader) -> bool:
    """Whether the object is asked for, by whatever stands behind a name too."""
    if conditions.api_object is not None or (when is not None and when.needs_object):
        return True
    names = {*conditions.all_of, *conditions.any_of, *conditions.none_of}
    names |= when.conditions if when is not None else frozenset()
    named = (reader.named[name] for name in names if name in reader.named)
    return any(_asks_for_object(each.conditions, each.when, reader) for each in named)


def _check_needs(node: Node, fields: dict[str, Node], *, asks: bool) -> None:
    """See to it that a rule says that bodies are read and pods fetched for it."""
    needs = (
        {item.choice(["object"]) for item in filled(fields["needs"], "needs")}
        if ("needs" in fields)
        else set()
    )
    if asks and "object" not in needs:
        node.mistake("the rule looks at the object; say so with needs: [object]")
    if "object" in needs and not asks:
        fields["needs"].mistake("no condition looks at the object; leave needs out")
    if "patches" in fields and not asks:
        fields["patches"].mistake("patches matter only where the object is looked at")
