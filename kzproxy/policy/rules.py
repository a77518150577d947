"""Rules as values: what an AccessPolicy says, with every name in it resolved.

``kzproxy.config.access_policy`` makes them from files and refuses what cannot be meant; the
engine reads them. docs/reference/policy.md says what each field means.
"""

from dataclasses import dataclass
from enum import StrEnum

from kzproxy.policy.network import Network
from kzproxy.policy.time_window import TimeWindow

# Every identity is in it, as in Kubernetes, although no token says so.
EVERYONE = "system:authenticated"


class Effect(StrEnum):
    """What a rule that matches does. Deny wins over allow."""

    ALLOW = "allow"
    DENY = "deny"


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """What is asked for: either resources or URLs outside them, never both.

    Attributes:
        verbs: As ``RequestInfo.verb`` has them, or ``*``.
        api_groups: Empty string for the core group, or ``*``.
        resources: ``pods``, ``pods/log``, ``pods/*``, ``*/scale``, ``*`` or ``*/*``.
        namespaces: Names and globs; empty where the rule does not ask for one.
        names: Names and globs; empty where the rule does not ask for one.
        non_resource_urls: Paths; a ``*`` at the end stands for any rest.
    """

    verbs: frozenset[str]
    api_groups: frozenset[str] = frozenset()
    resources: frozenset[str] = frozenset()
    namespaces: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    non_resource_urls: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """What must hold besides; each that is given must, and one of its members is enough.

    Attributes:
        networks: The request comes from one of them; empty where it does not matter.
        time: One of them is open; empty where it does not matter.
        device_enrolled: True asks for a device whose enrolment is shown, False for one whose
            enrolment is not (failed or unknown); None where it does not matter.
    """

    networks: tuple[Network, ...] = ()
    time: tuple[TimeWindow, ...] = ()
    device_enrolled: bool | None = None


NO_CONDITIONS = Conditions()


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule: it matches when a subject, a ``match`` and all conditions do.

    Attributes:
        id: Unique over all files.
        effect: What it does.
        users: Exact user names.
        groups: Exact group names; ``system:authenticated`` is everyone.
        match: One of them is enough.
        conditions: All must hold.
        message: For the user whom this rule refuses or nearly lets in; may be empty.
    """

    id: str
    effect: Effect
    users: frozenset[str] = frozenset()
    groups: frozenset[str] = frozenset()
    match: tuple[Match, ...]
    conditions: Conditions = NO_CONDITIONS
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessPolicySet:
    """The rules of all files, in their order. No rules at all denies everything."""

    rules: tuple[Rule, ...]
