"""Which subjects of a policy can do something, under which conditions, and who is excepted.

The engine itself is asked, rule by rule: each rule stands alone, means everyone and asks for
nothing, so that what is left is whether it reaches the request. Who and under what conditions is
read from the text.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path

import msgspec
from msgspec.structs import replace

from kzproxy.attributes.attributes import Attributes
from kzproxy.attributes.device import NO_DEVICE
from kzproxy.attributes.environment import Environment
from kzproxy.attributes.identity import Identity
from kzproxy.attributes.request_info import RequestInfo
from kzproxy.config.mistakes import Mistakes
from kzproxy.policy.reach import LISTING_VERBS
from kzproxy.policy.rules import EVERYONE, AccessPolicySet, Effect, Match, Rule
from kzproxy.policy.scope import CLUSTER_SCOPED
from kzproxy.policy.vocabulary import COLLECTION_VERBS
from kzproxy.policy_tools.alone import bare, matches
from kzproxy.policy_tools.case_request import resource_target
from kzproxy.policy_tools.policy_text import MatchText, Place, RuleText, load_policy_text

_EVERYONE = ("groups", EVERYONE)
# None of them is looked at: the rules that are asked have no conditions.
_AT = datetime(2026, 1, 1, tzinfo=UTC)
_FROM = ip_address("192.0.2.1")
_PROBE = "kzproxy-probe"
_NAMELESS = frozenset({"create", *COLLECTION_VERBS})


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody would do.

    Attributes:
        verb: Of a rule; an HTTP method in lower case where ``resource`` is a URL.
        resource: ``pods``, ``pods/log``, or a URL that begins with ``/``.
        group: Empty for the core group.
        namespace: None for any namespace; empty for all at once, or for none.
        name: Empty for any name.
    """

    verb: str
    resource: str
    group: str = ""
    namespace: str | None = None
    name: str = ""


class Reaching(msgspec.Struct, frozen=True, kw_only=True):
    """A rule that reaches the question, for the subjects that it means.

    Attributes:
        limits: Entry by entry, the namespaces, names and selectors that it is limited to where
            the question names none; empty where one entry has no limit.
        conditions: What must hold; of a deny rule, what makes it deny.
        obligations: What must be met besides.
    """

    rule: str
    place: Place
    subjects: tuple[tuple[str, str], ...]
    limits: tuple[dict[str, object], ...]
    conditions: dict[str, object]
    obligations: dict[str, object]

    @property
    def is_unconditional(self) -> bool:
        """Whether it always applies to what was asked."""
        return not self.limits and not self.conditions


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """Who can, and who is excepted."""

    grants: tuple[Reaching, ...]
    exceptions: tuple[Reaching, ...]


def load_and_ask(paths: Sequence[Path], question: Question) -> Answer:
    """Ask the policy in ``paths``.

    Raises:
        ConfigurationError: They are no policy.
        ValueError: Nobody can send what is asked.
        BadRequest: Likewise.
    """
    mistakes = Mistakes()
    policies, text = load_policy_text(paths, mistakes)
    mistakes.raise_if_any()
    return who_can(policies, text.rules, question)


def who_can(policies: AccessPolicySet, texts: Iterable[RuleText], question: Question) -> Answer:
    """Return who can; ``texts`` are the same rules as in ``policies``, in the same order."""
    question = _as_addressed(question)
    request = _request(question)
    reaching = [
        (rule, found)
        for rule, text in zip(policies.rules, texts, strict=True)
        if (found := _reaching(policies, rule, text, question, request)) is not None
    ]
    exceptions = tuple(found for rule, found in reaching if rule.effect is Effect.DENY)
    denied = {
        subject for found in exceptions if found.is_unconditional for subject in found.subjects
    }
    grants = [
        replace(found, subjects=tuple(s for s in found.subjects if s not in denied))
        for rule, found in reaching
        if rule.effect is Effect.ALLOW and _EVERYONE not in denied
    ]
    return Answer(grants=tuple(grant for grant in grants if grant.subjects), exceptions=exceptions)


