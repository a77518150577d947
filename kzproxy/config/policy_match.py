"""The ``match`` of a rule: what may be written, and what could never match.

A rule that cannot match is a mistake even in an allow rule: whoever wrote it means something else.
"""

import re
from collections.abc import Callable

from kzproxy.config.document import Node, did_you_mean
from kzproxy.config.policy_names import filled
from kzproxy.config.policy_selectors import read_equalities, read_label_selector
from kzproxy.policy.rules import Effect, Match
from kzproxy.policy.vocabulary import (
    ALL,
    CHECKED_VERBS,
    COLLECTION_VERBS,
    RESOURCE_VERBS,
    URL_VERBS,
    misused_verbs,
    verbs_left_open,
)

_SELECTORS = ("labelSelector", "fieldSelector")
RESOURCE_FIELDS = (
    "apiGroups",
    "resources",
    "namespaces",
    "names",
    "namespaceSelector",
    *_SELECTORS,
)
EXCEPT = "!"
"""Before a resource that a match leaves out."""

_SEGMENT = r"[a-z0-9]([-a-z0-9_.]*[a-z0-9])?"
RESOURCE = re.compile(rf"\*|({_SEGMENT}|\*)/({_SEGMENT}|\*)|{_SEGMENT}")
GROUP = re.compile(r"\*?|[a-z0-9]([-a-z0-9.]*[a-z0-9])?")
VERSION = re.compile(r"v[0-9]+((alpha|beta)[0-9]+)?")
NAMESPACE = re.compile(r"[-a-z0-9*]{1,63}")
OBJECT_NAME = re.compile(r"[!-~]{1,253}")
NOT_IN_NAMES = "/%?[]"
_METHOD_VERBS = {"post": "create", "put": "update", "head": "get", "options": "nothing"}


def read_match(node: Node, effect: Effect | None) -> Match:
    """Read one entry of ``match``.

    Args:
        node: The entry.
        effect: Of the rule; None where that is itself a mistake.
    """
    fields = node.mapping(required=("verbs",), optional=(*RESOURCE_FIELDS, "nonResourceURLs"))
    if "nonResourceURLs" in fields:
        return _url_match(node, fields)
    return _resource_match(node, fields, effect)


def _url_match(node: Node, fields: dict[str, Node]) -> Match:
    mixed = [name for name in RESOURCE_FIELDS if name in fields]
    if mixed:
        node.mistake(f"nonResourceURLs and {', '.join(mixed)} need entries of their own")
    return Match(
        verbs=frozenset(_words(fields["verbs"], "verbs", _wrong_url_verb)),
        non_resource_urls=frozenset(_words(fields["nonResourceURLs"], "URLs", _wrong_url)),
    )


def _resource_match(node: Node, fields: dict[str, Node], effect: Effect | None) -> Match:
    missing = [name for name in ("apiGroups", "resources") if name not in fields]
    if missing:
        node.mistake(
            f"{' and '.join(missing)} must be set here: name resources and their apiGroups"
            ' ("" is the core group), or nonResourceURLs'
        )
    verbs = _words(fields["verbs"], "verbs", _wrong_resource_verb)
    resources = _optional_words(fields, "resources", _wrong_resource)
    if "resources" in fields:
        _check_verbs(fields["resources"], verbs, effect)
        if resources and all(pattern.startswith(EXCEPT) for pattern in resources):
            fields["resources"].mistake('what is left out needs something it is left out of: "*"')
    for name in _SELECTORS:
        if name in fields:
            _check_selector(fields[name], verbs, effect)
    return Match(
        verbs=frozenset(verbs),
        api_groups=frozenset(_optional_words(fields, "apiGroups", _wrong_group)),
        resources=frozenset(each for each in resources if not each.startswith(EXCEPT)),
        excluded_resources=frozenset(
            each.removeprefix(EXCEPT) for each in resources if each.startswith(EXCEPT)
        ),
        namespaces=_optional_words(fields, "namespaces", _wrong_namespace),
        names=_optional_words(fields, "names", _wrong_name),
        namespace_selector=read_label_selector(fields["namespaceSelector"])
        if "namespaceSelector" in fields
        else None,
        label_equalities=_equalities(fields, "labelSelector"),
        field_equalities=_equalities(fields, "fieldSelector"),
    )


def _equalities(fields: dict[str, Node], name: str) -> frozenset[tuple[str, str]]:
    return read_equalities(fields[name]) if name in fields else frozenset()


def _check_selector(node: Node, verbs: tuple[str, ...], effect: Effect | None) -> None:
    if effect is Effect.DENY:
        node.mistake("a deny rule on selectors is escaped by asking without; leave it out")
    elif not verbs or not COLLECTION_VERBS.issuperset(verbs):
        node.mistake(
            "only list, watch and deletecollection have selectors; give other verbs an entry of"
            " their own"
        )


