"""Which obligations of an allow rule are not met, and what would meet them."""

from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple

from kzproxy.policy.decision import Dependency
from kzproxy.policy.obligations import NO_OBLIGATIONS, MultiFactor, Obligations
from kzproxy.policy.rules import SignIn
from kzproxy.policy.sign_in import (
    duration_words,
    sign_in_found,
    sign_in_words,
    signed_in_so,
    turn,
    within,
)
from kzproxy.policy.view import RequestView, earliest

_READS = frozenset({"get", "list", "watch"})
_URL_READS = frozenset({"get", "head"})


class Unmet(NamedTuple):
    """One obligation that is not met.

    Attributes:
        name: As policies write it.
        mend: What the user can do.
    """

    name: str
    mend: str


def unmet_obligations(obligations: Obligations, view: RequestView) -> tuple[Unmet, ...]:
    """Return those that can be judged before the request is sent, and are not met."""
    if obligations is NO_OBLIGATIONS:
        return ()
    return tuple(_unmet(obligations, view))


def obligations_turn_at(obligations: Obligations, view: RequestView) -> datetime | None:
    """Return when time alone will have them unmet."""
    since = view.attributes.subject.authenticated_at
    mfa = obligations.mfa.max_age if obligations.mfa is not None else None
    ages = [age for age in (obligations.reauth, mfa) if age is not None]
    return earliest([turn(view, since, age) for age in ages])


def obligations_rest_on(obligations: Obligations) -> frozenset[Dependency]:
    """Return the kinds of fact that they rest on."""
    rests = set()
    if obligations.mfa is not None or obligations.reauth is not None:
        rests |= {Dependency.AUTHENTICATION, Dependency.TIME}
    if obligations.reason:
        rests.add(Dependency.REASON)
    if obligations.read_only or obligations.dry_run_only:
        rests.add(Dependency.REQUEST)
    return frozenset(rests)


def _unmet(obligations: Obligations, view: RequestView) -> Iterator[Unmet]:
    subject = view.attributes.subject
    if obligations.mfa is not None and signed_in_so(obligations.mfa, view) is not True:
        yield Unmet("mfa", f"a sign-in {_mfa_words(obligations.mfa)} ({sign_in_found(view)})")
    if obligations.reauth is not None and not within(
        view, subject.authenticated_at, obligations.reauth
    ):
        age = duration_words(obligations.reauth)
        yield Unmet("reauth", f"a sign-in at most {age} old ({sign_in_found(view)})")
    if obligations.reason and not view.attributes.environment.reason:
        yield Unmet("reason", 'a reason (give one with `kzproxy reason "why"`)')
    if obligations.read_only and not _reads(view):
        yield Unmet("readOnly", "a request that only reads")
    if obligations.dry_run_only and not _changes_nothing(view):
        yield Unmet("dryRunOnly", "a dry run (kubectl --dry-run=server)")
    if obligations.bound and not subject.confirmation:
        yield Unmet("bound", "a token that is bound to your client certificate")


def _mfa_words(mfa: MultiFactor) -> str:
    return sign_in_words(SignIn(max_age=mfa.max_age, classes=mfa.classes, methods=mfa.methods))


def _reads(view: RequestView) -> bool:
    request = view.attributes.request
    return request.verb in (_READS if request.is_resource else _URL_READS)


def _changes_nothing(view: RequestView) -> bool:
    request = view.attributes.request
    return _reads(view) or (request.is_dry_run and request.verb not in ("connect", "proxy"))
