"""``/kzproxy.dev/v1/decisions/ID`` and ``.../explanations/ID``: why a request was denied.

The first tells users of their own requests alone. The second tells whoever policy permits to ask it
of everybody's, with the whole of policy: who that is is not decided here.
"""

import logging
import re
from typing import Protocol

import msgspec
from msgspec.structs import replace

from kzproxy.attributes.attributes import Attributes
from kzproxy.attributes.identity import Identity
from kzproxy.audit.past_decisions import PastDecisions
from kzproxy.audit.replayable import NotReplayable, attributes_of, check_replayed
from kzproxy.audit.schema import DecisionRecord, Verdict
from kzproxy.audit.search import Found
from kzproxy.audit.visible import is_whole
from kzproxy.clock.system import Clock
from kzproxy.enforcement.own_endpoints import Asked
from kzproxy.enforcement.told_decision import (
    UNKNOWN,
    DecisionExplanation,
    Outlook,
    PolicyTree,
    WholeExplanation,
    told,
    told_wholly,
)
from kzproxy.errors.kinds import NotServed
from kzproxy.policy.decision import Decision, NotPermitted
from kzproxy.policy.engine import PolicyEngine
from kzproxy.policy.mending import next_window, steps
from kzproxy.policy.rules import AccessPolicySet

log = logging.getLogger(__name__)

_AUDIT_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
# The same whatever there is, so that the answer does not say whether there is something.
_NOT_YOURS = (
    "kzproxy finds no decision about a request of yours with this audit id here; it may be too old:"
    " ask your security team, with the audit id"
)
_NOT_HERE = "kzproxy finds no decision with this audit id here; it may be too old: see the log"


class Explainer(Protocol):
    """Takes policy apart for one request."""

    async def tree(self, record: DecisionRecord, *, in_force: str) -> PolicyTree:
        """Return how policy judges what was recorded; one that says why there is none if so."""


class Judgement(msgspec.Struct, frozen=True, kw_only=True):
    """The policy in force, for those who ask about a decision.

    Attributes:
        engine: Of ``policies``.
    """

    engine: PolicyEngine
    policies: AccessPolicySet
    clock: Clock

    def outlook(self, record: DecisionRecord) -> Outlook:
        """Say what would become of a request that was denied; nothing where that is not sure."""
        if record.decision not in (Verdict.DENY, Verdict.CHALLENGE):
            return UNKNOWN
        try:
            return self._outlook(record)
        except NotReplayable:
            return UNKNOWN
        except Exception:
            log.exception("bug while looking for what would help %s", record.audit_id)
            return UNKNOWN

    def _outlook(self, record: DecisionRecord) -> Outlook:
        then = attributes_of(record)
        judged = self.engine.decide(then)
        check_replayed(record, judged)
        if not self._is_of(judged, record):
            return UNKNOWN
        unmet = judged.unmet if isinstance(judged, NotPermitted) else ()
        now = self._now(then)
        window = next_window(self.engine, now)
        if window is not None and window.opens_at <= now.environment.received_at:
            return Outlook(unmet=unmet, window=window, allowed_now=True)
        found = steps(self.engine, self.policies, now)
        return Outlook(unmet=unmet, window=window, steps=found)

    def _is_of(self, judged: Decision, record: DecisionRecord) -> bool:
        """Whether the same policy says the same again; another one may say what it likes."""
        if record.policy_revision != self.engine.revision:
            return True
        return isinstance(judged, NotPermitted) and (judged.cause, judged.rule, judged.hint) == (
            record.cause.value,
            record.rule,
            record.hint,
        )

    def _now(self, then: Attributes) -> Attributes:
        return replace(then, environment=replace(then.environment, received_at=self.clock.now()))


class DecisionsEndpoint:
    """Tells a caller of a request of theirs."""

    judged = False
    methods = frozenset({"GET"})
    max_body_bytes = 0

    def __init__(self, past: PastDecisions, judgement: Judgement) -> None:
        self._past = past
        self._judgement = judgement

    def plan(self, asked: Asked) -> str:
        """Check the request; see ``OwnEndpoint``."""
        return f"asks why decision {_audit_id(asked, _NOT_YOURS)} fell as it did"

    async def answer(self, asked: Asked) -> DecisionExplanation:
        """Do it; see ``OwnEndpoint``.

        Raises:
            NotServed: There is no such decision about a request of the caller's.
        """
        found = await _found(self._past, asked, asked.identity)
        if found is None:
            raise NotServed(_NOT_YOURS)
        revision = self._judgement.engine.revision
        return told(found, self._judgement.outlook(found.decision), revision=revision)


class ExplanationsEndpoint:
    """Tells whoever policy permits to ask of anybody's request."""

    judged = True
    methods = frozenset({"GET"})
    max_body_bytes = 0

    def __init__(self, past: PastDecisions, judgement: Judgement, explainer: Explainer) -> None:
        self._past = past
        self._judgement = judgement
        self._explainer = explainer

    def plan(self, asked: Asked) -> str:
        """Check the request; see ``OwnEndpoint``."""
        return f"asks for all of decision {_audit_id(asked, _NOT_HERE)}"

    async def answer(self, asked: Asked) -> WholeExplanation:
        """Do it; see ``OwnEndpoint``.

        Raises:
            NotServed: There is no such decision.
        """
        found = await _found(self._past, asked, None)
        if found is None:
            raise NotServed(_NOT_HERE)
        revision = self._judgement.engine.revision
        tree = await self._explainer.tree(found.decision, in_force=revision)
        outlook = self._judgement.outlook(found.decision)
        return told_wholly(found, outlook, tree, revision=revision)


def _audit_id(asked: Asked, not_found: str) -> str:
    if asked.query:
        raise NotServed("an explanation takes no query")
    if _AUDIT_ID.fullmatch(asked.rest) is None:
        raise NotServed(not_found)
    return asked.rest


async def _found(past: PastDecisions, asked: Asked, owner: Identity | None) -> Found | None:
    def is_meant(record: DecisionRecord) -> bool:
        return owner is None or is_of(owner, record)

    caller = (asked.identity.issuer, asked.identity.username)
    return await past.find(asked.rest, is_meant, caller=caller)


def is_of(caller: Identity, record: DecisionRecord) -> bool:
    """Whether a recorded request was the caller's, by all that a record knows an identity by.

    A name that was cut or escaped could be another's, and so is nobody's.
    """
    user = record.user
    if user is None:
        return False
    recorded = (user.method, user.issuer, user.subject, user.name, user.uid)
    own = (caller.method, caller.issuer, caller.subject, caller.username, caller.uid)
    return recorded == own and all(is_whole(text) for text in recorded)
