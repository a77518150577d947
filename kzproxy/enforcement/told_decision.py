"""What somebody is told of a decision, in words and as JSON: written here and nowhere else."""

from collections.abc import Sequence
from datetime import datetime

import msgspec
from msgspec import Raw, Struct

from kzproxy.audit.schema import Cause, CompletedRecord, DecisionRecord, Verdict
from kzproxy.audit.search import Found
from kzproxy.policy.mending import Step, Window

API_VERSION = "kzproxy.dev/v1"
_ANSWERS = {
    Verdict.PERMIT: "allowed",
    Verdict.DENY: "denied",
    Verdict.CHALLENGE: "challenged",
    Verdict.REFUSED: "refused",
}
_BAD_REQUEST = 400
_FORBIDDEN = 403

_ASK_FOR_ACCESS = (
    "if what is said above does not help, ask whoever runs kzproxy for access, with the audit id"
)
_SIGN_IN_SO = "sign in as is asked"
_TELL_WHO_RUNS_IT = "try again; if it stays so, tell whoever runs kzproxy the audit id"
_MEND_THE_REQUEST = "the program that sent the request must send another; the message says why"
_OBLIGATIONS = {
    "dryRunOnly": "do it as a dry run: kubectl with --dry-run=server",
    "readOnly": "get, list and watch are allowed, changes are not",
    "bound": "use a token that is bound to your client certificate",
}
_REFUSALS = {
    Cause.UNAUTHENTICATED: "sign in again",
    Cause.TOO_MANY_REQUESTS: "end some of what you have under way, or try again later",
    Cause.NOT_SERVED: "kzproxy has no such path",
    Cause.BAD_REQUEST: _MEND_THE_REQUEST,
    Cause.HEAD_TOO_LARGE: _MEND_THE_REQUEST,
    Cause.PAYLOAD_TOO_LARGE: _MEND_THE_REQUEST,
    Cause.EXPECTATION_FAILED: _MEND_THE_REQUEST,
    Cause.FORBIDDEN: _ASK_FOR_ACCESS,
}


