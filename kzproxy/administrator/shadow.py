"""A policy beside the one in force: what it would have answered, and never what is answered."""

import logging

from kzproxy.audit.records import verdict_of
from kzproxy.audit.schema import ShadowAnswer, ShadowVerdict
from kzproxy.policy.decision import Decision, asks_for_reason
from kzproxy.policy.engine import PolicyEngine

log = logging.getLogger(__name__)


class Shadow:
    """Judges by the other policy on the very facts that the one in force judged by."""

    def __init__(self, engine: PolicyEngine) -> None:
        self._engine = engine

    @property
    def revision(self) -> str:
        """Content hash of the other policy."""
        return self._engine.revision

    @property
    def needs_namespace_labels(self) -> bool:
        """Whether a rule of the other policy looks at the labels of namespaces."""
        return self._engine.needs_namespace_labels

    def other_answer(self, decision: Decision) -> ShadowAnswer | None:
        """Return how it would have answered, where that is otherwise; never raises."""
        try:
            return self._compared(decision)
        except Exception:
            log.exception("bug while a shadow policy was asked; nothing came of it")
            return self._answer(ShadowVerdict.UNTOLD)

    def _compared(self, decision: Decision) -> ShadowAnswer | None:
        attributes = decision.attributes
        if attributes.api_object is None and self._engine.needs_object(attributes):
            # Nobody fetched the object for it, and what it says without one would be a guess.
            return self._answer(ShadowVerdict.UNTOLD)
        other = self._engine.decide(attributes)
        if type(other) is type(decision):
            return None
        if asks_for_reason(other) and not asks_for_reason(decision):
            # Nobody looked whether the user has given one, which it hangs on.
            return self._answer(ShadowVerdict.UNTOLD)
        return self._answer(ShadowVerdict(verdict_of(other).value), other.rule)

    def _answer(self, verdict: ShadowVerdict, rule: str = "") -> ShadowAnswer:
        return ShadowAnswer(decision=verdict, rule=rule, policy_revision=self.revision)
