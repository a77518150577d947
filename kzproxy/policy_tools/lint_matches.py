"""Rules whose match no request can have, or none that kube-apiserver would serve."""

from collections.abc import Iterator

from kzproxy.policy.scope import CLUSTER_SCOPED
from kzproxy.policy.vocabulary import ALL
from kzproxy.policy_tools.covering import excluded, positive
from kzproxy.policy_tools.finding import Finding, Lint
from kzproxy.policy_tools.policy_text import MatchText, PolicyText, RuleText

# Their requests have no name in the path, and kube-apiserver takes none from a selector for them.
_NAMELESS_VERBS = frozenset({"create", "deletecollection"})


def never_matches(text: PolicyText) -> Iterator[Finding]:
    """Find what no request can match: no resource left, no name to know, a contradiction."""
    for rule in text.rules:
        for match in rule.matches:
            why = _no_resource_left(match) or _no_name_known(rule, match)
            if why:
                yield Finding(lint=Lint.NEVER_MATCHES, place=match.place, rule=rule.id, message=why)
        both = _listed(rule.conditions, "all") & _listed(rule.conditions, "none")
        if both:
            yield Finding(
                lint=Lint.NEVER_MATCHES,
                place=rule.at("conditions"),
                rule=rule.id,
                message=f"{', '.join(sorted(both))} must hold (all) and must not hold (none)",
            )


def cluster_scoped(text: PolicyText) -> Iterator[Finding]:
    """Find namespaces asked of resources that have none."""
    for rule in text.rules:
        for match in rule.matches:
            names = _without_namespace(match)
            asked = "namespaces" if match.namespaces else "namespaceSelector"
            if names and (match.namespaces or asked in match.selectors):
                yield Finding(
                    lint=Lint.CLUSTER_SCOPED,
                    place=match.place,
                    rule=rule.id,
                    message=f"{', '.join(names)} have no namespace, so that {asked} never fits"
                    " them; give them an entry without it",
                )


def _no_resource_left(match: MatchText) -> str:
    exclusions = excluded(match.resources)
    kept = [pattern for pattern in positive(match.resources) if pattern not in exclusions]
    return "" if kept or match.urls else "every resource that it names is excluded again by !"


def _no_name_known(rule: RuleText, match: MatchText) -> str:
    is_plain = all("/" not in p and p != ALL for p in positive(match.resources))
    nameless = bool(match.verbs) and _NAMELESS_VERBS.issuperset(match.verbs)
    if rule.effect == "deny" or not match.names or not is_plain or not nameless:
        return ""
    verbs = " and ".join(sorted(match.verbs))
    return f"a request to {verbs} carries no name, so that names never fits; leave names out"


def _without_namespace(match: MatchText) -> list[str]:
    return sorted(
        resource
        for resource in positive(match.resources)
        if any((group, resource) in CLUSTER_SCOPED for group in match.api_groups)
    )


def _listed(conditions: dict[str, object], name: str) -> set[str]:
    value = conditions.get(name)
    return {str(item) for item in value} if isinstance(value, list) else set()
