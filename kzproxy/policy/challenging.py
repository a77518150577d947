"""Whether a sign-in alone would meet what an allow rule asks, and what it would have to be like.

A ``when`` is not understood here: what it makes of a sign-in nobody can tell from outside.
"""

from collections.abc import Iterable, Sequence
from functools import partial

from msgspec.structs import replace

from kzproxy.attributes.attributes import Attributes
from kzproxy.attributes.identity import Identity
from kzproxy.attributes.spiffe import SERVICE_ACCOUNT_PREFIX
from kzproxy.policy.composed import OfNamed
from kzproxy.policy.condition import Condition
from kzproxy.policy.decision import Dependency
from kzproxy.policy.index import CompiledRule
from kzproxy.policy.place_and_time import OfTier
from kzproxy.policy.rules import SignIn
from kzproxy.policy.session_conditions import OfSession
from kzproxy.policy.sign_in import SignedIn
from kzproxy.policy.step_up import ANY_SIGN_IN, StepUp, combined
from kzproxy.policy.view import Judged, RequestView, told


def is_person(subject: Identity) -> bool:
    """Whether the caller can sign in at all: a workload cannot."""
    return not subject.spiffe_id and not subject.username.startswith(SERVICE_ACCOUNT_PREFIX)


def of_rule(compiled: CompiledRule, view: RequestView) -> StepUp | None:
    """Return the sign-in that meets all that a rule asks; None where it lacks something else too.

    What it asks of a sign-in and has already is in it, because the next one might lack that.
    """
    if any(each.sign_in is None for each in compiled.obligations.unmet(view)):
        return None
    asked = [_of_sign_in(each, view) for each in compiled.obligations.sign_ins]
    return _all_of([_of_conditions(compiled.check.conditions, view), *asked])


def signed_in(attributes: Attributes, wanted: StepUp) -> Attributes:
    """Return the request as it would be after such a sign-in."""
    at, subject = attributes.environment.received_at, attributes.subject
    fresh = replace(
        subject,
        authenticated_at=at,
        issued_at=at,
        session_began_at=at if subject.is_session else None,
        authentication_class=next(iter(wanted.acr_values), subject.authentication_class),
        authentication_methods=wanted.methods[:1] or subject.authentication_methods,
    )
    return replace(attributes, subject=fresh)


def _all_of(found: Iterable[StepUp | None]) -> StepUp | None:
    whole: StepUp | None = ANY_SIGN_IN
    for each in found:
        whole = combined(whole, each) if whole is not None and each is not None else None
    return whole


def _of_conditions(conditions: Iterable[Condition], view: RequestView) -> StepUp | None:
    return _all_of(_of_condition(each, view) for each in conditions)


def _of_condition(condition: Condition, view: RequestView) -> StepUp | None:
    match condition:
        case SignedIn():
            return _of_sign_in(condition.sign_in, view)
        case OfSession():
            return StepUp(max_age=condition.max_age)
        case OfNamed():
            return _of_named(condition, view)
        case OfTier() if not condition.below:
            return _of_one(view.tiers_from(condition.tier), view)
        case _ if Dependency.OBJECT in condition.depends_on:
            return ANY_SIGN_IN  # Whether it holds is for the trial to tell.
        case _:
            return ANY_SIGN_IN if _holds(condition, view) else None


def _of_sign_in(wanted: SignIn, view: RequestView) -> StepUp | None:
    if wanted.issuers and view.attributes.subject.issuer not in wanted.issuers:
        return None  # Another issuer knows another user.
    return StepUp(
        acr_values=tuple(sorted(wanted.classes)),
        methods=tuple(sorted(wanted.methods)),
        max_age=wanted.max_age,
    )


def _of_named(condition: OfNamed, view: RequestView) -> StepUp | None:
    found = [_of_conditions(view.behind(name).conditions, view) for name in condition.all_of]
    if condition.any_of:
        found.append(_of_one([view.behind(name) for name in condition.any_of], view))
    # What must not hold is none of a sign-in's to mend.
    is_spared = all(told(partial(view.named, name)) is False for name in condition.none_of)
    return _all_of(found) if is_spared else None


def _of_one(several: Sequence[Judged], view: RequestView) -> StepUp | None:
    """Return the sign-in with which one of them holds, or goes on to; the first that does."""
    ordered = sorted(several, key=lambda each: not _holds(each, view))
    found = (_of_conditions(each.conditions, view) for each in ordered)
    return next((each for each in found if each is not None), None)


def _holds(judged: Condition | Judged, view: RequestView) -> bool:
    """Whether it surely holds: a tier or an alternative that cannot be judged hides no other."""
    return told(partial(judged.value, view)) is True
