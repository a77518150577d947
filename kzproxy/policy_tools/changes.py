"""What would turn a refusal into a permit: each is tried on the whole policy, none is guessed."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations, islice, product

import msgspec

from kzproxy.attributes.attributes import Attributes
from kzproxy.policy.condition_check import Compiler
from kzproxy.policy.decision import Challenge, Dependency, Permit
from kzproxy.policy.engine import PolicyEngine
from kzproxy.policy.obligation_check import obligations_rest_on
from kzproxy.policy.rules import AccessPolicySet
from kzproxy.policy.step_up import StepUp
from kzproxy.policy_tools.change_candidates import Apply, Candidate, ChangeKind, candidates, grants
from kzproxy.policy_tools.policy_text import PolicyText
from kzproxy.policy_tools.strengths import Strength

_MOST_TOGETHER = 4
# Some twenty microseconds each.
_MOST_TRIED = 50_000


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """What, all of it together, would make the request permitted."""

    kinds: tuple[ChangeKind, ...]
    text: str


def changes(
    policies: AccessPolicySet, text: PolicyText, attributes: Attributes
) -> tuple[Change, ...]:
    """Return the smallest sets of changes that permit, with as few changes as any needs."""
    engine = PolicyEngine(policies)
    decision = engine.decide(attributes)
    if isinstance(decision, Challenge):
        return (_sign_in(decision.step_up),)
    # What a user can do themselves comes before what somebody must give them.
    matters = _kinds_that_matter(policies)
    own = [one for one in candidates(policies, text, attributes) if one.kind in matters]
    return _smallest(engine, own, attributes) or _smallest(
        engine, [*own, *grants(text, attributes)], attributes
    )


def _sign_in(wanted: StepUp) -> Change:
    """Return the sign-in that a challenge asks for, which was tried for it."""
    words = Strength(
        wanted_class=next(iter(wanted.acr_values), ""), methods=wanted.methods[:1]
    ).words()
    text = f"sign in again{f' with {words}' if words else ''} ({wanted.command})"
    return Change(kinds=(ChangeKind.SIGN_IN,), text=text)


_RESTS_ON = {
    ChangeKind.SIGN_IN: Dependency.AUTHENTICATION,
    ChangeKind.SESSION: Dependency.AUTHENTICATION,
    ChangeKind.DEVICE: Dependency.DEVICE,
    ChangeKind.NETWORK: Dependency.NETWORK,
    ChangeKind.LOCATION: Dependency.LOCATION,
    ChangeKind.TIME: Dependency.TIME,
    ChangeKind.REASON: Dependency.REASON,
    ChangeKind.REQUEST: Dependency.REQUEST,
}


def _kinds_that_matter(policies: AccessPolicySet) -> frozenset[ChangeKind]:
    """Return the kinds of fact that some rule rests on: to change others changes nothing."""
    compiler = Compiler.of(policies)
    rests: set[Dependency] = set()
    for rule in policies.rules:
        rests |= compiler.check(rule.conditions, rule.when).depends_on
        rests |= obligations_rest_on(rule.obligations)
    return frozenset(kind for kind, dependency in _RESTS_ON.items() if dependency in rests)


def _smallest(
    engine: PolicyEngine, tried: Sequence[Candidate], attributes: Attributes
) -> tuple[Change, ...]:
    for size in range(1, _MOST_TOGETHER + 1):
        enough: dict[tuple[str, ...], Change] = {}
        for several in islice(_together(tried, size), _MOST_TRIED):
            key = tuple(one.same_as or one.text for one in several)
            if key not in enough and _permits(engine, several, attributes):
                enough[key] = _change(several)
        if enough:
            return tuple(enough.values())
    return ()


def _together(tried: Sequence[Candidate], size: int) -> Iterator[tuple[Candidate, ...]]:
    """Give every ``size`` candidates, no two of them of one kind."""
    by_kind: dict[ChangeKind, list[Candidate]] = {}
    for one in tried:
        by_kind.setdefault(one.kind, []).append(one)
    for kinds in combinations(by_kind.values(), size):
        yield from product(*kinds)


def _permits(engine: PolicyEngine, several: Sequence[Candidate], attributes: Attributes) -> bool:
    return all(
        isinstance(engine.decide(_applied(ways, attributes)), Permit)
        for ways in product(*(one.ways for one in several))
    )


def _change(several: Sequence[Candidate]) -> Change:
    return Change(
        kinds=tuple(one.kind for one in several), text=", and ".join(one.text for one in several)
    )


def _applied(several: Iterable[Apply], attributes: Attributes) -> Attributes:
    for apply in several:
        attributes = apply(attributes)
    return attributes
