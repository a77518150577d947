"""What the caller of a refused request can do about it: each is tried on the engine, none guessed.

Only what is theirs to do: to wait, to sign in, to give a reason, to come from elsewhere or from
another device. What somebody must give them is for that somebody's tools. Bounded, because users
ask for it while the proxy serves.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from itertools import combinations

import msgspec
from msgspec.structs import replace

from kzproxy.attributes.attributes import Attributes
from kzproxy.policy.challenging import signed_in
from kzproxy.policy.decision import Challenge, Permit
from kzproxy.policy.device_features import NO_FEATURES
from kzproxy.policy.engine import PolicyEngine
from kzproxy.policy.ideal_device import features_asked, improvements
from kzproxy.policy.network import Network
from kzproxy.policy.posture_facts import is_shown
from kzproxy.policy.rules import AccessPolicySet, Conditions, Rule
from kzproxy.policy.session_place import signed_in_here
from kzproxy.policy.step_up import ANY_SIGN_IN, StepUp

_MOST_TURNS = 6
_MOST_TOGETHER = 3
_MOST_TRIES = 24
_MOST_RULES = 8
_MOST_OF_A_KIND = 4


class StepKind(StrEnum):
    """What is done."""

    SIGN_IN = "sign-in"
    REASON = "reason"
    DEVICE = "device"
    NETWORK = "network"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One thing to do.

    Attributes:
        text: After "you can".
        command: That does it; empty where no command can.
        done: The request, had it been done before.
    """

    kind: StepKind
    text: str
    command: str = ""
    done: Callable[[Attributes], Attributes] = field(repr=False, compare=False)


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """When a request is permitted without anything being done.

    Attributes:
        opens_at: Aware.
        closes_at: When time alone ends that; None where it never does, or not soon.
    """

    opens_at: datetime
    closes_at: datetime | None


def next_window(engine: PolicyEngine, attributes: Attributes) -> Window | None:
    """Return when time alone permits the request, from its own time on; None if not soon."""
    for _ in range(_MOST_TURNS):
        at = attributes.environment.received_at
        decision = engine.decide(attributes)
        if isinstance(decision, Permit):
            return Window(opens_at=at, closes_at=_end(engine, decision))
        turns_at = engine.prospect(attributes).turns_at
        if turns_at is None or turns_at <= at:
            return None
        attributes = _at(attributes, turns_at)
    return None


def _end(engine: PolicyEngine, permit: Permit) -> datetime | None:
    """Return when time alone ends a permit; None if not soon.

    That it may end says no more than when to look again.
    """
    for _ in range(_MOST_TURNS):
        if permit.valid_until is None:
            return None
        decision = engine.decide(_at(permit.attributes, permit.valid_until))
        if not isinstance(decision, Permit):
            return permit.valid_until
        permit = decision
    return None


def _at(attributes: Attributes, moment: datetime) -> Attributes:
    return replace(attributes, environment=replace(attributes.environment, received_at=moment))


def steps(
    engine: PolicyEngine, policies: AccessPolicySet, attributes: Attributes
) -> tuple[Step, ...]:
    """Return the fewest steps that, all together, have the request permitted; empty for none.

    Args:
        engine: Of ``policies``.
        policies: Say what might help.
        attributes: Of a request that is denied.
    """
    decision = engine.decide(attributes)
    if isinstance(decision, Challenge):
        return (_sign_in_step(decision.step_up),)
    tried: set[tuple[str, ...]] = set()
    allows = engine.prospect(attributes).allows[:_MOST_RULES]
    for several in _together(allows, policies, attributes):
        names = tuple(step.text for step in several)
        if names in tried:
            continue
        if len(tried) >= _MOST_TRIES:
            return ()
        tried.add(names)
        changed = attributes
        for step in several:
            changed = step.done(changed)
        if isinstance(engine.decide(changed), Permit):
            return several
    return ()


def _together(
    rules: Sequence[Rule], policies: AccessPolicySet, attributes: Attributes
) -> Iterator[tuple[Step, ...]]:
    """Yield what the rules might lack: of each rule what it asks for, fewer steps first."""
    candidates = [list(_candidates(rule, policies, attributes)) for rule in rules]
    for size in range(1, _MOST_TOGETHER + 1):
        for of_a_rule in candidates:
            for several in combinations(of_a_rule, size):
                if len({step.kind for step in several}) == size:
                    yield several


