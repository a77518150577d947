"""What could be otherwise about a request: as words, and as what they come to."""

from collections.abc import Callable, Iterator
from enum import StrEnum
from typing import Any

import msgspec
from msgspec.structs import replace

from kzproxy.attributes.attributes import Attributes
from kzproxy.attributes.environment import IPAddress
from kzproxy.attributes.identity import SESSION_METHOD
from kzproxy.attributes.request_info import RequestInfo
from kzproxy.policy.ideal_device import features_asked, improvements
from kzproxy.policy.rules import EVERYONE, AccessPolicySet
from kzproxy.policy.session_place import signed_in_here
from kzproxy.policy_tools.network_places import places_in
from kzproxy.policy_tools.policy_text import PolicyText, asked_for
from kzproxy.policy_tools.strengths import Strength, asks_for_session, strengths
from kzproxy.policy_tools.turns import next_turns

Apply = Callable[[Attributes], Attributes]


class ChangeKind(StrEnum):
    """What would have to be different."""

    SIGN_IN = "sign-in"
    DEVICE = "device"
    NETWORK = "network"
    LOCATION = "location"
    TIME = "time"
    REASON = "reason"
    REQUEST = "request"
    SESSION = "session"
    GRANT = "grant"


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """One change.

    Attributes:
        ways: All that its text may mean, each of which must be enough.
        same_as: Of changes that have the same here, the first that is enough is enough; empty
            where there is no other.
    """

    kind: ChangeKind
    text: str
    ways: tuple[Apply, ...]
    same_as: str = ""


def candidates(
    policies: AccessPolicySet, text: PolicyText, attributes: Attributes
) -> Iterator[Candidate]:
    """Give what a user can do about it themselves."""
    # First, so that a sign-in is fresh when the wait is over.
    yield from _times(text, attributes)
    yield from _sign_ins(text)
    yield from _sessions(text, attributes)
    for each in improvements(features_asked(policies, policies.rules), attributes):
        yield Candidate(kind=ChangeKind.DEVICE, text=each.text, ways=(each.made,))
    yield from _networks(text)
    yield from _countries(text)
    yield Candidate(
        kind=ChangeKind.REASON, text="give a reason (kzproxy reason ...)", ways=(_with_a_reason,)
    )
    yield from _dry_runs(attributes)


def _with_a_reason(attributes: Attributes) -> Attributes:
    environment = replace(attributes.environment, reason="a reason")
    return replace(attributes, environment=environment)


def _dry_runs(attributes: Attributes) -> Iterator[Candidate]:
    request = attributes.request
    if not request.is_resource or request.is_dry_run:
        return
    sign = "&" if "?" in request.target else "?"
    # A deletion that has a body is a dry run where that says so.
    asked = replace(
        RequestInfo.parse(request.method, f"{request.target}{sign}dryRun=All"),
        dry_run_in_body=None if request.dry_run_in_body is None else True,
    )
    if asked.is_dry_run:
        yield Candidate(
            kind=ChangeKind.REQUEST,
            text="make it a dry run (kubectl --dry-run=server)",
            ways=(lambda attributes: replace(attributes, request=asked),),
        )


def _sign_ins(text: PolicyText) -> Iterator[Candidate]:
    """A fresh sign-in, plain and with each class, method and issuer that a policy names."""
    yield Candidate(
        kind=ChangeKind.SIGN_IN,
        text="sign in again (kzproxy login)",
        ways=(lambda attributes: _signed_in(attributes, Strength()),),
    )
    for strength in strengths(text):
        yield Candidate(
            kind=ChangeKind.SIGN_IN,
            text=f"sign in again with {strength.words()} ({strength.command})",
            ways=(lambda attributes, s=strength: _signed_in(attributes, s),),  # type: ignore[misc]
        )


def _signed_in(attributes: Attributes, strength: Strength) -> Attributes:
    at, subject = attributes.environment.received_at, attributes.subject
    fresh = replace(
        subject,
        authenticated_at=at,
        issued_at=at,
        session_began_at=at if subject.is_session else None,
        authentication_class=strength.wanted_class or subject.authentication_class,
        authentication_methods=strength.methods or subject.authentication_methods,
        issuer=strength.issuer or subject.issuer,
    )
    return signed_in_here(replace(attributes, subject=fresh))


def _sessions(text: PolicyText, attributes: Attributes) -> Iterator[Candidate]:
    """A session that kzproxy keeps, where that is asked for anywhere."""
    if attributes.subject.is_session or not asks_for_session(text):
        return
    yield Candidate(
        kind=ChangeKind.SESSION,
        text="use a kubeconfig that signs in at kzproxy (kzproxy kubeconfig)",
        ways=(_in_session,),
    )


def _in_session(attributes: Attributes) -> Attributes:
    at = attributes.environment.received_at
    subject = replace(attributes.subject, method=SESSION_METHOD, session_began_at=at)
    return signed_in_here(replace(attributes, subject=subject))


def _networks(text: PolicyText) -> Iterator[Candidate]:
    for name, places in places_in(text):
        ways = tuple(_coming_from(place) for place in places)
        words = f"come from network {name}"
        yield Candidate(kind=ChangeKind.NETWORK, text=words, ways=ways)
        for place, way in zip(places, ways, strict=True):
            yield Candidate(
                kind=ChangeKind.NETWORK,
                text=f"{words}, such as from {place}",
                ways=(way,),
                same_as=words,
            )


def _coming_from(address: IPAddress) -> Apply:
    return lambda attributes: replace(
        attributes, environment=replace(attributes.environment, source_address=address)
    )


def _countries(text: PolicyText) -> Iterator[Candidate]:
    for word, what in (("countries", "country"), ("asns", "autonomous system")):
        for value in asked_for(text, word):
            yield Candidate(
                kind=ChangeKind.LOCATION,
                text=f"come from {what} {value}",
                ways=(_being_in(word, value),),
            )


def _being_in(word: str, value: object) -> Apply:
    changes: dict[str, Any] = {"country" if word == "countries" else "asn": value}
    return lambda attributes: replace(
        attributes, environment=replace(attributes.environment, **changes)
    )


def grants(text: PolicyText, attributes: Attributes) -> Iterator[Candidate]:
    """Give the groups that somebody would have to put the user into."""
    groups = sorted(
        {
            name
            for rule in text.rules
            if rule.effect == "allow"
            for kind, name in rule.subjects
            if kind == "groups" and name != EVERYONE
        }.difference(attributes.subject.groups)
    )
    for group in groups:
        yield Candidate(
            kind=ChangeKind.GRANT,
            text=f"be made a member of {group}",
            ways=(
                lambda attributes, g=group: replace(  # type: ignore[misc]
                    attributes,
                    subject=replace(attributes.subject, groups=(*attributes.subject.groups, g)),
                ),
            ),
        )


def _times(text: PolicyText, attributes: Attributes) -> Iterator[Candidate]:
    """Each moment at which a calendar may turn, in order; the first ones come first."""
    for moment in next_turns(text, attributes.environment.received_at):
        yield Candidate(
            kind=ChangeKind.TIME,
            same_as="wait",  # Of several moments the first is enough.
            text=f"wait until {moment.isoformat(timespec='minutes')}",
            ways=(
                lambda attributes, m=moment: replace(  # type: ignore[misc]
                    attributes, environment=replace(attributes.environment, received_at=m)
                ),
            ),
        )
