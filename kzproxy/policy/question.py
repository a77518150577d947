"""What somebody may do, asked in the words of RBAC, as the requests that policy judges.

A question may be about more than one request: ``*`` and an empty namespace ask for all there is.
Then the answer is yes only where it is yes for each. Nobody can try all; but rules are finite, and
what none of them names is all alike to them: so one made-up name stands for whatever no rule names,
and each rule gives examples of what it denies or leaves out (``Examples``).
"""

from collections.abc import Iterable, Iterator
from itertools import product
from typing import Protocol

import msgspec
from msgspec.structs import replace

from kzproxy.attributes.request_info import RequestInfo
from kzproxy.policy.examples import MADE_UP, Examples, example, in_both, in_both_resources
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

# A wildcard holds these too, and here they are judged by verbs of their own.
_CONNECTING = tuple(
    ("", resource)
    for resource in (
        *(f"pods/{each}" for each in CONNECT_SUBRESOURCES),
        "pods/proxy",
        "services/proxy",
    )
)
_IMPERSONATION = ("impersonate", "impersonate-on")
# More than anybody's rules give; what is wider than that is not answered with yes.
MAX_REQUESTS = 2000


class TooWide(Exception):
    """A question that stands for more requests than are judged for one."""


class Scope(Protocol):
    """Says what the cluster serves."""

    def is_namespaced(self, group: str, resource: str) -> bool:
        """Whether its objects are in namespaces; true where nobody can tell."""


class Question(msgspec.Struct, frozen=True, kw_only=True):
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
    def is_misspelt(self) -> bool:
        """Whether a verb is meant that is judged, in policy's words or in capital letters.

        RBAC says yes to such a verb where it says yes to ``*``.
        """
        meant = self.verb.lower() in KUBE_VERBS or self.verb.lower() in (CONNECT, PROXY)
        return meant and not self.is_judged

    @property
    def is_impersonation(self) -> bool:
        """Whether acting as somebody else is meant, also as Kubernetes 1.36 asks for it (KEP-5284).

        There ``impersonate:MODE`` says as whom and ``impersonate-on:MODE:VERB`` at what.
        """
        return self.verb.lower().partition(":")[0] in _IMPERSONATION

    @property
    def is_wide(self) -> bool:
        """Whether ``*`` stands anywhere in it."""
        return ALL in (self.verb, self.api_group) or ALL in self.resource or ALL in self.path


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
        for verb in verbs:
            asked = replace(question, verb=verb, api_group=group, resource=resource)
            for namespace, name in _places(asked, examples, is_namespaced=is_namespaced):
                yield _request(replace(asked, namespace=namespace, name=name))


def _resources(question: Question, examples: Examples) -> Iterator[tuple[str, str]]:
    yield example(question.api_group), example(question.resource)
    if ALL not in question.api_group + question.resource:
        return
    for group, resource in (*_CONNECTING, *examples.resources):
        both = in_both(question.api_group, group), in_both_resources(question.resource, resource)
        if both[0] is not None and both[1] is not None and both[1] != NODE_PROXY:
            yield example(both[0]), example(both[1])


def holds_resource(pattern: str, resource: str) -> bool:
    """Whether a pattern of RBAC or of a rule, with ``*`` for whole words, names ``resource``."""
    if resource_key(pattern) == ALL or pattern == resource:
        return True
    kind, _, subresource = pattern.partition("/")
    asked_kind, _, asked_subresource = resource.partition("/")
    if not subresource or not asked_subresource:
        return False
    return kind in (ALL, asked_kind) and subresource in (ALL, asked_subresource)


def _places(
    question: Question, examples: Examples, *, is_namespaced: bool
) -> Iterator[tuple[str, str]]:
    """Return the namespaces and names that a question of one verb and resource is about."""
    kind, _, subresource = question.resource.partition("/")
    is_of_many = question.verb in COLLECTION_VERBS
    # The name of what is created stands in its body, and many are not asked for by one.
    is_nameless = question.verb == "deletecollection" or (
        question.verb == "create" and not subresource
    )
    name = "" if is_nameless else question.name
    namespaces: Iterable[str] = ("", MADE_UP, *examples.namespaces)
    if (question.api_group, kind) == ("", "namespaces") and not is_namespaced:
        # To kube-apiserver the namespace prod is an object in namespace prod.
        namespaces = ("",) if is_of_many or is_nameless else namespaces
        yield from ((each, each) for each in ((name,) if name else dict.fromkeys(namespaces)))
        return
    if question.namespace or is_of_many or not is_namespaced:
        namespaces = (question.namespace if is_namespaced else "",)
    names = (name,) if name or is_of_many or is_nameless else ("", *examples.names)
    yield from product(dict.fromkeys(namespaces), dict.fromkeys(names))


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