def _candidates(rule: Rule, policies: AccessPolicySet, attributes: Attributes) -> Iterator[Step]:
    """Yield what the rule might ask for; what is easier comes first."""
    own = rule.conditions
    # What stands under a name or in an expression may be about anything.
    is_open = bool(rule.when or own.all_of or own.any_of or own.none_of or _asks_for_a_tier(own))
    asked = [own, *(named.conditions for named in policies.conditions)] if is_open else [own]
    if is_open or rule.obligations.reason:
        yield Step(
            kind=StepKind.REASON,
            text="give a reason",
            command='kzproxy reason "why you do this"',
            done=_with_a_reason,
        )
    if is_open or _asks_for_a_sign_in(rule):
        yield from _sign_ins(rule, asked)
    if is_open or own.device_enrolled or own.device != NO_FEATURES:
        yield from _devices(rule, policies, attributes)
    yield from _networks(asked)


def _asks_for_a_tier(conditions: Conditions) -> bool:
    return conditions.device_tier is not None or conditions.device_below_tier is not None


def _asks_for_a_sign_in(rule: Rule) -> bool:
    own, obligations = rule.conditions, rule.obligations
    asks = (own.sign_in, own.session_max_age, obligations.mfa, obligations.reauth)
    is_where_it_was = own.session_same_address or own.session_same_country
    return is_where_it_was or any(each is not None for each in asks)


def _with_a_reason(attributes: Attributes) -> Attributes:
    return replace(attributes, environment=replace(attributes.environment, reason="a reason"))


def _devices(rule: Rule, policies: AccessPolicySet, attributes: Attributes) -> Iterator[Step]:
    """Yield what the device would have to be, as it is enrolled or anew."""
    is_known = is_shown(attributes.device)
    for each in improvements(features_asked(policies, [rule]), attributes):
        yield Step(
            kind=StepKind.DEVICE,
            text=each.text
            if is_known
            else f"{each.text}, with a kubeconfig that names its certificate",
            command="kzproxy device status"
            if is_known
            else "kzproxy kubeconfig --device-cert FILE --device-key FILE ...",
            done=each.made,
        )


def _sign_ins(rule: Rule, asked: Sequence[Conditions]) -> Iterator[Step]:
    """Yield a fresh sign-in, as the last one was and of each strength that is asked for."""
    obligations = rule.obligations
    strengths: dict[StepUp, None] = {}
    for each in (*(conditions.sign_in for conditions in asked), obligations.mfa):
        if each is not None:
            classes, methods = tuple(sorted(each.classes)), tuple(sorted(each.methods))
            wanted = StepUp(acr_values=classes, methods=methods, max_age=each.max_age)
            strengths[wanted] = None
    ages = (obligations.reauth, *(conditions.session_max_age for conditions in asked))
    strengths |= {StepUp(max_age=age): None for age in ages if age is not None}
    strengths[ANY_SIGN_IN] = None
    yield from (_sign_in_step(wanted) for wanted in list(strengths)[:_MOST_OF_A_KIND])


def _sign_in_step(wanted: StepUp) -> Step:
    kind = f" of class {wanted.acr_values[0]}" if wanted.acr_values else ""
    means = f" by {wanted.methods[0]}" if wanted.methods else ""
    return Step(
        kind=StepKind.SIGN_IN,
        text=f"sign in again{kind}{means}",
        command=wanted.command,
        done=lambda attributes: signed_in_here(signed_in(attributes, wanted)),
    )


def _networks(asked: Sequence[Conditions]) -> Iterator[Step]:
    networks = {network.name: network for each in asked for network in each.networks}
    for network in list(networks.values())[:_MOST_OF_A_KIND]:
        yield Step(
            kind=StepKind.NETWORK,
            text=f"come from network {network.name}",
            done=lambda attributes, n=network: _from(attributes, n),  # type: ignore[misc]
        )


def _from(attributes: Attributes, network: Network) -> Attributes:
    address = network.blocks[0].network_address
    return replace(attributes, environment=replace(attributes.environment, source_address=address))
