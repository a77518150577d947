"""Hold clients' answers, decision records and kube-apiserver's audit log against each other.

Pure: what was read comes in, lines of the verdict go out.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from soak.records import AuditEvent, Life, Record
from soak.verdict import Line

# What kzproxy asks for itself: who it is and whether it may impersonate.
_OWN_RESOURCES = frozenset({"selfsubjectreviews", "selfsubjectaccessreviews"})
_OWN_PATHS = frozenset({"/version"})
_FORBIDDEN = 403


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a client was answered.

    Attributes:
        status: None where the client does not say, as kubectl.
    """

    audit_id: str
    what: str
    status: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """All that is compared.

    Attributes:
        lives: Of all workers.
        events: kube-apiserver's, of kzproxy's own account.
        answers: Those that reached a client.
        kills: How often each worker was killed.
        in_flight_at_most: How many requests there can have been under way at one time.
    """

    lives: Sequence[Life]
    events: Sequence[AuditEvent]
    answers: Sequence[Answer]
    kills: Mapping[int, int]
    in_flight_at_most: int


def accounts(evidence: Evidence) -> list[Line]:
    """Return a line for each way in which the three could differ."""
    return [
        _decided_once(evidence),
        _reached_by_permit(evidence),
        _reached_once(evidence),
        _permits_reached(evidence),
        _outcomes(evidence),
        _killed(evidence),
        _answers(evidence),
        _gaps(evidence),
        _own(evidence),
    ]


def unfinished(lives: Iterable[Life]) -> list[tuple[Life, list[Record]]]:
    """Return for every life that was cut off the permits that it could not say the end of."""
    found = []
    for life in lives:
        ended = {outcome.audit_id for outcome in life.outcomes}
        if not life.in_order:
            found.append((life, [each for each in life.permits if each.audit_id not in ended]))
    return found


def _decided_once(evidence: Evidence) -> Line:
    decisions = _decisions(evidence)
    permits = sum(len(life.permits) for life in evidence.lives)
    counts = Counter(record.audit_id for record in decisions)
    return Line(
        name="every request is decided on once",
        found=f"{len(decisions)} decisions, {permits} permits",
        problems=tuple(f"{each}: {count} decisions" for each, count in counts.items() if count > 1),
    )


def _reached_by_permit(evidence: Evidence) -> Line:
    permitted, events = _permitted(evidence), _impersonated(evidence)
    return Line(
        name="what reached kube-apiserver was permitted",
        found=f"{len(events)} requests of users",
        problems=tuple(
            f"{event.audit_id}: {event.verb} {event.request_uri}: no record of a permit"
            for event in events
            if event.audit_id not in permitted
        ),
    )


def _reached_once(evidence: Evidence) -> Line:
    counts = Counter(event.audit_id for event in _impersonated(evidence))
    return Line(
        name="nothing reached kube-apiserver twice",
        found=f"{len(counts)} audit ids",
        problems=tuple(f"{each}: {count} times" for each, count in counts.items() if count > 1),
    )


def _permits_reached(evidence: Evidence) -> Line:
    """Ask the other way round, of what ended as it should: the rest may not have got so far."""
    reached = {event.audit_id for event in _impersonated(evidence)}
    normal = {
        outcome.audit_id
        for life in evidence.lives
        for outcome in life.outcomes
        if outcome.termination == "normal"
    }
    expected = {
        audit_id: record
        for audit_id, record in _permitted(evidence).items()
        if audit_id in normal and record.cause != "own-endpoint"
    }
    return Line(
        name="what was permitted and answered reached it",
        found=f"{len(expected)} permits that ended normally",
        problems=tuple(
            f"{audit_id}: {record.asked}: not in kube-apiserver's audit log"
            for audit_id, record in expected.items()
            if audit_id not in reached
        ),
    )


