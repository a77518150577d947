"""AccessPolicy files to the rules that the engine judges by."""

from collections.abc import Sequence
from pathlib import Path

from kzproxy.config.document import Mistakes, Node, read_documents
from kzproxy.config.policy_contexts import Contexts
from kzproxy.config.policy_match import read_match
from kzproxy.config.policy_names import checked_message, checked_name, filled
from kzproxy.policy.rules import (
    EVERYONE,
    NO_CONDITIONS,
    AccessPolicySet,
    Conditions,
    Effect,
    Rule,
)

API_VERSION = "kzproxy.dev/v1"
KIND = "AccessPolicy"

_ANONYMOUS = ("system:anonymous", "system:unauthenticated")


def load_access_policies(paths: Sequence[Path], mistakes: Mistakes) -> AccessPolicySet:
    """Read the AccessPolicy documents of all files as one policy.

    Networks and time windows may be defined in one file and used in another. If anything is wrong
    the mistakes are recorded and the policy is one without rules, which denies everything.
    """
    before = len(mistakes)
    documents = [_fields(document) for path in paths for document in read_documents(path, mistakes)]
    _check_unique([fields["metadata"] for fields in documents])
    contexts = Contexts()
    for fields in documents:
        if "networks" in fields:
            contexts.define_networks(fields["networks"])
        if "timeWindows" in fields:
            contexts.define_time_windows(fields["timeWindows"])
    rules = _rules([rule for fields in documents for rule in fields["rules"].sequence()], contexts)
    return AccessPolicySet(rules=rules if len(mistakes) == before else ())


def _fields(document: Node) -> dict[str, Node]:
    fields = document.mapping(
        required=("apiVersion", "kind", "metadata", "rules"),
        optional=("networks", "timeWindows"),
    )
    fields["apiVersion"].choice([API_VERSION])
    fields["kind"].choice([KIND])
    return fields


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


def _rules(nodes: Sequence[Node], contexts: Contexts) -> tuple[Rule, ...]:
    places: dict[str, str] = {}
    return tuple(_rule(node, contexts, places) for node in nodes)


def _rule(node: Node, contexts: Contexts, places: dict[str, str]) -> Rule:
    fields = node.mapping(
        required=("id", "effect", "subjects", "match"), optional=("conditions", "message")
    )
    rule_id = checked_name(fields["id"])
    _check_new(fields["id"], rule_id, places, "rule")
    effect = _effect(fields["effect"])
    users, groups = _subjects(fields["subjects"])
    conditions = NO_CONDITIONS
    if "conditions" in fields:
        conditions = _conditions(fields["conditions"], effect, contexts)
    return Rule(
        id=rule_id,
        effect=effect or Effect.DENY,
        users=users,
        groups=groups,
        match=tuple(read_match(item, effect) for item in filled(fields["match"], "a match")),
        conditions=conditions,
        message=checked_message(fields["message"]) if "message" in fields else "",
    )


def _effect(node: Node) -> Effect | None:
    word = node.choice([effect.value for effect in Effect])
    return Effect(word) if word else None


def _subjects(node: Node) -> tuple[frozenset[str], frozenset[str]]:
    fields = node.mapping(optional=("users", "groups"))
    if node.is_mapping() and not fields:
        node.mistake(f"name users or groups; for every signed-in user, groups: [{EVERYONE}]")
    return _names(fields, "users"), _names(fields, "groups")


def _names(fields: dict[str, Node], kind: str) -> frozenset[str]:
    if kind not in fields:
        return frozenset()
    return frozenset(_subject(item) for item in filled(fields[kind], kind))


def _subject(node: Node) -> str:
    name = node.string()
    if "*" in name:
        node.mistake(f"a subject is written out; for every signed-in user, groups: [{EVERYONE}]")
    elif name in _ANONYMOUS:
        node.mistake(f"{name} never comes here: requests without a credential are refused before")
    elif name != name.strip() or not name.isprintable():
        node.mistake("no name begins or ends with a blank or holds a control character")
    return name


def _conditions(node: Node, effect: Effect | None, contexts: Contexts) -> Conditions:
    fields = node.mapping(optional=("networks", "time", "device"))
    if node.is_mapping() and not fields:
        node.mistake("name networks, time or device, or leave conditions out")
    return Conditions(
        networks=contexts.networks(fields["networks"]) if "networks" in fields else (),
        time=contexts.time_windows(fields["time"]) if "time" in fields else (),
        device_enrolled=_device_enrolled(fields["device"], effect) if "device" in fields else None,
    )


def _device_enrolled(node: Node, effect: Effect | None) -> bool:
    enrolled = node.mapping(required=("enrolled",))["enrolled"]
    wanted = enrolled.boolean()
    if effect is Effect.ALLOW and not wanted:
        enrolled.mistake("an allow rule can ask for enrolled: true only")
    if effect is Effect.DENY and wanted:
        enrolled.mistake(
            "a deny rule on enrolled devices is escaped by showing no certificate; write"
            " enrolled: false to deny every device that is not shown to be enrolled"
        )
    return wanted
