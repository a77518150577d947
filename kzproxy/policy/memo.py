"""Remember decisions: the same caller asks the same again and again.

Decisions are found by the very objects they were taken on: the identity of a remembered token, the
posture of a remembered certificate, a remembered request line, the address of a connection. Each of
them is frozen, so that the same object says the same.
"""

from datetime import datetime

from kzproxy.attributes.attributes import Attributes
from kzproxy.policy.decision import Decision, Dependency, Permit

# What a caller is permitted is remembered with the caller too (enforcement/standing.py).
_MAX_DECISIONS = 1024
# What a decision holds of its request; the rest is some 2 KiB.
_MAX_BYTES = 16 * 1024 * 1024

Key = tuple[int, int, int, int, int, str, int, str, str, str, str, datetime | None]


class DecisionMemo:
    """The decisions of one engine; bounded, and forgotten all at once."""

    __slots__ = ("_bytes", "_decisions")

    def __init__(self) -> None:
        self._decisions: dict[Key, Decision] = {}
        self._bytes = 0

    def recall(self, key: Key, attributes: Attributes) -> Decision | None:
        """Return the decision on the same facts, where time has not changed it."""
        known = self._decisions.get(key)
        if known is None or attributes.api_object is not None:
            return None
        if isinstance(known, Permit) and not known.holds_at(attributes.environment.received_at):
            return None
        return known

    def keep(self, key: Key, decision: Decision) -> None:
        """Remember a decision, unless time alone may change it and nobody knows when."""
        if decision.attributes.api_object is not None or decision.errors:
            return
        if not isinstance(decision, Permit) and Dependency.TIME in decision.depends_on:
            return
        asked = decision.attributes
        size = asked.request.weight_bytes + len(asked.environment.user_agent)
        self._bytes += size
        if len(self._decisions) >= _MAX_DECISIONS or self._bytes > _MAX_BYTES:
            self._decisions.clear()
            self._bytes = size
        self._decisions[key] = decision


def key_of(attributes: Attributes) -> Key:
    """Return what a decision is found by, beside the time."""
    environment = attributes.environment
    # A remembered decision holds its attributes, so that nothing else can have their ids.
    return (
        id(attributes.subject),
        id(attributes.device),
        id(attributes.request),
        id(attributes.namespace_labels),
        id(environment.source_address),
        environment.country,
        environment.asn,
        environment.sign_in_country,
        environment.seen_country,
        environment.user_agent,
        environment.reason,
        environment.reason_ends_at,
    )
