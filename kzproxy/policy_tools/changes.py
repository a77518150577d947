"""What would turn a refusal into a permit: each is tried on the whole policy, none is guessed."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from ipaddress import ip_network
from itertools import combinations

from kzproxy.attributes.attributes import Attributes
from kzproxy.attributes.device import DevicePosture, Fact
from kzproxy.policy.decision import Permit
from kzproxy.policy.engine import PolicyEngine
from kzproxy.policy.rules import EVERYONE, AccessPolicySet
from kzproxy.policy_tools.policy_text import PolicyText
from kzproxy.policy_tools.turns import next_turns

_MOST_TOGETHER = 4


class ChangeKind(StrEnum):
    """What would have to be different."""

    SIGN_IN = "sign-in"
    DEVICE = "device"
    NETWORK = "network"
    TIME = "time"
    REASON = "reason"
    GRANT = "grant"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What, all of it together, would make the request permitted."""

    kinds: tuple[ChangeKind, ...]
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Candidate:
    kind: ChangeKind
    text: str
    apply: Callable[[Attributes], Attributes]


def changes(
    policies: AccessPolicySet, text: PolicyText, attributes: Attributes
) -> tuple[Change, ...]:
    """Return the smallest sets of changes that permit, with as few changes as any needs."""
    engine = PolicyEngine(policies)
    # What a user can do themselves comes before what somebody must give them.
    own = list(_candidates(text, attributes))
    return _smallest(engine, own, attributes) or _smallest(
        engine, [*own, *_grants(text, attributes)], attributes
    )


def _smallest(
    engine: PolicyEngine, candidates: Sequence[_Candidate], attributes: Attributes
) -> tuple[Change, ...]:
    for size in range(1, _MOST_TOGETHER + 1):
        enough: dict[tuple[str, ...], Change] = {}
        for several in combinations(candidates, size):
            # Of several moments the first is enough.
            rest = tuple(one.text for one in several if one.kind is not ChangeKind.TIME)
            key = rest if len(rest) == size else ("", *rest)
            if key not in enough and _permits(engine, several, attributes):
                enough[key] = _together(several)
        if enough:
            return tuple(enough.values())
    return ()


def _permits(engine: PolicyEngine, several: Sequence[_Candidate], attributes: Attributes) -> bool:
    if len({one.kind for one in several}) < len(several):
        return False
    return isinstance(engine.decide(_applied(several, attributes)), Permit)


def _together(several: Sequence[_Candidate]) -> Change:
    return Change(
        kinds=tuple(one.kind for one in several), text=", and ".join(one.text for one in several)
    )


def _applied(several: Iterable[_Candidate], attributes: Attributes) -> Attributes:
    for one in several:
        attributes = one.apply(attributes)
    return attributes


def _candidates(text: PolicyText, attributes: Attributes) -> Iterator[_Candidate]:
    # First, so that a sign-in is fresh when the wait is over.
    yield from _times(text, attributes)
    yield from _sign_ins(text)
    yield _Candidate(
        kind=ChangeKind.DEVICE, text="use an enrolled device", apply=_with_an_enrolled_device
    )
    yield from _networks(text)
    yield _Candidate(
        kind=ChangeKind.REASON, text="give a reason (kzproxy reason ...)", apply=_with_a_reason
    )


def _with_an_enrolled_device(attributes: Attributes) -> Attributes:
    device = DevicePosture(enrolled=Fact.PASSED, device_id="device", thumbprint="00" * 32)
    return replace(attributes, device=device)


def _with_a_reason(attributes: Attributes) -> Attributes:
    environment = replace(attributes.environment, reason="a reason")
    return replace(attributes, environment=environment)


def _sign_ins(text: PolicyText) -> Iterator[_Candidate]:
    """A fresh sign-in, plain and with each class and method that a rule names."""
    yield _Candidate(
        kind=ChangeKind.SIGN_IN,
        text="sign in again (kzproxy login)",
        apply=lambda attributes: _signed_in(attributes, "", ()),
    )
    for classes, methods in _strengths(text):
        wanted = ", ".join(
            [*(f"class {one}" for one in classes), *(f"method {m}" for m in methods)]
        )
        yield _Candidate(
            kind=ChangeKind.SIGN_IN,
            text=f"sign in again with {wanted} (kzproxy login)",
            apply=lambda attributes, c=classes, m=methods: _signed_in(  # type: ignore[misc]
                attributes, c[0] if c else "", m
            ),
        )


def _signed_in(attributes: Attributes, strength: str, methods: tuple[str, ...]) -> Attributes:
    at, subject = attributes.environment.received_at, attributes.subject
    fresh = replace(
        subject,
        authenticated_at=at,
        issued_at=at,
        authentication_class=strength or subject.authentication_class,
        authentication_methods=methods or subject.authentication_methods,
    )
    return replace(attributes, subject=fresh)


def _strengths(text: PolicyText) -> list[tuple[tuple[str, ...], tuple[str, ...]]]:
    found: dict[tuple[tuple[str, ...], tuple[str, ...]], None] = {}
    asked = [rule.conditions.get("authentication") for rule in text.rules]
    asked += [rule.obligations.get("mfa") for rule in text.rules]
    for value in asked:
        if isinstance(value, dict):
            strength = _words(value.get("classes"))[:1], _words(value.get("methods"))[:1]
            if any(strength):
                found[strength] = None
    return list(found)


def _words(value: object) -> tuple[str, ...]:
    return tuple(str(item) for item in value) if isinstance(value, list) else ()


def _networks(text: PolicyText) -> Iterator[_Candidate]:
    for definition in text.definitions:
        if definition.section == "networks" and isinstance(definition.value, list):
            address = ip_network(str(definition.value[0])).network_address
            yield _Candidate(
                kind=ChangeKind.NETWORK,
                text=f"come from network {definition.name}",
                apply=lambda attributes, a=address: replace(  # type: ignore[misc]
                    attributes, environment=replace(attributes.environment, source_address=a)
                ),
            )


def _grants(text: PolicyText, attributes: Attributes) -> Iterator[_Candidate]:
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
        yield _Candidate(
            kind=ChangeKind.GRANT,
            text=f"be made a member of {group}",
            apply=lambda attributes, g=group: replace(  # type: ignore[misc]
                attributes,
                subject=replace(attributes.subject, groups=(*attributes.subject.groups, g)),
            ),
        )


def _times(text: PolicyText, attributes: Attributes) -> Iterator[_Candidate]:
    """Each moment at which a calendar may turn, in order; the first ones come first."""
    for moment in next_turns(text, attributes.environment.received_at):
        yield _Candidate(
            kind=ChangeKind.TIME,
            text=f"wait until {moment.isoformat(timespec='minutes')}",
            apply=lambda attributes, m=moment: replace(  # type: ignore[misc]
                attributes, environment=replace(attributes.environment, received_at=m)
            ),
        )
