"""Rules as values: what an AccessPolicy says, with every name in it resolved.

``kzproxy.config.access_policy`` makes them from files and refuses what cannot be meant; the
engine reads them. docs/reference/policy.md says what each field means.
"""

from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

import msgspec

from kzproxy.policy.calendar import Calendar
from kzproxy.policy.device_features import NO_FEATURES, DeviceFeatures
from kzproxy.policy.network import Network
from kzproxy.policy.obligations import NO_OBLIGATIONS, Obligations
from kzproxy.policy.selectors import LabelSelector

if TYPE_CHECKING:  # CEL weighs 14 MiB: only a policy with an expression has it loaded.
    from kzproxy.policy.expression import Expression

# Every identity is in it, as in Kubernetes, although no token says so.
EVERYONE = "system:authenticated"


class Effect(StrEnum):
    """What a rule that matches does. Deny wins over allow."""

    ALLOW = "allow"
    DENY = "deny"


class Match(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked for: either resources or URLs outside them, never both.

    Attributes:
        verbs: As ``RequestInfo.verb`` has them, or ``*``.
        api_groups: Empty string for the core group, or ``*``.
        resources: ``pods``, ``pods/log``, ``pods/*``, ``*/scale``, ``*`` or ``*/*``.
        excluded_resources: The same, of what is written with ``!``.
        namespaces: Names and globs; empty where the rule does not ask for one.
        names: Names and globs; empty where the rule does not ask for one.
        namespace_selector: On the labels of the request's namespace; None where it does not matter.
        label_equalities: What the request's own label selector must ask for; allow rules only.
        field_equalities: The same of its field selector.
        non_resource_urls: Paths; a ``*`` at the end stands for any rest.
    """

    verbs: frozenset[str]
    api_groups: frozenset[str] = frozenset()
    resources: frozenset[str] = frozenset()
    excluded_resources: frozenset[str] = frozenset()
    namespaces: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    namespace_selector: LabelSelector | None = None
    label_equalities: frozenset[tuple[str, str]] = frozenset()
    field_equalities: frozenset[tuple[str, str]] = frozenset()
    non_resource_urls: frozenset[str] = frozenset()


class SignIn(msgspec.Struct, frozen=True, kw_only=True):
    """How the person signed in; all that is given must hold, unknown does not.

    Attributes:
        max_age: Since ``Identity.authenticated_at``.
        classes: One of them is the ``acr``.
        methods: One of them is in the ``amr``.
        issuers: One of them vouches for the identity.
    """

    max_age: timedelta | None = None
    classes: frozenset[str] = frozenset()
    methods: frozenset[str] = frozenset()
    issuers: frozenset[str] = frozenset()


class RequestFeatures(msgspec.Struct, frozen=True, kw_only=True):
    """What the request is like beside its target; all that is given must hold.

    Attributes:
        user_agents: Globs; a client may write there what it likes.
        dry_run: Whether it is a dry run.
        commands: Globs on the argv of an exec, joined by single blanks.
        containers: Globs on the container that it names.
    """

    user_agents: tuple[str, ...] = ()
    dry_run: bool | None = None
    commands: tuple[str, ...] = ()
    containers: tuple[str, ...] = ()


class ObjectFeatures(msgspec.Struct, frozen=True, kw_only=True):
    """What the object is like; all that is given must hold. Nobody can tell without the object.

    Attributes:
        privileged: Whether a container is.
        host_namespaces: Whether one of the node's namespaces is shared.
        service_accounts: Globs.
        images: Globs, one of which one of the images fits.
        labels: On its metadata.
    """

    privileged: bool | None = None
    host_namespaces: bool | None = None
    service_accounts: tuple[str, ...] = ()
    images: tuple[str, ...] = ()
    labels: LabelSelector | None = None


class Conditions(msgspec.Struct, frozen=True, kw_only=True):
    """What must hold besides; each that is given must.

    Attributes:
        networks: The request comes from one of them; empty where it does not matter.
        countries: It comes from one of them, ISO codes; empty where it does not matter.
        asns: It comes from one of these autonomous systems; empty where it does not matter.
        time: One of these calendars is open; empty where it does not matter.
        device_enrolled: True asks for a device whose enrolment is shown, False for one whose
            enrolment is not (failed or unknown); None where it does not matter.
        device_tier: The least tier of the device.
        device_below_tier: The tier that the device does not reach.
        device: What else the device is shown to be.
        sign_in: How the person signed in.
        session_max_age: Since the session began; where none is kept since the sign-in, or since
            the token was issued where nobody says more.
        session_kept: kzproxy keeps a session of it.
        session_same_address: It is at the address that it was signed in from.
        session_same_country: It is in that country.
        session_max_risk: ``LOW`` or ``MEDIUM``: its risk is known and not above; empty where it
            does not matter.
        workloads: Globs on SPIFFE IDs, one of which the caller has.
        request: What the request is like.
        api_object: What its object is like.
        all_of: Named conditions that all hold.
        any_of: Named conditions one of which holds.
        none_of: Named conditions none of which holds.
    """

    networks: tuple[Network, ...] = ()
    countries: frozenset[str] = frozenset()
    asns: frozenset[int] = frozenset()
    time: tuple[Calendar, ...] = ()
    device_enrolled: bool | None = None
    device_tier: int | None = None
    device_below_tier: int | None = None
    device: DeviceFeatures = NO_FEATURES
    sign_in: SignIn | None = None
    session_max_age: timedelta | None = None
    session_kept: bool = False
    session_max_risk: str = ""
    session_same_address: bool = False
    session_same_country: bool = False
    workloads: tuple[str, ...] = ()
    request: RequestFeatures | None = None
    api_object: ObjectFeatures | None = None
    all_of: tuple[str, ...] = ()
    any_of: tuple[str, ...] = ()
    none_of: tuple[str, ...] = ()


NO_CONDITIONS = Conditions()


class NamedCondition(msgspec.Struct, frozen=True, kw_only=True):
    """Conditions under a name, for rules, tiers and other conditions that come after it."""

    name: str
    conditions: Conditions = NO_CONDITIONS
    when: "Expression | None" = None


class Tier(msgspec.Struct, frozen=True, kw_only=True):
    """A level of trust in a device; the highest whose conditions hold is the device's.

    Attributes:
        level: At least 1; 0 is a device of which nothing is known.
        name: For people.
    """

    level: int
    name: str
    conditions: Conditions = NO_CONDITIONS
    when: "Expression | None" = None


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """One rule: it matches when a subject, a ``match`` and all conditions do.

    Attributes:
        id: Unique over all files.
        effect: What it does.
        users: Exact user names; ServiceAccounts stand here under theirs.
        groups: Exact group names; ``system:authenticated`` is everyone.
        spiffe_ids: Globs on the SPIFFE ID of a workload.
        match: One of them is enough.
        conditions: All must hold.
        when: Must hold too.
        patches_allowed: What it asks of the object does not keep patches out.
        obligations: What an allow rule asks of whom it lets in.
        message: For the user whom this rule refuses or nearly lets in; may be empty.
    """

    id: str
    effect: Effect
    users: frozenset[str] = frozenset()
    groups: frozenset[str] = frozenset()
    spiffe_ids: tuple[str, ...] = ()
    match: tuple[Match, ...]
    conditions: Conditions = NO_CONDITIONS
    when: "Expression | None" = None
    patches_allowed: bool = False
    obligations: Obligations = NO_OBLIGATIONS
    message: str = ""


class AccessPolicySet(msgspec.Struct, frozen=True, kw_only=True):
    """The rules of all files, in their order. No rules at all denies everything.

    Attributes:
        networks: All that are defined, for expressions.
        calendars: The same.
        tiers: From the lowest level up.
        conditions: Each uses only those before it.
    """

    rules: tuple[Rule, ...]
    networks: tuple[Network, ...] = ()
    calendars: tuple[Calendar, ...] = ()
    tiers: tuple[Tier, ...] = ()
    conditions: tuple[NamedCondition, ...] = ()
