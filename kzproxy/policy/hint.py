"""What a refused user can do about it, in words; only of rules that mean this user."""

from collections.abc import Sequence

from kzproxy.policy.condition import Condition
from kzproxy.policy.index import CompiledMatch, CompiledRule
from kzproxy.policy.obligation_check import Unmet
from kzproxy.policy.place_and_time import Enrolled, FromNetwork, InTime
from kzproxy.policy.reach import allows_namespace
from kzproxy.policy.rules import SignIn
from kzproxy.policy.sign_in import duration_words, sign_in_known, sign_in_words
from kzproxy.policy.step_up import StepUp
from kzproxy.policy.view import RequestView


def unmet_hint(compiled: CompiledRule, unmet: Sequence[Condition], view: RequestView) -> str:
    """Say which conditions of an allow rule were not met, and what would change that."""
    wanted = " and ".join(f"{each.asked()} ({each.found(view)})" for each in unmet)
    return _with_message(f"rule {compiled.rule.id} wants {wanted}", compiled)


def obligation_hint(compiled: CompiledRule, unmet: Sequence[Unmet]) -> str:
    """Say what an allow rule asks of whom it lets in."""
    wanted = " and ".join(each.mend for each in unmet)
    return _with_message(f"rule {compiled.rule.id} asks for {wanted}", compiled)


def challenge_hint(compiled: CompiledRule, step_up: StepUp, view: RequestView) -> str:
    """Say what sign-in an allow rule would let in, and the one command that brings it about."""
    wanted = SignIn(
        max_age=step_up.max_age,
        classes=frozenset(step_up.acr_values),
        methods=frozenset(step_up.methods),
    )
    began = view.attributes.subject.session_began_at
    session = ""
    if began is not None:
        age = view.attributes.environment.received_at - began
        session = f", in a session of {duration_words(age)}"
    return _with_message(
        f"rule {compiled.rule.id} asks for a sign-in {sign_in_words(wanted)}"
        f" ({sign_in_known(view)}{session}); sign in again with `{step_up.command}`",
        compiled,
    )


def elsewhere_hint(candidate: CompiledMatch, view: RequestView) -> str:
    """Say which namespaces or names an allow rule covers instead of the ones asked for."""
    rule, match, request = candidate.compiled.rule, candidate.match, view.attributes.request
    if candidate.namespaces is not None and not (
        request.namespace and candidate.namespaces.hold(request.namespace)
    ):
        asked = request.namespace or "a request without a namespace"
        return f"rule {rule.id} covers namespaces {', '.join(match.namespaces)}, not {asked}"
    if not allows_namespace(candidate, view.attributes):
        asked = request.namespace or "a request without a namespace"
        return f"rule {rule.id} covers namespaces with certain labels, not {asked}"
    if candidate.names is not None and not (request.name and candidate.names.hold(request.name)):
        asked = request.name or "a request without a name"
        return f"rule {rule.id} covers names {', '.join(match.names)}, not {asked}"
    selectors = ", ".join(
        f"{key}={value}" for key, value in sorted(match.label_equalities | match.field_equalities)
    )
    if selectors:
        return f"rule {rule.id} covers lists that select {selectors}"
    return f"rule {rule.id} leaves out {request.qualified_resource}"


def denied_hint(compiled: CompiledRule, view: RequestView) -> str:
    """Say under which conditions a deny rule denies."""
    when = "".join(f" {_denied_when(each, view)}" for each in compiled.check.conditions)
    return _with_message(f"rule {compiled.rule.id} denies this{when}", compiled)


def _with_message(text: str, compiled: CompiledRule) -> str:
    return f"{text}. {compiled.rule.message}" if compiled.rule.message else text


def _denied_when(condition: Condition, view: RequestView) -> str:
    match condition:
        case FromNetwork():
            return f"from {condition.asked()} ({condition.found(view)})"
        case InTime():
            return condition.until_words(view)
        case Enrolled():
            return f"without an enrolled device ({condition.found(view)})"
        case _:
            return f"for {condition.asked()} ({condition.found(view)})"
