"""What is believed of a check that several speak of: pure.

The best source that knows anything counts. A lesser one can only take away: where it says that a
check failed of which the best says that it passed, nobody knows. It cannot make a failed check look
better, or whoever has root on a device could answer for the MDM. Two sources that are worth the
same and disagree leave it unknown. Nothing counts after its time.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime

import msgspec

from kzproxy.attributes.device import CheckResult, Fact


class Statement(msgspec.Struct, frozen=True, kw_only=True):
    """What one source says of one check.

    Attributes:
        source: Its name.
        rank: What its word is worth.
        fact: What it says.
        observed_at: Aware, UTC.
        expires_at: Aware, UTC; from then on it says nothing.
    """

    source: str
    rank: int
    fact: Fact
    observed_at: datetime
    expires_at: datetime


class Merged(msgspec.Struct, frozen=True, kw_only=True):
    """What is believed.

    Attributes:
        result: It holds until something else is said, or its time is over.
        is_disputed: Whether two sources that know something contradict each other.
    """

    result: CheckResult
    is_disputed: bool = False


def merged(statements: Sequence[Statement], now: datetime) -> Merged:
    """Merge at least one statement about the same check, in whatever order."""
    if len(statements) == 1:
        (one,) = statements
        return Merged(result=_result(one.fact if now < one.expires_at else Fact.UNKNOWN, [one]))
    known = [one for one in statements if one.fact is not Fact.UNKNOWN and now < one.expires_at]
    if not known:
        return Merged(result=_result(Fact.UNKNOWN, [max(statements, key=_weight)]))
    rank = max(one.rank for one in known)
    best = [one for one in known if one.rank == rank]
    is_disputed = len(_facts(known)) > 1
    if len(_facts(best)) > 1 or (is_disputed and best[0].fact is Fact.PASSED):
        first_end = min(one.expires_at for one in known)
        return Merged(result=_result(Fact.UNKNOWN, known, first_end), is_disputed=True)
    return Merged(result=_result(best[0].fact, best), is_disputed=is_disputed)


def _result(
    fact: Fact, sources: Sequence[Statement], expires_at: datetime | None = None
) -> CheckResult:
    if len(sources) == 1:
        (one,) = sources
        return CheckResult(
            fact=fact,
            observed_at=one.observed_at,
            expires_at=one.expires_at,
            source=one.source,
        )
    return CheckResult(
        fact=fact,
        observed_at=max(one.observed_at for one in sources),
        # As long as one of those who say the same says so.
        expires_at=expires_at or max(one.expires_at for one in sources),
        source=", ".join(sorted({one.source for one in sources})),
    )


def _facts(statements: Iterable[Statement]) -> set[Fact]:
    return {one.fact for one in statements}


def _weight(one: Statement) -> tuple[datetime, int, str, datetime]:
    return one.observed_at, one.rank, one.source, one.expires_at
