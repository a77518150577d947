"""What the policy engine answers; ``Permit`` is constructed in ``policy/engine.py`` alone."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from kzproxy.attributes.attributes import Attributes


class Dependency(StrEnum):
    """A fact that a decision rests on; when it changes the decision is taken again."""

    IDENTITY = "identity"
    NETWORK = "network"
    TIME = "time"
    DEVICE = "device"


class Cause(StrEnum):
    """Why a request was denied; a closed set for the decision log."""

    NO_RULE = "no-rule"
    DENY_RULE = "deny-rule"
    RULE_ERROR = "rule-error"


@dataclass(frozen=True, slots=True, kw_only=True)
class Permit:
    """Leave to forward exactly ``attributes.request`` as ``attributes.subject``.

    Attributes:
        rule: Id of the first allow rule that matched.
        matched: Ids of all rules that matched.
        revision: Content hash of the policy that judged.
        valid_until: When a time window that it rests on ends; None where none does.
        depends_on: What it rests on.
        errors: Rule ids with what went wrong in them.
    """

    attributes: Attributes
    rule: str
    matched: tuple[str, ...]
    revision: str
    valid_until: datetime | None
    depends_on: frozenset[Dependency]
    errors: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Deny:
    """A refusal.

    Attributes:
        cause: Why, from a closed set.
        rule: Id of the deny rule, or of the allow rule that came nearest; empty where none did.
        hint: What the user can do about it, from the condition that was not met; may be empty.
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


Decision = Permit | Deny
