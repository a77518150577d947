"""Whatever signals come, in whatever order: a stream lives while a new request would be permitted.

The oracle asks for each stream, after each event, what a request of the same caller would be told
now that knows nothing of the stream.
"""

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from kzproxy.administrator.session import SessionRecord
from kzproxy.administrator.signal import SignalKind, SignalSubject
from kzproxy.attributes.attributes import Attributes
from kzproxy.attributes.device import NO_DEVICE, DevicePosture
from kzproxy.attributes.identity import Identity
from kzproxy.errors.kinds import ProxyError
from kzproxy.policy.decision import Permit
from kzproxy.policy.expression import DeclaredNames, compile_expression
from kzproxy.policy.rules import Conditions, Rule, Tier
from tests.administrator.signal_world import (
    IDP,
    LAPTOP,
    PODS,
    Stream,
    Worker,
    direct,
    worker_of,
)
from tests.authentication.manual_clock import ManualClock
from tests.policy.samples import allow, deny, match

MINUTE = timedelta(minutes=1)
HIGH = 'session.riskKnown && session.risk == "HIGH" || device.riskKnown && device.risk == "HIGH"'
DESKTOP = replace(LAPTOP, device_id="desktop-2", serial="77", thumbprint="cd" * 32)
DEVICES = {"laptop-1": LAPTOP, "desktop-2": DESKTOP, "": NO_DEVICE}
PEOPLE = {
    "alice": {"username": "idp:alice@example.com", "subject": "00u1"},
    "bob": {"username": "idp:bob@example.com", "subject": "00u2"},
}


def rules() -> tuple[Rule, ...]:
    high = compile_expression(HIGH, DeclaredNames())
    return (
        allow("pods", PODS, groups="idp:dev"),
        allow("bound", PODS, groups="idp:ops", conditions=Conditions(device_tier=1)),
        deny("high", match("*", "*"), groups="system:authenticated", when=high),
    )


TIERS = (Tier(level=1, name="enrolled", conditions=Conditions(device_enrolled=True)),)


@dataclass
class Caller:
    """Somebody with a stream under way.

    Attributes:
        who: As they came.
        expected: Whether the stream is to live.
    """

    who: SessionRecord | Identity
    device: DevicePosture
    groups: frozenset[str]
    stream: Stream
    expected: bool = True


class Story:
    """Events at one worker."""

    def __init__(self, worker: Worker, clock: ManualClock) -> None:
        self.worker, self.clock = worker, clock
        self.callers: list[Caller] = []
        self.number = 0

    async def sign_in(
        self, person: str, device: str, group: str, minutes: int, *, is_direct: bool
    ) -> None:
        """Have somebody come and begin a stream, if they are let in."""
        self.number += 1
        who: SessionRecord | Identity
        since = self.clock.now() - minutes * MINUTE
        sign_in = f"sid-{self.number % 3}"
        facts: dict[str, Any] = {**PEOPLE[person], "groups": (group,), "authenticated_at": since}
        if is_direct:
            who = direct(self.clock, **facts, sign_in=sign_in, issued_at=since)
        else:
            email = f"{person}@example.com"
            who = await self.worker.signed_in(
                self.number, **facts, email=email, idp_session=sign_in, device_id=device
            )
        attributes = self.fresh(who, DEVICES[device])
        if attributes is None:
            return
        stream = Stream(self.worker, attributes, attributes.subject.sign_in)
        groups = frozenset(attributes.subject.groups)
        self.callers.append(Caller(who, DEVICES[device], groups, stream))

    def fresh(self, who: SessionRecord | Identity, device: DevicePosture) -> Attributes | None:
        """Return what a new request would be permitted by; None where it is refused."""
        try:
            attributes = self.worker.facts(who, device)
        except ProxyError:
            return None
        if isinstance(self.worker.administrator.decide(attributes), Permit):
            return attributes
        return None

    def check(self) -> None:
        for caller in self.callers:
            now = self.fresh(caller.who, caller.device)
            permitted = now is not None and caller.groups <= frozenset(now.subject.groups)
            caller.expected = caller.expected and permitted
            assert caller.stream.lives is caller.expected, caller.who


