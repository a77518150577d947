"""What another policy would have answered to what a decision log holds."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import msgspec

from kzproxy.audit.lines import decision_in
from kzproxy.audit.records import verdict_of
from kzproxy.audit.replayable import NotReplayable, attributes_of, check_replayed
from kzproxy.audit.schema import DecisionRecord
from kzproxy.policy.engine import PolicyEngine


class UnreadableLog(Exception):
    """A file is no decision log; the message names the line."""


class Flip(NamedTuple):
    """Another answer to some of one user's requests.

    Attributes:
        was: ``permit``, ``deny`` or ``challenge``.
        becomes: Another one.
        old_rule: That the log names.
        new_rule: That the policy names now.
        user: Whose they were.
    """

    was: str
    becomes: str
    old_rule: str
    new_rule: str
    user: str


@dataclass(slots=True)
class Replayed:
    """What came of it.

    Attributes:
        judged: How many decisions were taken again.
        flips: How many came out otherwise, by what changed for whom.
        examples: The audit id of one of each.
        left_out: How many could not be taken again, by why.
    """

    judged: int = 0
    flips: Counter[Flip] = field(default_factory=Counter)
    examples: dict[Flip, str] = field(default_factory=dict)
    left_out: Counter[str] = field(default_factory=Counter)

    def take(self, engine: PolicyEngine, record: DecisionRecord) -> None:
        """Judge one record by ``engine``."""
        try:
            decision = engine.decide(attributes_of(record))
            check_replayed(record, decision)
        except NotReplayable as why:
            self.left_out[str(why)] += 1
            return
        self.judged += 1
        becomes = verdict_of(decision)
        if becomes is record.decision:
            return
        user = record.user.name if record.user is not None else ""
        flip = Flip(record.decision.value, becomes.value, record.rule, decision.rule, user)
        self.flips[flip] += 1
        self.examples.setdefault(flip, record.audit_id)


def decisions_in(
    logs: Iterable[Path], *, since: datetime | None = None, until: datetime | None = None
) -> Iterator[DecisionRecord]:
    """Read the decisions of some log files, one after the other, without gathering them.

    Raises:
        UnreadableLog: A file cannot be read, or a line is no record.
    """
    for path in logs:
        try:
            with path.open("rb") as lines:
                for number, line in enumerate(lines, 1):
                    record = _decision(path, number, line)
                    if record is not None and _is_within(record, since, until):
                        yield record
        except OSError as error:
            raise UnreadableLog(f"{path}: {error.strerror}") from error


def _decision(path: Path, number: int, line: bytes) -> DecisionRecord | None:
    try:
        return decision_in(line)
    except msgspec.MsgspecError as error:
        raise UnreadableLog(f"{path}:{number}: is no record of a decision log: {error}") from error


def _is_within(record: DecisionRecord, since: datetime | None, until: datetime | None) -> bool:
    return (since is None or record.received_at >= since) and (
        until is None or record.received_at < until
    )
