"""Which obligations of an allow rule are not met, and what would meet them."""

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import NamedTuple

from kzproxy.policy.condition import Ask
from kzproxy.policy.decision import Dependency
from kzproxy.policy.obligations import Obligations
from kzproxy.policy.rules import SignIn
from kzproxy.policy.sign_in import (
    sign_in_found,
    sign_in_words,
    signed_in_so,
    turn,
)
from kzproxy.policy.view import RequestView, earliest

_READS = frozenset({"get", "list", "watch"})
_URL_READS = frozenset({"get", "head"})


class Unmet(NamedTuple):
    """One obligation that is not met.

    Attributes:
        name: As policies write it.
        mend: What the user can do.
        sign_in: That would meet it; None where none would.
    """

    name: str
    mend: str
    sign_in: SignIn | None = None


class _Asked(NamedTuple):
    """One obligation that can be judged before the request is sent."""

    name: str
    is_met: Ask
    mend: Callable[[RequestView], str]
    sign_in: SignIn | None = None


class ObligationCheck:
    """The obligations of one rule, ready to be asked.

    Attributes:
        sign_ins: What they ask of a sign-in.
    """

    __slots__ = ("_ages", "_asked", "sign_ins")

    def __init__(self, obligations: Obligations) -> None:
        mfa = obligations.mfa.max_age if obligations.mfa is not None else None
        self._ages = [age for age in (obligations.reauth, mfa) if age is not None]
        self._asked = tuple(_asked(obligations))
        self.sign_ins = [each.sign_in for each in self._asked if each.sign_in is not None]

    def unmet(self, view: RequestView) -> tuple[Unmet, ...]:
        """Return those that are not met, or of which nobody can tell."""
        if not self._asked:
            return ()
        missed = [each for each in self._asked if each.is_met(view) is not True]
        return tuple([Unmet(each.name, each.mend(view), each.sign_in) for each in missed])

    def turns_at(self, view: RequestView) -> datetime | None:
        """Return when time alone will have them unmet."""
        if not self._ages:
            return None
        since = view.attributes.subject.authenticated_at
        return earliest([turn(view, since, age) for age in self._ages])


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


def _asked(obligations: Obligations) -> Iterator[_Asked]:
    yield from _of_sign_in(obligations)
    if obligations.reason:
        yield _Asked(
            "reason",
            lambda view: bool(view.attributes.environment.reason),
            lambda _: 'a reason (give one with `kzproxy reason "why"`)',
        )
    if obligations.read_only:
        yield _Asked("readOnly", _reads, lambda _: "a request that only reads")
    if obligations.dry_run_only:
        mend = "a dry run (kubectl --dry-run=server)"
        yield _Asked("dryRunOnly", _changes_nothing, lambda _: mend)
    if obligations.bound:
        yield _Asked(
            "bound",
            lambda view: bool(view.attributes.subject.confirmation),
            lambda _: "a token that is bound to your client certificate",
        )


def _of_sign_in(obligations: Obligations) -> Iterator[_Asked]:
    if (mfa := obligations.mfa) is not None:
        wanted = SignIn(max_age=mfa.max_age, classes=mfa.classes, methods=mfa.methods)
        yield _Asked("mfa", signed_in_so(mfa), _sign_in(wanted), wanted)
    if (age := obligations.reauth) is not None:
        wanted = SignIn(max_age=age)
        yield _Asked("reauth", signed_in_so(wanted), _sign_in(wanted), wanted)


def _sign_in(wanted: SignIn) -> Callable[[RequestView], str]:
    words = sign_in_words(wanted)
    return lambda view: f"a sign-in {words} ({sign_in_found(view)})"


def _reads(view: RequestView) -> bool:
    request = view.attributes.request
    return request.verb in (_READS if request.is_resource else _URL_READS)


def _changes_nothing(view: RequestView) -> bool:
    request = view.attributes.request
    return _reads(view) or (request.is_dry_run and request.verb not in ("connect", "proxy"))
