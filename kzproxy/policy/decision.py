"""What the policy engine answers; ``Permit`` is constructed in ``policy/engine.py`` alone.

The garbage collector passes over permits, of which thousands are remembered: nothing in them leads
back.
"""

from datetime import datetime
from enum import StrEnum

import msgspec

from kzproxy.attributes.attributes import Attributes
from kzproxy.policy.obligations import NO_OBLIGATIONS, Obligations
from kzproxy.policy.step_up import StepUp


class Dependency(StrEnum):
    """A fact that a decision rests on; when it changes the decision is taken again."""

    IDENTITY = "identity"
    NETWORK = "network"
    LOCATION = "location"
    TIME = "time"
    DEVICE = "device"
    AUTHENTICATION = "authentication"
    REQUEST = "request"
    NAMESPACE = "namespace"
    OBJECT = "object"
    REASON = "reason"
    MOVED = "moved"


class Cause(StrEnum):
    """Why a request was not permitted; a closed set for the decision log."""

    NO_RULE = "no-rule"
    DENY_RULE = "deny-rule"
    RULE_ERROR = "rule-error"
    OBLIGATION = "obligation"
    SIGN_IN = "sign-in"


class Permit(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Leave to forward exactly ``attributes.request`` as ``attributes.subject``.

    Attributes:
        rule: Id of the first allow rule that matched.
        matched: Ids of all rules that matched.
        revision: Content hash of the policy that judged.
        valid_until: When time alone may end it; None where it never does.
        depends_on: What it rests on.
        errors: Rule ids with what went wrong in them.
        obligations: Of the rule that permits, for what is to be kept while the request runs.
        by_namespace: It is a list of namespaces, of which only those may be shown that are
            permitted when they are asked for one by one.
    """

    attributes: Attributes
    rule: str
    matched: tuple[str, ...]
    revision: str
    valid_until: datetime | None
    depends_on: frozenset[Dependency]
    errors: tuple[tuple[str, str], ...] = ()
    obligations: Obligations = NO_OBLIGATIONS
    by_namespace: bool = False

    def holds_at(self, now: datetime) -> bool:
        """Whether time alone would still permit the same at ``now``."""
        until = self.valid_until
        if until is None and Dependency.TIME not in self.depends_on:
            return True
        # The clock may have been set back to before the window in which it was judged.
        if now < self.attributes.environment.received_at:
            return False
        return until is None or now < until


class NotPermitted(msgspec.Struct, frozen=True, kw_only=True):
    """What is said where nothing is permitted.

    Attributes:
        cause: Why, from a closed set.
        rule: Id of the deny rule, or of the allow rule that came nearest; empty where none did.
        hint: What the user can do about it, from the condition that was not met; may be empty.
        unmet: Names of the obligations of ``rule`` that were not met.
        See ``Permit`` for the others.
    """

    attributes: Attributes
    cause: Cause
    rule: str
    hint: str
    matched: tuple[str, ...]
    revision: str
    depends_on: frozenset[Dependency]
    errors: tuple[tuple[str, str], ...] = ()
    unmet: tuple[str, ...] = ()


class Deny(NotPermitted, frozen=True, kw_only=True):
    """A refusal."""


class Challenge(NotPermitted, frozen=True, kw_only=True):
    """No permit, and there would be one after a sign-in that is fresher or stronger.

    Attributes:
        rule: Id of the allow rule that would permit then.
        step_up: What the sign-in would have to be like.
    """

    step_up: StepUp


Decision = Permit | Deny | Challenge


def asks_for_reason(decision: Decision) -> bool:
    """Whether it matters whether the user has given a reason."""
    if Dependency.REASON in decision.depends_on:
        return True
    return isinstance(decision, NotPermitted) and "reason" in decision.unmet