def _outcomes(evidence: Evidence) -> Line:
    problems: list[str] = []
    total = 0
    for life in evidence.lives:
        permits = {record.audit_id: record for record in life.permits}
        counts = Counter(outcome.audit_id for outcome in life.outcomes)
        total += len(life.outcomes)
        problems += [
            f"worker {life.worker}: {each}: {count} outcomes of one permit"
            for each, count in counts.items()
            if count > 1
        ]
        problems += [
            f"worker {life.worker}: {each}: an outcome of no permit"
            for each in counts
            if each not in permits
        ]
        if life.in_order:
            problems += [
                f"worker {life.worker}: {each}: {record.asked}: no outcome"
                for each, record in permits.items()
                if each not in counts
            ]
    return Line(
        name="every permit has one outcome", found=f"{total} outcomes", problems=tuple(problems)
    )


def _killed(evidence: Evidence) -> Line:
    cut_off = unfinished(evidence.lives)
    lives = Counter(life.worker for life, _ in cut_off)
    kills = Counter(evidence.kills)
    workers = sorted(set(lives) | set(kills))
    problems = [
        f"worker {each}: {lives[each]} lives without a last record, {kills[each]} kills"
        for each in workers
        if lives[each] != kills[each]
    ]
    problems += [
        f"worker {life.worker}: {len(missing)} permits without an outcome at one kill,"
        f" at most {evidence.in_flight_at_most} were under way"
        for life, missing in cut_off
        if len(missing) > evidence.in_flight_at_most
    ]
    total = sum(len(missing) for _, missing in cut_off)
    return Line(
        name="only killed workers lack outcomes",
        found=f"{sum(lives.values())} kills, {total} requests under way at them",
        problems=tuple(problems),
    )


def _answers(evidence: Evidence) -> Line:
    verdicts = {record.audit_id: record for record in _decisions(evidence)}
    counts = Counter(answer.audit_id for answer in evidence.answers)
    problems = [f"{each}: answered {count} times" for each, count in counts.items() if count > 1]
    for answer in evidence.answers:
        record = verdicts.get(answer.audit_id)
        if record is None:
            problems.append(f"{answer.what}: answered as {answer.audit_id!r}: no record")
        elif answer.status is not None and record.decision != "permit":
            if answer.status != record.status_code:
                problems.append(f"{answer.what}: {answer.status}, the record: {record.status_code}")
        elif answer.status == _FORBIDDEN:
            problems.append(f"{answer.what}: 403 of what was permitted: {answer.audit_id}")
    return Line(
        name="every answer to a client has a record",
        found=f"{len(evidence.answers)} answers",
        problems=tuple(problems),
    )


def _gaps(evidence: Evidence) -> Line:
    gaps = [(life.worker, gap) for life in evidence.lives for gap in life.gaps]
    return Line(
        name="the decision log lacks nothing",
        found=f"{len(gaps)} gaps",
        problems=tuple(
            f"worker {worker}: {gap.refused} refused, {gap.lost} lost" for worker, gap in gaps
        ),
    )


def _own(evidence: Evidence) -> Line:
    own = [event for event in evidence.events if event.impersonated_user is None]
    return Line(
        name="kzproxy's account asks little for itself",
        found=f"{len(own)} requests",
        problems=tuple(
            f"{event.audit_id}: {event.verb} {event.request_uri}"
            for event in own
            if not _is_known_own(event)
        ),
    )


def _is_known_own(event: AuditEvent) -> bool:
    if event.object_ref is None:
        return event.request_uri in _OWN_PATHS
    return event.object_ref.resource in _OWN_RESOURCES


def _decisions(evidence: Evidence) -> list[Record]:
    return [record for life in evidence.lives for record in life.decisions]


def _permitted(evidence: Evidence) -> dict[str, Record]:
    return {record.audit_id: record for life in evidence.lives for record in life.permits}


def _impersonated(evidence: Evidence) -> list[AuditEvent]:
    return [event for event in evidence.events if event.impersonated_user is not None]
