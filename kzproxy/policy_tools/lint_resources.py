"""Resources that Kubernetes does not have, which no request is for.

Only of groups of which that is certain: nothing but Kubernetes itself serves the core group, and
nobody can define a resource of their own in a group without a dot (validation of
``CustomResourceDefinition.spec.group``).
"""

from collections.abc import Iterator

from kzproxy.config.mistakes import did_you_mean
from kzproxy.policy.vocabulary import ALL
from kzproxy.policy_tools.finding import Finding, Lint
from kzproxy.policy_tools.policy_text import MatchText, PolicyText

# By group: each resource with its subresources, as kube-apiserver 1.36 serves them and all before.
SERVED: dict[str, dict[str, tuple[str, ...]]] = {
    "": {
        "bindings": (),
        "componentstatuses": (),
        "configmaps": (),
        "endpoints": (),
        "events": (),
        "limitranges": (),
        "namespaces": ("finalize", "status"),
        "nodes": ("proxy", "status"),
        "persistentvolumeclaims": ("status",),
        "persistentvolumes": ("status",),
        "pods": (
            "attach",
            "binding",
            "ephemeralcontainers",
            "eviction",
            "exec",
            "log",
            "portforward",
            "proxy",
            "resize",
            "status",
        ),
        "podtemplates": (),
        "replicationcontrollers": ("scale", "status"),
        "resourcequotas": ("status",),
        "secrets": (),
        "serviceaccounts": ("token",),
        "services": ("proxy", "status"),
    },
    "apps": {
        "controllerrevisions": (),
        "daemonsets": ("status",),
        "deployments": ("scale", "status"),
        "replicasets": ("scale", "status"),
        "statefulsets": ("scale", "status"),
    },
    "autoscaling": {"horizontalpodautoscalers": ("status",)},
    "batch": {"cronjobs": ("status",), "jobs": ("status",)},
    "policy": {"poddisruptionbudgets": ("status",)},
}


def unknown_resources(text: PolicyText) -> Iterator[Finding]:
    """Find resources that none of the groups beside them has."""
    for rule in text.rules:
        for match in rule.matches:
            for pattern in dict.fromkeys(match.resources):
                why = _unknown(pattern.removeprefix("!"), match)
                if why:
                    yield Finding(
                        lint=Lint.UNKNOWN_RESOURCE, place=match.place, rule=rule.id, message=why
                    )


def _unknown(pattern: str, match: MatchText) -> str:
    """Say that nothing in the match's groups fits; empty where something may."""
    kind, slash, subresource = pattern.partition("/")
    if not SERVED.keys() >= set(match.api_groups):
        meant = _plural(kind) if ALL in match.api_groups else ""
        return f"no resource is called {kind}; did you mean {meant}?" if meant else ""
    if kind == ALL:
        return ""
    known = {name: of for group in match.api_groups for name, of in SERVED[group].items()}
    words = " and ".join(_group(group) for group in sorted(match.api_groups))
    if kind not in known:
        return f"{words} has no {kind}, and this reaches none{_meant(kind, known)}"
    if slash and subresource != ALL and subresource not in known[kind]:
        hint = did_you_mean(subresource, known[kind])
        return f"{kind} of {words} have no {subresource}, and this reaches none{hint}"
    return ""


def _plural(kind: str) -> str:
    """Return the resource of which ``kind`` is one; empty where there is none."""
    resources = [name for served in SERVED.values() for name in served]
    return next((name for name in resources if name in (f"{kind}s", f"{kind}es")), "")


def _meant(kind: str, known: dict[str, tuple[str, ...]]) -> str:
    groups = [group for group, resources in SERVED.items() if kind in resources]
    if groups:
        return f"; {kind} are in {_group(groups[0])}: write {kind} under apiGroups: [{groups[0]!r}]"
    return did_you_mean(kind, known)


def _group(group: str) -> str:
    return f"group {group}" if group else "the core group"