class _Part(Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """A part of the answer; what is empty is left out."""


class AskedFor(_Part, frozen=True, kw_only=True):
    """What was asked, as kzproxy read it."""

    at: datetime
    verb: str = ""
    api_group: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    path: str = ""


class ToldStep(_Part, frozen=True, kw_only=True):
    """One thing to do, and the command that does it where there is one."""

    kind: str
    text: str
    command: str = ""


class ToDo(_Part, frozen=True, kw_only=True):
    """What to do about a refusal.

    Attributes:
        text: In words, whatever it is.
        steps: All of them together have the request allowed, as things are; may be empty.
        allowed_now: The same request would be allowed now.
        allowed_from: When time alone has it allowed.
        allowed_until: When time alone ends that again; None where it never does, or not soon.
    """

    text: str
    steps: tuple[ToldStep, ...] = ()
    allowed_now: bool = False
    allowed_from: datetime | None = None
    allowed_until: datetime | None = None


class Ended(_Part, frozen=True, kw_only=True):
    """How a request that was allowed ended."""

    status_code: int | None = None
    termination: str
    message: str = ""


class DecisionExplanation(_Part, frozen=True, kw_only=True, tag_field="kind"):
    """Why one request was answered as it was.

    Attributes:
        answer: ``allowed``, ``denied`` by policy, ``challenged`` to sign in more freshly or more
            strongly, or ``refused`` before policy was asked.
        message: What the user was told then.
        failed: What was not met, and what there was instead.
        unmet: Obligations of ``rule`` that were not met.
        policy_has_changed: Another policy is in force than the one that decided; ``to_do`` speaks
            of the one in force.
        user: Whose request it was; told to others alone.
    """

    api_version: str
    audit_id: str = msgspec.field(name="auditID")
    asked: AskedFor
    answer: str
    cause: str
    rule: str = ""
    message: str = ""
    failed: str = ""
    unmet: tuple[str, ...] = ()
    to_do: ToDo | None = None
    valid_until: datetime | None = None
    ended: Ended | None = None
    policy_has_changed: bool = False


class PolicyTree(_Part, frozen=True, kw_only=True, omit_defaults=False):
    """How policy judges a request, part by part.

    Attributes:
        decided_by: Revision of the policy that decided.
        in_force: Of the one that is in force now.
        explained_by: Of the one that ``tree`` is about; empty where there is no tree.
        tree: As ``kzproxy policy explain -o json`` prints it, with ``text``, the same in lines, and
            ``policyRevision``; null where there is none.
        missing: Why there is none.
    """

    decided_by: str
    in_force: str
    explained_by: str = ""
    tree: Raw = Raw(b"null")
    missing: str = ""


class WholeExplanation(_Part, frozen=True, kw_only=True, tag_field="kind"):
    """All that is known of a decision, for those whom policy lets see it.

    Attributes:
        user: Whose request it was; empty where nobody was known.
        groups: Theirs, as they were judged.
        source: The address that it came from.
    """

    api_version: str
    user: str = ""
    groups: tuple[str, ...] = ()
    source: str = ""
    decision: DecisionExplanation
    policy: PolicyTree


class Outlook(Struct, frozen=True, kw_only=True):
    """What became of a request that was denied, were it sent again.

    Attributes:
        unmet: Obligations that were not met when it was judged.
        window: When time alone has it allowed; None where that is not known.
        allowed_now: That window is open.
        steps: Would have it allowed now; empty where none are known.
    """

    unmet: tuple[str, ...] = ()
    window: Window | None = None
    allowed_now: bool = False
    steps: tuple[Step, ...] = ()


UNKNOWN = Outlook()


def told(found: Found, outlook: Outlook, *, revision: str) -> DecisionExplanation:
    """Say what came of a request; ``revision`` is of the policy in force."""
    record, outcome = found.decision, found.outcome
    return DecisionExplanation(
        api_version=API_VERSION,
        audit_id=record.audit_id,
        asked=_asked_for(record),
        answer=_ANSWERS[record.decision],
        cause=record.cause.value,
        rule=record.rule,
        message=record.message,
        failed=_failed(record, outcome),
        unmet=outlook.unmet,
        to_do=_to_do(record, outcome, outlook),
        valid_until=record.valid_until,
        ended=None if outcome is None else _ended(outcome),
        policy_has_changed=record.policy_revision not in ("", revision),
    )


def told_wholly(
    found: Found, outlook: Outlook, tree: PolicyTree, *, revision: str
) -> WholeExplanation:
    """Say all."""
    record = found.decision
    return WholeExplanation(
        api_version=API_VERSION,
        user=record.user.name if record.user is not None else "",
        groups=record.user.groups if record.user is not None else (),
        source=record.source.address,
        decision=told(found, outlook, revision=revision),
        policy=tree,
    )


def _asked_for(record: DecisionRecord) -> AskedFor:
    asked = record.request
    return AskedFor(
        at=record.received_at,
        verb=asked.verb,
        api_group=asked.group,
        resource=asked.resource,
        subresource=asked.subresource,
        namespace=asked.namespace,
        name=asked.name,
        path=asked.path,
    )


def _ended(outcome: CompletedRecord) -> Ended:
    return Ended(
        status_code=outcome.status_code,
        termination=outcome.termination.value,
        message=outcome.message,
    )


def _failed(record: DecisionRecord, outcome: CompletedRecord | None) -> str:
    match record.decision:
        case Verdict.DENY | Verdict.CHALLENGE:
            return record.hint or "no rule means you and this request"
        case Verdict.REFUSED:
            return record.message
        case Verdict.PERMIT:
            return _failed_later(record, outcome)


def _failed_later(record: DecisionRecord, outcome: CompletedRecord | None) -> str:
    """Say what became of a request that kzproxy permitted, where it was not done all the same."""
    if outcome is None or record.cause is Cause.OWN_ENDPOINT:
        return ""
    if outcome.message:
        return outcome.message
    if outcome.status_code == _FORBIDDEN:
        return "kzproxy permitted it; kube-apiserver refused it, by its own RBAC or admission"
    if outcome.status_code is not None and outcome.status_code >= _BAD_REQUEST:
        return f"kzproxy permitted it; kube-apiserver answered {outcome.status_code}"
    return ""


def _to_do(
    record: DecisionRecord, outcome: CompletedRecord | None, outlook: Outlook
) -> ToDo | None:
    match record.decision:
        case Verdict.DENY:
            return _after_denial(record, outlook)
        case Verdict.CHALLENGE:
            return _after_challenge(record, outlook)
        case Verdict.REFUSED:
            return _after_refusal(record)
        case Verdict.PERMIT if outcome is not None and outcome.status_code == _FORBIDDEN:
            return ToDo(text="ask whoever grants rights in the cluster for this one")
        case Verdict.PERMIT:
            return None


def _after_denial(record: DecisionRecord, outlook: Outlook) -> ToDo:
    window = outlook.window
    if outlook.allowed_now:
        until = window.closes_at if window is not None else None
        text = "do it again: it would be allowed now"
        return ToDo(text=text, allowed_now=True, allowed_until=until)
    steps = tuple(_told_step(step) for step in outlook.steps)
    text = " and ".join(step.text for step in steps)
    if window is not None:
        wait = f"wait until {window.opens_at:%Y-%m-%dT%H:%M:%SZ}"
        text = f"{text}; or {wait}" if text else wait
    return ToDo(
        text=text or _last_resort(record, outlook.unmet),
        steps=steps,
        allowed_from=None if window is None else window.opens_at,
        allowed_until=None if window is None else window.closes_at,
    )


def _after_challenge(record: DecisionRecord, outlook: Outlook) -> ToDo:
    """Name the sign-in that was asked for where nothing is known of now."""
    if outlook != UNKNOWN or record.step_up is None:
        return _after_denial(record, outlook)
    command = record.step_up.command
    return ToDo(
        text=_SIGN_IN_SO, steps=(ToldStep(kind="sign-in", text=_SIGN_IN_SO, command=command),)
    )


def _told_step(step: Step) -> ToldStep:
    return ToldStep(kind=step.kind.value, text=step.text, command=step.command)


def _last_resort(record: DecisionRecord, unmet: Sequence[str]) -> str:
    known = [_OBLIGATIONS[name] for name in unmet if name in _OBLIGATIONS]
    if known and len(known) == len(unmet):
        return "; ".join(known)
    if record.cause is Cause.RULE_ERROR:
        return f"tell whoever runs kzproxy that rule {record.rule} cannot be judged"
    return _ASK_FOR_ACCESS


def _after_refusal(record: DecisionRecord) -> ToDo:
    text = _REFUSALS.get(record.cause, _TELL_WHO_RUNS_IT)
    if record.cause is not Cause.UNAUTHENTICATED:
        return ToDo(text=text)
    step = ToldStep(kind="sign-in", text=text, command="kzproxy login")
    return ToDo(text=text, steps=(step,))
