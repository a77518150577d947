"""One decision of a log, as it was taken."""

from collections.abc import Iterable
from pathlib import Path

import msgspec

from kzproxy.attributes.attributes import Attributes
from kzproxy.audit.records import verdict_of
from kzproxy.audit.replayable import NotReplayable, attributes_of, check_replayed
from kzproxy.audit.schema import DecisionRecord
from kzproxy.policy.decision import Decision, Dependency
from kzproxy.policy_tools.replay import decisions_in


class NotInLog(Exception):
    """No record has that audit id, or it does not say enough; the message says which."""


class Logged(msgspec.Struct, frozen=True, kw_only=True):
    """What the log says of one request.

    Attributes:
        attributes: What was judged, as far as it is in the log.
    """

    record: DecisionRecord
    attributes: Attributes

    def notes(self, decision: Decision) -> list[str]:
        """Say what the log says, and in what ``decision`` may differ from it.

        ``decision`` may have been taken on more than is in the log.
        """
        record = self.record
        rule = f" by rule {record.rule}" if record.rule else ""
        notes = [f"in the log: {record.decision.value} ({record.cause.value}){rule}"]
        if record.policy_revision != decision.revision:
            notes.append("by another policy: what follows is by the one given here")
        try:
            check_replayed(record, decision, given=_given(decision.attributes))
        except NotReplayable as why:
            notes.append(f"not certain: {why}")
        if record.decision is not verdict_of(decision):
            notes.append("it comes out otherwise here")
        return notes


def logged_decision(logs: Iterable[Path], audit_id: str) -> Logged:
    """Find the decision about one request.

    Raises:
        NotInLog: There is none, or it cannot be taken again.
        UnreadableLog: A log cannot be read.
    """
    record = next((one for one in decisions_in(logs) if one.audit_id == audit_id), None)
    if record is None:
        raise NotInLog(f"no decision has the audit id {audit_id}")
    try:
        return Logged(record=record, attributes=attributes_of(record))
    except NotReplayable as why:
        raise NotInLog(f"{audit_id} cannot be explained by a policy: {why}") from why


def _given(attributes: Attributes) -> frozenset[Dependency]:
    found = {
        Dependency.OBJECT: attributes.api_object,
        Dependency.NAMESPACE: attributes.namespace_labels,
    }
    return frozenset(dependency for dependency, fact in found.items() if fact is not None)
