"""Hold answers, upstream requests and decision records against each other, one to one."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

import msgspec

from bench.load import Report
from bench.upstreams import Counts


class MismatchError(Exception):
    """What was answered, asked upstream and written down is not the same."""


class _Record(msgspec.Struct):
    """As much of a decision log's record as is compared."""

    kind: str = ""
    audit_id: str = ""
    decision: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Records:
    """What a decision log holds.

    Attributes:
        permits: The audit ids of what was permitted.
        completed: The audit ids of what has ended.
        refusals: How many decisions were no permit.
    """

    permits: tuple[str, ...]
    completed: tuple[str, ...]
    refusals: int

    @classmethod
    def read(cls, logs: Iterable[Path]) -> "Records":
        """Read all of ``logs``."""
        decoder = msgspec.json.Decoder(_Record)
        permits: list[str] = []
        completed: list[str] = []
        refusals = 0
        for log in logs:
            with log.open("rb") as lines:
                for line in lines:
                    record = decoder.decode(line)
                    if record.kind == "completed":
                        completed.append(record.audit_id)
                    elif record.kind == "decision" and record.decision == "permit":
                        permits.append(record.audit_id)
                    elif record.kind == "decision":
                        refusals += 1
        return cls(permits=tuple(permits), completed=tuple(completed), refusals=refusals)


def audit_sum(ids: Iterable[str]) -> int:
    """Return the sum of the CRC-32 of ``ids``: what load generator and upstream keep of theirs."""
    return sum(crc32(each.encode()) for each in ids)


def check_upstream(name: str, reports: Sequence[Report], counts: Counts) -> None:
    """Compare answers with what the upstream was asked, for any system.

    Raises:
        MismatchError: They differ.
    """
    answers = sum(report.all_answers for report in reports)
    _same(name, "answers", answers, "upstream requests", counts.requests)


def check_audit_ids(name: str, reports: Sequence[Report], counts: Counts) -> None:
    """Compare them one by one, for a system that impersonates and sends audit ids.

    Raises:
        MismatchError: They differ.
    """
    _same(name, "requests", counts.requests, "impersonated ones", counts.impersonated)
    _same(name, "requests", counts.requests, "ones with an audit id", counts.audit_ids)
    answered = sum(report.all_audit_ids for report in reports)
    _same(name, "requests", counts.requests, "answers with an audit id", answered)
    total = sum(report.audit_sum for report in reports)
    _same(name, "the sum of the upstream's audit ids", counts.audit_sum, "of the answers'", total)


def check_records(name: str, reports: Sequence[Report], records: Records) -> None:
    """Compare answers with the decision log of a system that has one.

    Raises:
        MismatchError: They differ.
    """
    answers = sum(report.all_answers for report in reports)
    total = sum(report.audit_sum for report in reports)
    refused = sum(report.refused for report in reports)
    _same(name, "answers", answers, "records of permits", len(records.permits))
    _same(name, "the sum of the answers' audit ids", total, "of the permits'", _sum(records))
    _same(name, "refusals", refused, "records of refusals", records.refusals)
    if Counter(records.permits) != Counter(records.completed):
        raise MismatchError(f"{name}: what was permitted is not what has ended, in the records")
    if len(set(records.permits)) != len(records.permits):
        raise MismatchError(f"{name}: an audit id was used twice")


def _sum(records: Records) -> int:
    return audit_sum(records.permits)


def _same(name: str, what: str, one: int, other_what: str, other: int) -> None:
    if one != other:
        raise MismatchError(f"{name}: {what}: {one}, {other_what}: {other}")
