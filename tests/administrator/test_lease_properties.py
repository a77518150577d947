"""How long requests under way live, held against the plain reading of policy at each moment."""

from datetime import datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from kzproxy.administrator.administrator import Administrator
from kzproxy.administrator.lease import EndCause, Ending
from kzproxy.administrator.trust import Trust
from kzproxy.attributes.attributes import Attributes
from kzproxy.attributes.device import Fact
from kzproxy.policy.decision import Permit
from kzproxy.policy.rules import Rule
from tests.authentication.manual_clock import ManualClock
from tests.policy.plain_reading import is_permitted
from tests.policy.small_world import (
    DEFINITIONS,
    engine_of,
    narrow_policies,
    policies,
    requests,
)

MINUTE = timedelta(minutes=1)
TRUST = Trust(
    issuers=frozenset({""}),
    device_authorities=frozenset({""}),
    managed_authorities=frozenset({""}),
)
spans = st.integers(0, 90).map(lambda n: n * MINUTE) | st.floats(0, 4000).map(lambda n: n * MINUTE)


def as_they_stand(facts: Attributes, now: datetime) -> Attributes:
    """Return the same facts at another time, which may have ended some of them."""
    device, environment = facts.device, facts.environment
    if device.expires_at is not None and now >= device.expires_at:
        device = replace(device, enrolled=Fact.FAILED, device_id="")
    has_reason = environment.reason_ends_at is None or now < environment.reason_ends_at
    environment = replace(
        environment, received_at=now, reason=environment.reason if has_reason else ""
    )
    return replace(facts, device=device, environment=environment)


@settings(max_examples=50)
@given(
    policy=policies | narrow_policies() | narrow_policies(),
    other=policies,
    asked=requests(),
    lives=st.tuples(spans, spans, spans),
    steps=st.lists(spans, min_size=1, max_size=4),
    other_from=st.integers(0, 4),
)
def test_a_request_is_cut_when_the_plain_reading_ends_it_and_not_before(
    policy: list[Rule],
    other: list[Rule],
    asked: Attributes,
    lives: tuple[timedelta, timedelta, timedelta],
    steps: list[timedelta],
    other_from: int,
) -> None:
    at = asked.environment.received_at
    credential_end, device_end, reason_end = (at + MINUTE + life for life in lives)
    asked = replace(
        asked,
        subject=replace(asked.subject, expires_at=credential_end),
        device=replace(asked.device, expires_at=device_end),
        environment=replace(
            asked.environment, reason_ends_at=reason_end if asked.environment.reason else None
        ),
    )
    clock = ManualClock()
    clock.jump(at - clock.now())
    administrator = Administrator(engine_of(policy), TRUST, clock)
    decision = administrator.decide(asked)
    if not isinstance(decision, Permit):
        return
    cuts: list[Ending] = []
    rules = policy
    with administrator.open(decision, "s", cuts.append):
        for number, step in enumerate(steps):
            clock.advance(step)
            if number == other_from:
                rules = other
                administrator.install(engine_of(other), TRUST)
            administrator.sweep()
            now = clock.now()
            permitted = is_permitted(rules, as_they_stand(asked, now), DEFINITIONS)
            if cuts:
                break
            assert permitted
            assert now < credential_end
    for cut in cuts:
        # A list of namespaces ends with the policy that it was made to say less by.
        shows_less = asked.request.resource == "namespaces" and rules is other
        assert cut.cause is not EndCause.POLICY or not permitted or shows_less
        assert cut.cause is not EndCause.CREDENTIAL or now >= credential_end
