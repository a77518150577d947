"""What somebody may do, asked in the words of RBAC, as the requests that policy judges.

A question may be about more than one request: ``*`` and an empty namespace ask for all there is.
Then the answer is yes only where it is yes for each. Nobody can try all; but rules are finite, and
what none of them names is all alike to them: so one made-up name stands for whatever no rule names,
and each deny rule gives an example of what it is about (``Examples``).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import product
from typing import Protocol

from kzproxy.attributes.request_info import RequestInfo
from kzproxy.policy.rules import Match
from kzproxy.policy.vocabulary import (
    ALL,
    CHANGING_VERBS,
    COLLECTION_VERBS,
    CONNECT,
    CONNECT_SUBRESOURCES,
    NODE_PROXY,
    PROXY,
    READING_VERBS,
    URL_VERBS,
    resource_key,
)

KUBE_VERBS = (*READING_VERBS, *CHANGING_VERBS)
"""The verbs that kube-apiserver gives to requests; RBAC knows others, which are no requests."""

MADE_UP = "kzproxy-none"
# A wildcard holds these too, and here they are judged by verbs of their own.
_CONNECTING = (("", "pods/exec"), ("", "pods/proxy"))
# More than anybody's rules give; what is wider than that is not answered with yes.
MAX_REQUESTS = 2000


class TooWide(Exception):
    """A question that stands for more requests than are judged for one."""


class Scope(Protocol):
    """Says what the cluster serves."""

    def is_namespaced(self, group: str, resource: str) -> bool:
        """Whether its objects are in namespaces; true where nobody can tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One question about a resource, or about a path where ``path`` is set.

    Attributes:
        verb: Of RBAC, or ``*``.
        api_group: ``*`` for all.
        resource: ``pods``, ``pods/log``, ``pods/*``, ``*/scale`` or ``*``.
        namespace: Empty for all, and for what has none.
        name: Empty for all.
        path: A ``*`` at its end stands for any rest.
    """

    verb: str
    api_group: str = ""
    api_version: str = ""
    resource: str = ""
    namespace: str = ""
    name: str = ""
    label_selector: str = ""
    field_selector: str = ""
    path: str = ""

    @property
    def is_judged(self) -> bool:
        """Whether any request has this verb; ``use``, ``bind`` and others are asked in between."""
        return bool(self.path) or self.verb in KUBE_VERBS or self.verb == ALL

    @property
    def is_wide(self) -> bool:
        """Whether ``*`` stands anywhere in it."""
        return ALL in (self.verb, self.api_group) or ALL in self.resource or ALL in self.path


@dataclass(frozen=True, slots=True, kw_only=True)
class Examples:
    """One of each kind of thing that deny rules name.

    Attributes:
        resources: Group and resource.
        namespaces: That rules deny something in.
        paths: Of URLs.
    """

    resources: tuple[tuple[str, str], ...] = ()
    namespaces: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()

    @classmethod
    def of(cls, matches: Iterable[Match]) -> "Examples":
        """Take them from the ``match`` entries of deny rules."""
        resources: dict[tuple[str, str], None] = {}
        namespaces: dict[str, None] = {}
        paths: dict[str, None] = {}
        for match in matches:
            kinds = product(sorted(match.api_groups), sorted(map(resource_key, match.resources)))
            resources |= dict.fromkeys((_example(group), _example(kind)) for group, kind in kinds)
            namespaces |= dict.fromkeys(map(_example, match.namespaces))
            paths |= dict.fromkeys(map(_example, sorted(match.non_resource_urls)))
        return cls(resources=tuple(resources), namespaces=tuple(namespaces), paths=tuple(paths))


def requests_of(question: Question, examples: Examples, scope: Scope) -> Iterator[RequestInfo]:
    """Return requests that are all permitted only where all that is asked is.

    Raises:
        TooWide: They are more than ``MAX_REQUESTS``.
    """
    made = _on_paths(question, examples) if question.path else _on(question, examples, scope)
    for number, request in enumerate(made):
        if number >= MAX_REQUESTS:
            raise TooWide
        yield request


def _on_paths(question: Question, examples: Examples) -> Iterator[RequestInfo]:
    verbs = URL_VERBS if question.verb == ALL else (question.verb.lower(),)
    for verb, path in product(verbs, dict.fromkeys(_paths(question.path, examples))):
        yield RequestInfo(
            method=verb.upper(),
            target=path,
            path=path,
            is_resource=False,
            verb=verb,
            kube_verb=verb,
        )


def _paths(path: str, examples: Examples) -> Iterator[str]:
    if not path.endswith(ALL):
        yield path
        return
    front = path.removesuffix(ALL)
    yield from (front + MADE_UP, front or "/")
    yield from (each for each in examples.paths if each.startswith(front))


def _on(question: Question, examples: Examples, scope: Scope) -> Iterator[RequestInfo]:
    verbs = KUBE_VERBS if question.verb == ALL else (question.verb,)
    for group, resource in dict.fromkeys(_resources(question, examples)):
        is_namespaced = scope.is_namespaced(group, resource.partition("/")[0])
        narrowed = replace(question, api_group=group, resource=resource)
        for verb in verbs:
            for namespace in _namespaces(question, verb, examples, is_namespaced=is_namespaced):
                yield _request(replace(narrowed, verb=verb, namespace=namespace))


def _resources(question: Question, examples: Examples) -> Iterator[tuple[str, str]]:
    yield _example(question.api_group), _example(question.resource)
    if ALL not in question.api_group + question.resource:
        return
    for group, resource in (*_CONNECTING, *examples.resources):
        covered = question.api_group in (ALL, group) and holds_resource(question.resource, resource)
        if covered and resource != NODE_PROXY:
            yield group, resource


def holds_resource(pattern: str, resource: str) -> bool:
    """Whether a pattern of RBAC or of a rule, with ``*`` for whole words, names ``resource``."""
    if resource_key(pattern) == ALL or pattern == resource:
        return True
    kind, _, subresource = pattern.partition("/")
    asked_kind, _, asked_subresource = resource.partition("/")
    if not subresource or not asked_subresource:
        return False
    return kind in (ALL, asked_kind) and subresource in (ALL, asked_subresource)


def _namespaces(
    question: Question, verb: str, examples: Examples, *, is_namespaced: bool
) -> tuple[str, ...]:
    if not is_namespaced:
        # To kube-apiserver the namespace prod is an object in namespace prod.
        in_itself = question.api_group == "" and question.resource.startswith("namespaces")
        return (question.name,) if in_itself and question.name else ("",)
    if question.namespace or verb in COLLECTION_VERBS:
        return (question.namespace,)
    return tuple(dict.fromkeys(("", MADE_UP, *examples.namespaces)))


def _request(question: Question) -> RequestInfo:
    resource, _, subresource = question.resource.partition("/")
    has_selectors = question.verb in COLLECTION_VERBS
    return RequestInfo(
        method="",
        target="",
        path="",
        is_resource=True,
        verb=_judged_verb(question.verb, subresource),
        kube_verb=question.verb,
        api_group=question.api_group,
        api_version=question.api_version,
        namespace=question.namespace,
        resource=resource,
        subresource=subresource,
        name=question.name,
        label_selector=question.label_selector if has_selectors else "",
        field_selector=question.field_selector if has_selectors else "",
    )


def _judged_verb(verb: str, subresource: str) -> str:
    if subresource in CONNECT_SUBRESOURCES:
        return CONNECT
    return PROXY if subresource == PROXY else verb


def _example(pattern: str) -> str:
    return pattern.replace(ALL, MADE_UP)