subjects = st.sampled_from(
    [
        SignalSubject(issuer=IDP, subject="00u1"),
        SignalSubject(issuer=IDP, subject="00u2"),
        SignalSubject(email="Alice@example.com"),
        SignalSubject(email="bob@example.com"),
        SignalSubject(idp_session="sid-1"),
        SignalSubject(idp_session="sid-2"),
        SignalSubject(device_id="laptop-1"),
        SignalSubject(device_id="desktop-2"),
        SignalSubject(issuer=IDP, subject="00u1", device_id="laptop-1"),
        SignalSubject(email="bob@example.com", device_id="laptop-1"),
        SignalSubject(issuer=IDP, subject="00u2", idp_session="sid-1"),
        SignalSubject(tenant=True),
    ]
)
values = st.sampled_from(
    [
        (SignalKind.SESSION_REVOKED, {}),
        (SignalKind.SIGNED_OUT, {}),
        (SignalKind.CREDENTIAL_CHANGED, {"credential_type": "password", "change_type": "update"}),
        (SignalKind.CREDENTIAL_CHANGED, {"credential_type": "password", "change_type": "create"}),
        (
            SignalKind.CREDENTIAL_CHANGED,
            {"credential_type": "x509", "change_type": "revoke", "x509_serial": "0x2af3"},
        ),
        (SignalKind.CLAIMS_CHANGED, {"claims": {"groups": ["dev"]}}),
        (SignalKind.CLAIMS_CHANGED, {"claims": {"groups": ["ops"]}}),
        (SignalKind.CLAIMS_CHANGED, {"claims": {"title": "x"}}),
        (SignalKind.ASSURANCE_CHANGED, {"current_level": "nist-aal1"}),
        (SignalKind.DEVICE_COMPLIANCE, {"current_status": "not-compliant"}),
        (SignalKind.DEVICE_COMPLIANCE, {"current_status": "compliant"}),
        *(
            (SignalKind.RISK_CHANGED, {"current_level": level, "principal": principal})
            for level in ("LOW", "HIGH")
            for principal in ("USER", "DEVICE", "SESSION")
        ),
    ]
)
events = st.lists(
    st.one_of(
        st.tuples(
            st.just("sign-in"),
            st.sampled_from(sorted(PEOPLE)),
            st.sampled_from(sorted(DEVICES)),
            st.sampled_from(["idp:dev", "idp:dev", "idp:ops"]),
            st.sampled_from([0, 0, 3, 30]),
            st.booleans(),
        ),
        st.tuples(st.just("signal"), subjects, values, st.sampled_from([0, 0, 1, 5, 60])),
        st.tuples(st.just("wait"), st.sampled_from([0, 1, 2])),
    ),
    min_size=4,
    max_size=10,
)


async def tell(story: list[tuple[Any, ...]], directory: Path) -> None:
    clock = ManualClock()
    worker = await worker_of(directory, clock, 1, *rules(), tiers=TIERS)
    try:
        run = Story(worker, clock)
        await run.sign_in("alice", "laptop-1", "idp:dev", 0, is_direct=False)
        await run.sign_in("bob", "laptop-1", "idp:dev", 0, is_direct=True)
        for kind, *event in story:
            if kind == "sign-in":
                *who, is_direct = event
                await run.sign_in(*who, is_direct=is_direct)
            elif kind == "signal":
                subject, (of, value), minutes = event
                at = clock.now() - minutes * MINUTE
                await worker.take(of, subject, at=at, **value)
            else:
                clock.advance(event[0] * MINUTE)
            clock.advance(timedelta(seconds=1))
            await worker.kept.following.catch_up()
            worker.sessions.sweep(clock.now())
            worker.administrator.sweep()
            run.check()
    finally:
        await worker.close()


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(story=events)
def test_a_stream_lives_as_long_as_a_new_request_would_be_permitted(
    story: list[tuple[Any, ...]],
) -> None:
    with TemporaryDirectory() as directory:
        asyncio.run(tell(story, Path(directory)))
