"""Deny rules on ``create`` that leave the other ways to create open.

kube-apiserver creates with other verbs too: with ``patch`` in a server-side apply of an object that
is not there, with ``update`` in a PUT of one, for the resources whose strategy says
``AllowCreateOnUpdate``. It asks RBAC for ``create`` a second time then (withAuthorization in
k8s.io/apiserver pkg/endpoints/handlers/patch.go and update.go); a rule is asked for the request's
own verb alone.
"""

from collections.abc import Iterator, Sequence

from msgspec.structs import replace

from kzproxy.policy_tools.covering import asks_no_more, covering, positive
from kzproxy.policy_tools.finding import Finding, Lint
from kzproxy.policy_tools.policy_text import MatchText, PolicyText, RuleText

_OTHER_WAYS = ("patch", "update")
# Questions and bindings, which are no objects: nothing else can be done with them.
ONLY_CREATED = frozenset(
    {
        ("", "bindings"),
        ("authentication.k8s.io", "selfsubjectreviews"),
        ("authentication.k8s.io", "tokenreviews"),
        ("authorization.k8s.io", "localsubjectaccessreviews"),
        ("authorization.k8s.io", "selfsubjectaccessreviews"),
        ("authorization.k8s.io", "selfsubjectrulesreviews"),
        ("authorization.k8s.io", "subjectaccessreviews"),
    }
)


def create_alone(text: PolicyText) -> Iterator[Finding]:
    """Find deny rules on ``create`` where no deny rule is on ``patch`` and ``update`` as well."""
    denies = [rule for rule in text.rules if rule.effect == "deny"]
    for rule in denies:
        others = [other for other in denies if asks_no_more(other, rule)]
        for match in rule.matches:
            missing = _missing(rule, match, others)
            if missing:
                yield Finding(
                    lint=Lint.CREATE_ALONE,
                    place=match.place,
                    rule=rule.id,
                    message="server-side apply creates with the verb patch, a PUT of some"
                    f" resources with update, and create covers neither; add {missing}",
                )


def _missing(rule: RuleText, match: MatchText, others: Sequence[RuleText]) -> str:
    resources = _creatable_otherwise(match)
    if "create" not in match.verbs or not resources:
        return ""
    found = []
    for verb in _OTHER_WAYS:
        wanted = replace(match, verbs=(verb,), resources=resources)
        if not covering(replace(rule, matches=(wanted,)), others):
            found.append(verb)
    return " and ".join(found)


def _creatable_otherwise(match: MatchText) -> tuple[str, ...]:
    """Return the resources of a match, with what it excludes; of subresources none creates."""
    named = [
        resource
        for resource in positive(match.resources)
        if "/" not in resource
        and not ONLY_CREATED.issuperset((group, resource) for group in match.api_groups)
    ]
    return (*named, *[word for word in match.resources if word.startswith("!")]) if named else ()
