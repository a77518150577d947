"""What is left of RBAC's rules where policy judges too, written as rules of RBAC again.

A SelfSubjectRulesReview lists rules. Each is taken apart into its smallest statements; one that
policy permits in full stays as it is, another is narrowed to what the cluster serves, and of that
stays what is permitted.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import product
from typing import Protocol

import msgspec
from msgspec.structs import replace

from kzproxy.policy.question import KUBE_VERBS, Question, holds_resource
from kzproxy.policy.vocabulary import ALL


class ServedResource(msgspec.Struct, frozen=True, kw_only=True):
    """A resource or subresource that the cluster serves.

    Attributes:
        resource: ``pods`` or ``pods/log``.
        verbs: As its discovery lists them.
    """

    group: str
    resource: str
    is_namespaced: bool
    verbs: tuple[str, ...]


class Catalogue(Protocol):
    """What the cluster serves."""

    @property
    def served(self) -> Sequence[ServedResource]:
        """Everything."""

    def is_namespaced(self, group: str, resource: str) -> bool:
        """Whether its objects are in namespaces; true where nobody can tell."""


def statements(rule: Mapping[str, object], namespace: str) -> Iterator[Question]:
    """Take one rule of ``resourceRules`` or ``nonResourceRules`` apart.

    What is not a list of texts there is left out: it grants nothing.
    """
    verbs = _texts(rule, "verbs")
    for verb, path in product(verbs, _texts(rule, "nonResourceURLs")):
        yield Question(verb=verb, path=path)
    names = _texts(rule, "resourceNames") or ("",)
    kinds = product(_texts(rule, "apiGroups"), _texts(rule, "resources"))
    for (group, resource), verb, name in product(kinds, verbs, names):
        yield Question(
            verb=verb, api_group=group, resource=resource, name=name, namespace=namespace
        )


def narrowed(statement: Question, catalogue: Catalogue, paths: Iterable[str]) -> Iterator[Question]:
    """Return narrower statements that together say what can be told of a wide one.

    Args:
        statement: Has a ``*``.
        catalogue: What the cluster serves.
        paths: That allow rules name.
    """
    if statement.path:
        yield from _narrower_paths(statement, paths)
        return
    for each in catalogue.served:
        if statement.api_group not in (ALL, each.group):
            continue
        if not holds_resource(statement.resource, each.resource):
            continue
        verbs = each.verbs if statement.verb == ALL else (statement.verb,)
        for verb in verbs:
            if verb in each.verbs:
                yield replace(statement, verb=verb, api_group=each.group, resource=each.resource)


def _narrower_paths(statement: Question, paths: Iterable[str]) -> Iterator[Question]:
    front = statement.path.removesuffix(ALL)
    is_wide = statement.path.endswith(ALL)
    for path in paths:
        if is_wide and path.startswith(front) and path != statement.path:
            yield replace(statement, path=path)


def in_the_right_place(statement: Question, catalogue: Catalogue) -> Question:
    """Return the statement without its namespace, where the resource has none."""
    kind = statement.resource.partition("/")[0]
    if statement.path or ALL in statement.api_group + kind:
        return statement
    if catalogue.is_namespaced(statement.api_group, kind):
        return statement
    return replace(statement, namespace="")


def named(statement: Question, names: Iterable[str]) -> list[Question]:
    """Return the statement for each of the objects that rules name; none where it names one."""
    if statement.path or statement.name or statement.is_wide:
        return []
    return [replace(statement, name=name) for name in names]


def resource_rules(held: Iterable[Question]) -> list[dict[str, list[str]]]:
    """Write statements on resources as ``resourceRules``, alike ones together."""
    verbs: dict[tuple[str, str, str], dict[str, None]] = defaultdict(dict)
    for each in held:
        if not each.path:
            verbs[each.api_group, each.resource, each.name][each.verb] = None
    alike: dict[tuple[str, str, tuple[str, ...]], dict[str, None]] = defaultdict(dict)
    for (group, resource, name), found in verbs.items():
        alike[group, name, _ordered(found)][resource] = None
    rules = []
    for (group, name, found_verbs), resources in alike.items():
        rule = {"verbs": list(found_verbs), "apiGroups": [group], "resources": list(resources)}
        rules.append(rule | ({"resourceNames": [name]} if name else {}))
    return rules


def url_rules(held: Iterable[Question]) -> list[dict[str, list[str]]]:
    """Write statements on paths as ``nonResourceRules``, alike ones together."""
    verbs: dict[str, dict[str, None]] = defaultdict(dict)
    for each in held:
        if each.path:
            verbs[each.path][each.verb] = None
    alike: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for path, found in verbs.items():
        alike[tuple(found)].append(path)
    return [{"verbs": list(found), "nonResourceURLs": paths} for found, paths in alike.items()]


def _ordered(verbs: Iterable[str]) -> tuple[str, ...]:
    known = [verb for verb in (ALL, *KUBE_VERBS) if verb in verbs]
    return (*known, *(verb for verb in verbs if verb not in known))


def _texts(rule: Mapping[str, object], key: str) -> tuple[str, ...]:
    value = rule.get(key)
    if not isinstance(value, list):
        return ()
    return tuple(each for each in value if isinstance(each, str))