def _as_addressed(question: Question) -> Question:
    """Return the question with the namespace that its path would have."""
    kind = question.resource.partition("/")[0]
    if (question.group, kind) in CLUSTER_SCOPED:
        return replace(question, namespace="")
    if (question.group, kind) == ("", "namespaces"):
        # To kube-apiserver the namespace prod is an object in namespace prod.
        is_open = not question.name and (
            question.verb not in _NAMELESS or _lists_namespaces(question)
        )
        return replace(question, namespace=None if is_open else question.name)
    return question


def _request(question: Question) -> RequestInfo:
    if question.resource.startswith("/"):
        return RequestInfo.parse(question.verb.upper(), question.resource)
    name = question.name or ("" if question.verb in _NAMELESS else _PROBE)
    if question.verb == "create" and "/" not in question.resource:
        name = ""
    elif question.verb == "create":
        name = name or _PROBE
    is_namespace = not question.group and question.resource.partition("/")[0] == "namespaces"
    namespace = _PROBE if question.namespace is None else question.namespace
    method, target = resource_target(
        question.verb,
        question.resource,
        group_version=(question.group, "v1"),
        namespace="" if is_namespace else namespace,
        name=name,
    )
    request = RequestInfo.parse(method, target)
    if request.verb != question.verb:
        raise ValueError(
            f"a request for {question.resource} has the verb {request.verb}, not {question.verb}"
        )
    return request


def _reaching(
    policies: AccessPolicySet, rule: Rule, text: RuleText, question: Question, request: RequestInfo
) -> Reaching | None:
    entries = [
        (entry, written)
        for entry, written in zip(rule.match, text.matches, strict=True)
        if _reaches(policies, rule.effect, _without_limits(entry, question), request)
    ]
    if not entries:
        return None
    limits = [_limits(written, question) for _, written in entries]
    return Reaching(
        rule=rule.id,
        place=text.place,
        subjects=tuple(sorted(text.subjects)),
        limits=() if any(not limit for limit in limits) else tuple(limits),
        conditions=_conditions(text),
        obligations=text.obligations,
    )


def _reaches(policies: AccessPolicySet, effect: Effect, entry: Match, request: RequestInfo) -> bool:
    return matches(policies, bare(effect, (entry,)), _asked(request)).holds


def _asked(request: RequestInfo) -> Attributes:
    return Attributes(
        subject=Identity(username="somebody", method="oidc", issuer="", subject="", expires_at=_AT),
        device=NO_DEVICE,
        request=request,
        environment=Environment(received_at=_AT, source_address=_FROM),
    )


def _without_limits(entry: Match, question: Question) -> Match:
    """Leave out what the question leaves open; it is reported as a limit instead."""
    return replace(
        entry,
        namespaces=() if question.namespace is None else entry.namespaces,
        names=() if _is_name_open(question) else entry.names,
        namespace_selector=None if _has_labels(question) else entry.namespace_selector,
        label_equalities=frozenset(),
        field_equalities=frozenset(),
    )


def _is_name_open(question: Question) -> bool:
    """Whether any one name may be asked for; a request for many has none at all."""
    is_nameless = question.verb in _NAMELESS and "/" not in question.resource
    return not question.name and (not is_nameless or _lists_namespaces(question))


def _has_labels(question: Question) -> bool:
    """Whether there is a namespace whose labels may be this or that."""
    return question.namespace != "" or _lists_namespaces(question)


def _lists_namespaces(question: Question) -> bool:
    """Whether many are asked for, of which each is judged by itself."""
    kind = (question.group, question.resource)
    return kind == ("", "namespaces") and question.verb in LISTING_VERBS


def _limits(entry: MatchText, question: Question) -> dict[str, object]:
    limits: dict[str, object] = {}
    if entry.namespaces and question.namespace is None:
        limits["namespaces"] = list(entry.namespaces)
    if entry.names and _is_name_open(question):
        limits["names"] = list(entry.names)
    decided = () if _has_labels(question) else ("namespaceSelector",)
    return limits | {name: each for name, each in entry.selectors.items() if name not in decided}


def _conditions(text: RuleText) -> dict[str, object]:
    conditions = dict(text.conditions)
    if text.when:
        conditions["when"] = text.when
    if text.needs:
        conditions["needs"] = list(text.needs)
    return conditions
