"""Hold clients' answers, decision records and kube-apiserver's audit log against each other.

Pure: what was read comes in, lines of the verdict go out.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from soak.records import AuditEvent, Life, Record
from soak.verdict import Line

# What kzproxy asks for itself. At its start: who it is, what it may, and whether it may impersonate
# somebody of a name that no user has.
_CHECK = "kzproxy-startup-check"
_CHECKED = frozenset({"selfsubjectreviews", "selfsubjectaccessreviews"})
_CHECKS_PER_LIFE = 3
# Which resources there are, for who asks what they may do.
_DISCOVERY = "kzproxy-discovery"


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
    permitted, events = _permitted(evidence), _of_users(evidence)
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
    counts = Counter(event.audit_id for event in _of_users(evidence))
    return Line(
        name="nothing reached kube-apiserver twice",
        found=f"{len(counts)} audit ids",
        problems=tuple(f"{each}: {count} times" for each, count in counts.items() if count > 1),
    )


def _permits_reached(evidence: Evidence) -> Line:
    """Ask the other way round, of what ended as it should: the rest may not have got so far."""
    reached = {event.audit_id for event in _of_users(evidence)}
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
    decisions = {record.audit_id: record for record in _decisions(evidence)}
    outcomes = {each.audit_id: each for life in evidence.lives for each in life.outcomes}
    # kubectl tells the headers of what it has cached again and again.
    counts = Counter(each.audit_id for each in evidence.answers if each.status is not None)
    problems = [f"{each}: answered {count} times" for each, count in counts.items() if count > 1]
    for answer in evidence.answers:
        decision = decisions.get(answer.audit_id)
        if decision is None:
            problems.append(f"{answer.what}: {answer.audit_id!r}: answered, and no record")
            continue
        permitted = decision.decision == "permit"
        told = outcomes.get(answer.audit_id) if permitted else decision
        if answer.status is not None and told is not None and answer.status != told.status_code:
            problems.append(
                f"{answer.what}: {answer.audit_id}: answered {answer.status}, the log says"
                f" {told.status_code}"
            )
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
    own = [event for event in evidence.events if not _is_of_user(event)]
    checks = sum(event.user_agent == _CHECK for event in own)
    expected = _CHECKS_PER_LIFE * len(evidence.lives)
    problems = [
        f"{event.audit_id}: {event.verb} {event.request_uri}: not known to be kzproxy's own"
        for event in own
        if not (_is_check(event) or _is_discovery(event))
    ]
    if checks != expected:
        problems.append(f"{checks} checks at starts, {expected} expected")
    return Line(
        name="kzproxy asks for itself what it should",
        found=f"{checks} at {len(evidence.lives)} starts, {len(own) - checks} for discovery",
        problems=tuple(problems),
    )


def _is_check(event: AuditEvent) -> bool:
    resource = event.object_ref.resource if event.object_ref else ""
    return event.user_agent == _CHECK and event.verb == "create" and resource in _CHECKED


def _is_discovery(event: AuditEvent) -> bool:
    return event.user_agent == _DISCOVERY and event.verb == "get" and event.object_ref is None


def _is_of_user(event: AuditEvent) -> bool:
    return event.impersonated_user is not None and event.impersonated_user.username != _CHECK


def _decisions(evidence: Evidence) -> list[Record]:
    return [record for life in evidence.lives for record in life.decisions]


def _permitted(evidence: Evidence) -> dict[str, Record]:
    return {record.audit_id: record for life in evidence.lives for record in life.permits}


def _of_users(evidence: Evidence) -> list[AuditEvent]:
    return [event for event in evidence.events if _is_of_user(event)]
