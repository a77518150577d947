"""Conditions on who calls: how they signed in, as what workload."""

# ruff: noqa: D102 - what the methods do is said of Condition

from collections.abc import Sequence
from datetime import datetime, timedelta

from kzproxy.policy.condition import Ask, Timeless, together
from kzproxy.policy.decision import Dependency
from kzproxy.policy.glob import Names
from kzproxy.policy.obligations import MultiFactor
from kzproxy.policy.rules import SignIn
from kzproxy.policy.view import RequestView


class SignedIn:
    """The person signed in in a certain way, at most so long ago."""

    name = "authentication"
    about = Dependency.AUTHENTICATION

    def __init__(self, sign_in: SignIn) -> None:
        self.sign_in = sign_in
        with_time = {Dependency.TIME} if sign_in.max_age is not None else set()
        self.depends_on = frozenset({Dependency.AUTHENTICATION, *with_time})

        self.value = signed_in_so(sign_in)

    def turns_at(self, view: RequestView) -> datetime | None:
        since = view.attributes.subject.authenticated_at
        return turn(view, since, self.sign_in.max_age)

    def asked(self) -> str:
        return f"a sign-in {sign_in_words(self.sign_in)}"

    def found(self, view: RequestView) -> str:
        return sign_in_found(view)


class OfWorkload(Timeless):
    """The caller is a workload with one of some SPIFFE IDs."""

    name = "workload"
    about = Dependency.IDENTITY
    depends_on = frozenset({Dependency.IDENTITY})

    def __init__(self, patterns: Sequence[str]) -> None:
        self._patterns = tuple(patterns)
        self._names = Names(self._patterns)

    def value(self, view: RequestView) -> bool:
        spiffe_id = view.attributes.subject.spiffe_id
        return bool(spiffe_id) and self._names.hold(spiffe_id)

    def asked(self) -> str:
        return f"workload {' or '.join(self._patterns)}"

    def found(self, view: RequestView) -> str:
        spiffe_id = view.attributes.subject.spiffe_id
        return f"you are {spiffe_id}" if spiffe_id else "you are no workload with a SPIFFE ID"


def signed_in_so(wanted: SignIn | MultiFactor) -> Ask:
    """Make the question whether the sign-in is as wanted."""
    asks: list[Ask] = []
    if (age := wanted.max_age) is not None:
        asks.append(lambda view: within(view, view.attributes.subject.authenticated_at, age))
    if classes := wanted.classes:
        asks.append(lambda view: one_of(view.attributes.subject.authentication_class, classes))
    if methods := wanted.methods:
        asks.append(lambda view: some_of(view.attributes.subject.authentication_methods, methods))
    if isinstance(wanted, SignIn) and (issuers := wanted.issuers):
        asks.append(lambda view: one_of(view.attributes.subject.issuer, issuers))
    return together(asks)


def within(view: RequestView, since: datetime | None, age: timedelta) -> bool | None:
    """Whether ``since`` is at most ``age`` ago; None where there is no ``since``."""
    return None if since is None else view.attributes.environment.received_at < since + age


def turn(view: RequestView, since: datetime | None, age: timedelta | None) -> datetime | None:
    """Return when ``within`` turns false, where that is still to come."""
    if age is None or since is None:
        return None
    end = since + age
    return end if view.attributes.environment.received_at < end else None


def one_of(value: str, wanted: frozenset[str]) -> bool | None:
    """Whether a value is one of those wanted; None where there is none."""
    return value in wanted if value else None


def some_of(values: Sequence[str], wanted: frozenset[str]) -> bool | None:
    """Whether one of the values is wanted; None where there are none."""
    return not wanted.isdisjoint(values) if values else None


def sign_in_words(sign_in: SignIn) -> str:
    """Say what is asked of a sign-in."""
    parts = []
    if sign_in.max_age is not None:
        parts.append(f"at most {duration_words(sign_in.max_age)} old")
    if sign_in.classes:
        parts.append(f"of class {' or '.join(sorted(sign_in.classes))}")
    if sign_in.methods:
        parts.append(f"by {' or '.join(sorted(sign_in.methods))}")
    if sign_in.issuers:
        parts.append(f"at {' or '.join(sorted(sign_in.issuers))}")
    return " and ".join(parts)


def sign_in_found(view: RequestView) -> str:
    """Say how the caller signed in, and what to do about it."""
    return f"{sign_in_known(view)}; sign in again with `kzproxy login`"


def sign_in_known(view: RequestView) -> str:
    """Say how the caller signed in."""
    subject = view.attributes.subject
    if subject.authenticated_at is None:
        known = "your issuer does not say when you signed in"
    else:
        age = view.attributes.environment.received_at - subject.authenticated_at
        known = f"yours is {duration_words(age)} old"
    kind = f" of class {subject.authentication_class}" if subject.authentication_class else ""
    return f"{known}{kind}"


def duration_words(duration: timedelta) -> str:
    """Write a duration as policies do, in its largest whole unit."""
    seconds = int(duration.total_seconds())
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= size and (seconds % size == 0 or seconds >= 3 * size):
            return f"{seconds // size}{unit}"
    return f"{seconds}s"