def _check_verbs(resources: Node, verbs: tuple[str, ...], effect: Effect | None) -> None:
    known = [verb for verb in verbs if verb in RESOURCE_VERBS or verb == ALL]
    for item in resources.sequence():
        pattern = item.string(may_be_empty=True)
        if pattern.startswith(EXCEPT):
            continue
        wrong = misused_verbs(known, pattern) if RESOURCE.fullmatch(pattern) else ""
        if not wrong and effect is Effect.DENY:
            wrong = verbs_left_open(known, pattern)
        if wrong:
            item.mistake(wrong)


def _optional_words(
    fields: dict[str, Node], name: str, wrong: Callable[[str], str]
) -> tuple[str, ...]:
    return _words(fields[name], name, wrong) if name in fields else ()


def _words(node: Node, what: str, wrong: Callable[[str], str]) -> tuple[str, ...]:
    """Return the texts of a filled list; ``wrong`` says what is wrong with one, if anything."""
    words: list[str] = []
    for item in filled(node, what):
        if item.is_text():
            word = item.string(may_be_empty=True)
            message = wrong(word)
            if message:
                item.mistake(message)
            words.append(word)
        else:
            item.string()
    return tuple(words)


def _wrong_resource_verb(verb: str) -> str:
    if verb in RESOURCE_VERBS or verb == ALL:
        return ""
    allowed = f"allowed: {', '.join(RESOURCE_VERBS)}, *"
    if verb.partition(":")[0].partition("-")[0] in CHECKED_VERBS:
        return (
            f"{verb} is a verb that kube-apiserver checks by RBAC while it serves a request; no"
            f" request has it as its own; {allowed}"
        )
    meant = _METHOD_VERBS.get(verb.lower(), verb.lower())
    hint = did_you_mean(meant, RESOURCE_VERBS)
    return f'"{verb}" is no verb of a resource request{hint}; {allowed}'


def _wrong_url_verb(verb: str) -> str:
    if verb in URL_VERBS or verb == ALL:
        return ""
    hint = did_you_mean(verb.lower(), URL_VERBS)
    return (
        f'"{verb}" is no verb of a request outside the resources, which has its HTTP method in'
        f" lower case{hint}; allowed: {', '.join(URL_VERBS)}, *"
    )


def _wrong_resource(pattern: str) -> str:
    if RESOURCE.fullmatch(pattern.removeprefix(EXCEPT)):
        return ""
    return (
        f'"{pattern}" is no resource: write the plural in lower case as `kubectl api-resources`'
        " shows it (pods, pods/log, pods/*, */scale, *); * stands for a whole word only"
    )


def _wrong_group(group: str) -> str:
    if "/" in group or VERSION.fullmatch(group):
        return f'"{group}" holds a version; write the group alone, "" for the core group'
    if group == "core":
        return 'the core group is written ""'
    if not GROUP.fullmatch(group):
        return f'"{group}" is no API group, such as "", apps or rbac.authorization.k8s.io, or *'
    return ""


def _wrong_namespace(pattern: str) -> str:
    if not pattern:
        return "a namespace has a name; leave namespaces out to ask for none"
    if not NAMESPACE.fullmatch(pattern):
        return (
            f'"{pattern}" is no namespace: lower-case letters, digits and "-", and * for any'
            " characters"
        )
    return ""


def _wrong_name(pattern: str) -> str:
    if OBJECT_NAME.fullmatch(pattern) and not any(c in NOT_IN_NAMES for c in pattern):
        return ""
    return f'"{pattern}" is no name of an object; * stands for any characters, nothing else does'


def _wrong_url(pattern: str) -> str:
    path = pattern.removesuffix("*")
    if pattern == ALL:
        return ""
    if not path.startswith("/") or "*" in path:
        return f'"{pattern}" must begin with / and may have one * at its end'
    if not _is_plain_path(path):
        return f'"{pattern}" must be a plain path: no query, no %, nothing empty between slashes'
    if _is_within_resources(pattern):
        return f"{pattern} is a resource request and never matched here; name its resource instead"
    return ""


def _is_plain_path(path: str) -> bool:
    is_visible = all("!" <= character <= "~" for character in path)
    return is_visible and "//" not in path and not any(c in "?#%\\" for c in path)


def _is_within_resources(pattern: str) -> bool:
    """Whether it names what follows ``/api/v1/`` or ``/apis/apps/v1/``: resources to Kubernetes.

    These two themselves are none, with the slash and without it.
    """
    root, *rest = pattern[1:].split("/")
    return (root == "api" and any(rest[1:])) or (root == "apis" and any(rest[2:]))
