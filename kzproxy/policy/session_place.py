"""Whether a session is still where it was signed in.

A session that kzproxy keeps has the address that it was signed in from, and the one that it was
last seen at, whichever of its requests that was. So a stream is at its own address, and is judged
again when another request of its session comes from somewhere else.
"""

# ruff: noqa: D102 - what the methods do is said of Condition

from msgspec.structs import replace

from kzproxy.attributes.attributes import Attributes
from kzproxy.policy.condition import Timeless
from kzproxy.policy.decision import Dependency
from kzproxy.policy.view import RequestView

_DEPENDS_ON = frozenset({Dependency.AUTHENTICATION, Dependency.MOVED})


class SameAddress(Timeless):
    """The session is at the address that it was signed in from."""

    name = "session"
    about = Dependency.AUTHENTICATION
    depends_on = _DEPENDS_ON

    def value(self, view: RequestView) -> bool | None:
        changed = address_changed(view.attributes)
        return None if changed is None else not changed

    def asked(self) -> str:
        return "a session that is at the address that it was signed in from"

    def found(self, view: RequestView) -> str:
        return _found(view.attributes)


class SameCountry(Timeless):
    """The session is in the country that it was signed in from."""

    name = "session"
    about = Dependency.AUTHENTICATION
    depends_on = _DEPENDS_ON | {Dependency.LOCATION}

    def value(self, view: RequestView) -> bool | None:
        changed = country_changed(view.attributes)
        return None if changed is None else not changed

    def asked(self) -> str:
        return "a session that is in the country that it was signed in from"

    def found(self, view: RequestView) -> str:
        return _found(view.attributes)


def address_changed(attributes: Attributes) -> bool | None:
    """Whether a session has left the address of its sign-in; None where nobody knows that one."""
    subject = attributes.subject
    if not subject.signed_in_from:
        return None
    seen = {str(attributes.environment.source_address), subject.seen_from or subject.signed_in_from}
    return seen != {subject.signed_in_from}


def country_changed(attributes: Attributes) -> bool | None:
    """Whether a session has left the country of its sign-in; None where nobody can tell."""
    if address_changed(attributes) is False:
        return False
    environment, subject = attributes.environment, attributes.subject
    signed_in, seen = environment.sign_in_country, environment.country
    # Seen somewhere else of which nobody knows where it is: that is not here.
    is_elsewhere = subject.seen_from not in ("", str(environment.source_address))
    last = environment.seen_country or ("" if is_elsewhere else seen)
    if not signed_in:
        return None
    found = {seen, last}
    if found - {signed_in, ""}:  # One that is another is enough, whatever the other is.
        return True
    return None if "" in found else False


def signed_in_here(attributes: Attributes) -> Attributes:
    """Return the same with a session that was signed in from where the request comes from."""
    subject, environment = attributes.subject, attributes.environment
    if not subject.is_session:
        return attributes
    here = str(environment.source_address)
    return replace(
        attributes,
        subject=replace(subject, signed_in_from=here, seen_from=""),
        environment=replace(environment, sign_in_country=environment.country, seen_country=""),
    )


def _found(attributes: Attributes) -> str:
    subject, environment = attributes.subject, attributes.environment
    if not subject.signed_in_from:
        return "nobody knows where yours was signed in"
    last = subject.seen_from or str(environment.source_address)
    country = f" in {environment.sign_in_country}" if environment.sign_in_country else ""
    return (
        f"yours was signed in from {subject.signed_in_from}{country}, and is at {last};"
        " sign in again with `kzproxy login`"
    )
