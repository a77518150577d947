"""The words of a rule's ``match``, and which verbs a request for a resource can have.

A rule that names a verb its resource never has would match nothing: harmless in an allow rule, a
hole in a deny rule. RBAC knows ``get`` and ``create`` for ``pods/exec``, by transport; here such a
request is ``connect``, so ``misused_verbs`` finds the rules that still say it in RBAC's words.
"""

from collections.abc import Iterable

ALL = "*"
READING_VERBS = ("get", "list", "watch")
CHANGING_VERBS = ("create", "update", "patch", "delete", "deletecollection")
CONNECT = "connect"
PROXY = "proxy"
RESOURCE_VERBS = (*READING_VERBS, *CHANGING_VERBS, CONNECT, PROXY)
URL_VERBS = ("get", "head", "post", "put", "patch", "delete")
# They ask for many objects at once, with or without a namespace.
COLLECTION_VERBS = frozenset({"list", "watch", "deletecollection"})

# Verbs that kube-apiserver checks while it serves a request whose own verb is another one
# (kubernetes.io, "Request verbs and authorization"; constrained impersonation: KEP-5284).
CHECKED_VERBS = ("approve", "attest", "bind", "escalate", "impersonate", "sign", "use")

CONNECT_SUBRESOURCES = ("attach", "exec", "portforward")
# The kubelet behind it runs commands in every container of the node: root on the node.
NODE_PROXY = "nodes/proxy"


def resource_key(pattern: str) -> str:
    """Return the one spelling of a resource pattern: ``*/*`` is ``*``.

    Both mean every resource with every subresource: ``*`` in RBAC
    (pkg/apis/rbac/v1/evaluation_helpers.go), ``*/*`` in admission rules (Rule.Resources in
    k8s.io/api admissionregistration/v1).
    """
    return ALL if pattern == "*/*" else pattern


def verbs_possible(pattern: str) -> tuple[str, ...]:
    """Return the verbs that a request for a resource of this pattern can have."""
    subresource = pattern.partition("/")[2]
    if subresource == PROXY:
        return (PROXY,)
    if subresource in CONNECT_SUBRESOURCES:
        return (CONNECT,)
    if subresource == ALL or resource_key(pattern) == ALL:
        return RESOURCE_VERBS
    return (*READING_VERBS, *CHANGING_VERBS)


def misused_verbs(verbs: Iterable[str], pattern: str) -> str:
    """Say what to write if a verb is named that ``pattern`` never has; empty if all can be."""
    possible = verbs_possible(pattern)
    wrong = [verb for verb in verbs if verb != ALL and verb not in possible]
    if not wrong:
        return ""
    if len(possible) == 1:
        return (
            f"{pattern} is judged as verb {possible[0]}, whatever the HTTP method, never as"
            f" {', '.join(wrong)}; give it an entry of its own with verbs: [{possible[0]}]"
        )
    return (
        f"{pattern} never has the verb {', '.join(wrong)}: connect is the verb of pods/exec,"
        " pods/attach and pods/portforward, proxy that of nodes/proxy, pods/proxy and"
        " services/proxy; name those in an entry of their own"
    )


def verbs_left_open(verbs: Iterable[str], pattern: str) -> str:
    """Say what to add if a deny rule on ``pods/*`` speaks of its subresources in RBAC's verbs.

    ``get`` and ``create`` on ``pods/*`` cover exec in RBAC. A deny rule that was written so would
    leave exec open here.
    """
    named = frozenset(verbs)
    resource, _, subresource = pattern.partition("/")
    if subresource != ALL or resource == ALL or ALL in named:
        return ""
    missing = [verb for verb in (CONNECT, PROXY) if verb not in named]
    if not missing or not named - {CONNECT, PROXY}:
        return ""
    return (
        f"this deny on {pattern} does not cover exec, attach and port-forward (verb connect) or"
        f" proxies (verb proxy); add {' and '.join(missing)} to verbs, or name the subresources"
    )
