"""What stands in policy files, with its places, for tools that speak of the text.

The values that the engine reads have no places and every name in them is resolved, so that nobody
can say any more where something stands or which names nobody used. Both are made of one reading of
the files, so that they cannot differ; nothing is checked here a second time.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from kzproxy.config.access_policy import load_with_documents
from kzproxy.config.document import Mistakes, Node
from kzproxy.policy.rules import AccessPolicySet

# The kinds of subjects that are no people.
WORKLOADS = frozenset({"serviceAccounts", "spiffeIDs"})
SECTIONS = ("networks", "calendars", "tiers", "conditions")


class Place(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """Where something stands: file as the operator named it, line and column from 1."""

    source: str
    line: int
    column: int


class Definition(msgspec.Struct, frozen=True, kw_only=True):
    """A network, calendar, tier or named condition; ``value`` as JSON would hold it."""

    section: str
    name: str
    place: Place
    value: object


class MatchText(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of a ``match``, as written."""

    place: Place
    verbs: tuple[str, ...] = ()
    api_groups: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    namespaces: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    urls: tuple[str, ...] = ()
    selectors: dict[str, object] = msgspec.field(default_factory=dict)


class RuleText(msgspec.Struct, frozen=True, kw_only=True):
    """One rule, as written.

    Attributes:
        subjects: Kind (``users``, ``groups``, ...) and name.
        conditions: Of the field ``conditions``, as JSON would hold it.
        places: Of its fields, by name.
    """

    id: str
    effect: str
    place: Place
    subjects: frozenset[tuple[str, str]]
    matches: tuple[MatchText, ...]
    conditions: dict[str, object]
    when: str
    needs: tuple[str, ...]
    patches: str
    obligations: dict[str, object]
    places: dict[str, Place]

    def at(self, field_name: str) -> Place:
        """Return the place of a field, or of the rule where it has none."""
        return self.places.get(field_name, self.place)


class PolicyText(msgspec.Struct, frozen=True, kw_only=True):
    """All files together: definitions and rules in their order."""

    definitions: tuple[Definition, ...]
    rules: tuple[RuleText, ...]


def load_policy_text(
    paths: Sequence[Path], mistakes: Mistakes
) -> tuple[AccessPolicySet, PolicyText]:
    """Read files as ``load_access_policies`` does, and return what stands in them too.

    Each is read once, so a pipe will do. Where there are mistakes nothing stands in them.
    """
    policies, documents = load_with_documents(paths, mistakes)
    return policies, PolicyText(
        definitions=tuple(found for fields in documents for found in _definitions(fields)),
        rules=tuple(_rule(rule) for fields in documents for rule in fields["rules"].sequence()),
    )


def asked_for(text: PolicyText, word: str) -> list[object]:
    """Return what the lists under ``word`` hold, in all conditions; each once."""
    found: dict[object, None] = {}
    written = [rule.conditions for rule in text.rules]
    for definition in text.definitions:
        if isinstance(definition.value, dict):
            within = definition.value.get("conditions", definition.value)
            written.append(within if isinstance(within, dict) else {})
    for conditions in written:
        listed = conditions.get(word)
        found |= dict.fromkeys(listed if isinstance(listed, list) else [])
    return list(found)


def _fields(node: Node) -> dict[str, Node]:
    return {key.string(): value for key, value in node.entries()}


def _place(node: Node) -> Place:
    return Place(source=node.source, line=node.line, column=node.column)


def _definitions(fields: dict[str, Node]) -> Iterator[Definition]:
    for section in SECTIONS:
        if section not in fields:
            continue
        if section == "tiers":
            yield from (_tier(item) for item in fields[section].sequence())
            continue
        for key, value in fields[section].entries():
            yield Definition(
                section=section, name=key.string(), place=_place(key), value=value.raw()
            )


def _tier(node: Node) -> Definition:
    fields = _fields(node)
    return Definition(
        section="tiers",
        name=str(fields["level"].raw()),
        place=_place(fields["level"]),
        value=node.raw(),
    )


def _rule(node: Node) -> RuleText:
    fields = _fields(node)
    return RuleText(
        id=fields["id"].string(),
        effect=fields["effect"].string(),
        place=_place(fields["id"]),
        subjects=frozenset(
            (kind, name)
            for kind, names in _fields(fields["subjects"]).items()
            for name in names.strings()
        ),
        matches=tuple(_match(item) for item in fields["match"].sequence()),
        conditions=_raw_mapping(fields, "conditions"),
        when=fields["when"].string() if "when" in fields else "",
        needs=fields["needs"].strings() if "needs" in fields else (),
        patches=fields["patches"].string() if "patches" in fields else "",
        obligations=_raw_mapping(fields, "obligations"),
        places={name: _place(value) for name, value in fields.items()},
    )


def _raw_mapping(fields: dict[str, Node], name: str) -> dict[str, object]:
    raw = fields[name].raw() if name in fields else {}
    return raw if isinstance(raw, dict) else {}


def _match(node: Node) -> MatchText:
    fields = _fields(node)

    def words(name: str) -> tuple[str, ...]:
        return fields[name].strings(may_be_empty=True) if name in fields else ()

    return MatchText(
        place=_place(node),
        verbs=words("verbs"),
        api_groups=words("apiGroups"),
        resources=words("resources"),
        namespaces=words("namespaces"),
        names=words("names"),
        urls=words("nonResourceURLs"),
        selectors={
            name: fields[name].raw()
            for name in ("namespaceSelector", "fieldSelector", "labelSelector")
            if name in fields
        },
    )
