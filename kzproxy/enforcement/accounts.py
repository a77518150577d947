"""The books of requests: what the log and the metrics are told of each, beside its decision."""

import msgspec

from kzproxy.attributes.request_info import StreamKind
from kzproxy.audit.decision_log import DecisionLog
from kzproxy.audit.records import abandoned_record, outcome_record, refusal_record
from kzproxy.audit.schema import Cause, DecisionRecord, Verdict
from kzproxy.clock.system import Clock
from kzproxy.enforcement.case import Case
from kzproxy.enforcement.standing import RememberedPermit
from kzproxy.errors.kinds import ProxyError, Unrecorded
from kzproxy.metrics.registry import Metrics
from kzproxy.transport.exchange import Exchange

_PERMIT = (Verdict.PERMIT, Cause.ALLOW_RULE)


class Accounts(msgspec.Struct, frozen=True, kw_only=True):
    """Sees to it that every request that was read is accounted for, once."""

    clock: Clock
    decisions: DecisionLog
    metrics: Metrics

    def count_decision(self, record: DecisionRecord) -> None:
        """Count a decision that stands in the log."""
        self.metrics.decisions.count((record.decision, record.cause))
        for failed in record.errors:
            self.metrics.rule_errors.labels(failed.rule).inc()
        if record.shadow is not None:
            self.metrics.count_disagreement(record.decision.value, record.shadow.decision.value)

    def count_permit_again(self, known: RememberedPermit) -> None:
        """Count the decision for a request that one before it decided."""
        self.metrics.decisions.count(_PERMIT)
        for rule in known.record.failed_rules:
            self.metrics.rule_errors.labels(rule).inc()

    async def refused(self, error: ProxyError, case: Case) -> ProxyError:
        """Log a request that policy never judged; what cannot be logged is answered with 503."""
        record = refusal_record(
            error, case.arrival, decided_at=self.clock.now(), caller=case.caller
        )
        # Where this is cancelled, the line is written all the same.
        case.recorded = True
        try:
            await self.decisions.record_decision(
                record, durable=False, is_counted=isinstance(error, Unrecorded)
            )
        except ProxyError as unwritten:
            return unwritten
        self.count_decision(record)
        return error

    def close(self, exchange: Exchange, case: Case) -> None:
        """Have the log say how every request that was read has ended."""
        ended = self.clock.monotonic()
        self._count(case, ended - case.started)
        if not case.recorded:
            self._record_abandoned(case)
        if case.owes_outcome:
            outcome = case.outcome(ended, exchange.bytes_taken, exchange.stream.bytes_sent)
            record = outcome_record(outcome, audit_id=case.audit_id, ended_at=self.clock.now())
            self.decisions.add_outcome(record)

    def _record_abandoned(self, case: Case) -> None:
        record = abandoned_record(
            case.ended_because, case.arrival, decided_at=self.clock.now(), caller=case.caller
        )
        self.decisions.add_decision(record)
        self.count_decision(record)

    def _count(self, case: Case, seconds: float) -> None:
        info = case.info
        verb = info.verb if info is not None else "unread"
        code = "none" if case.status_code is None else str(case.status_code)
        self.metrics.requests.count((verb, code, case.termination))
        if info is None or info.stream is StreamKind.NONE:
            self.metrics.request_seconds.observe(seconds)
