"""A worker that takes signals: real store, sessions, administrator, decision log."""

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from kzproxy.administrator.administrator import Administrator
from kzproxy.administrator.kept_signals import keep_signals
from kzproxy.administrator.lease import Ending, Lease
from kzproxy.administrator.session import SessionRecord
from kzproxy.administrator.signal import Signal, SignalKind, SignalSource, SignalSubject
from kzproxy.administrator.signal_streams import SignalStreams
from kzproxy.administrator.signals import Outcome, Signals
from kzproxy.administrator.trust import Trust
from kzproxy.attributes.attributes import Attributes
from kzproxy.attributes.device import NO_DEVICE, DevicePosture
from kzproxy.attributes.identity import Identity
from kzproxy.audit.decision_log import DecisionLog, DecisionLogSettings
from kzproxy.authentication.settings import JwtIssuerSettings, PrefixedClaim
from kzproxy.policy.decision import Permit
from kzproxy.policy.engine import PolicyEngine
from kzproxy.policy.rules import AccessPolicySet, Rule, Tier
from tests.administrator.kept_sessions import KeptSessions
from tests.authentication.manual_clock import ManualClock
from tests.policy.samples import ENROLLED, allow, asked, match

IDP = "https://idp.example.com"
ISSUER = JwtIssuerSettings(
    url=IDP,
    audiences=("kubernetes",),
    username=PrefixedClaim(claim="email", prefix="idp:"),
    groups=PrefixedClaim(claim="groups", prefix="idp:"),
)
SOURCE = SignalSource(name="idp", issuer=IDP, users_of=(IDP,))
ALICE = SignalSubject(issuer=IDP, subject="00u1")
WATCH = "/api/v1/namespaces/dev/pods?watch=1"
PODS = match("get list watch", "pods")
LAPTOP = replace(ENROLLED, device_id="laptop-1", serial="2af3")


class Stream:
    """A watch under way, and what it was cut with."""

    def __init__(self, worker: "Worker", attributes: Attributes, session: str) -> None:
        self.cuts: list[Ending] = []
        decision = worker.administrator.decide(attributes)
        assert isinstance(decision, Permit), decision
        self.lease: Lease = worker.administrator.open(decision, session, self.cuts.append)

    @property
    def lives(self) -> bool:
        return not self.cuts

    @property
    def told(self) -> str:
        """What its client was told at its end."""
        (cut,) = self.cuts
        return cut.error.message


class Worker:
    """One of those that share a store."""

    def __init__(
        self, directory: Path, clock: ManualClock, number: int, policies: AccessPolicySet
    ) -> None:
        self.clock = clock
        self.kept = KeptSessions(directory / "kept.db", clock)
        self.sessions = self.kept.directory
        trust = Trust(issuers=frozenset({ISSUER.revision}), device_authorities=frozenset({""}))
        engine = PolicyEngine(policies)
        self.administrator = Administrator(engine, trust, clock)
        self.sessions.on_change(self.administrator.judge_sessions_again)
        self.administrator.consult(self.sessions)
        self.views = keep_signals(self.administrator, self.kept.following, self.sessions)
        self.streams = SignalStreams(self.kept.following)
        self.log_file = directory / f"decisions.{number}.jsonl"
        self.decisions = DecisionLog.open(
            DecisionLogSettings(file=self.log_file, stdout=False), clock
        )
        self.issuers: tuple[JwtIssuerSettings, ...] = (ISSUER,)
        self.signals = Signals(
            store=self.kept.store,
            following=self.kept.following,
            sessions=self.sessions,
            issuers=lambda: self.issuers,
            decisions=self.decisions,
            clock=clock,
        )

    async def signed_in(self, number: int = 1, **others: object) -> SessionRecord:
        """Begin a session of alice's, on a laptop."""
        facts: dict[str, object] = {
            "username": "idp:alice@example.com",
            "groups": ("idp:dev",),
            "email": "alice@example.com",
            "idp_session": f"sid-{number}",
            "device_id": "laptop-1",
            "authenticated_at": self.clock.now(),
            "vouched_by": ISSUER.revision,
        }
        record = self.kept.record(number, **(facts | others))
        await self.sessions.begin(record)
        return record

    def stream(self, who: SessionRecord | Identity, device: DevicePosture = LAPTOP) -> Stream:
        """Begin a watch."""
        identity = who.identity() if isinstance(who, SessionRecord) else who
        attributes = asked("GET", WATCH, who=identity, device=device, at=self.clock.now())
        return Stream(self, attributes, identity.sign_in)

    def session(self, record: SessionRecord) -> SessionRecord:
        """Return a session as it is known now."""
        found = self.sessions.find(record.id)
        assert found is not None
        return found

    def facts(self, who: SessionRecord | Identity, device: DevicePosture = NO_DEVICE) -> Attributes:
        """Return what a new request would be judged by.

        Raises:
            ProxyError: Its caller is nobody.
        """
        identity = who.identity() if isinstance(who, SessionRecord) else who
        attributes = asked("GET", WATCH, who=identity, device=device, at=self.clock.now())
        views = self.views
        order = (self.sessions, views.certificates, views.revocations, views.risks)
        for one in (*order, views.compliance):
            attributes = one.restate(attributes, self.clock.now())
        return attributes

    async def take(
        self,
        kind: SignalKind,
        subject: SignalSubject = ALICE,
        *,
        at: datetime | None = None,
        signal_id: str = "",
        source: SignalSource = SOURCE,
        message: str = "",
        **value: object,
    ) -> Outcome:
        """Take a signal that happened just now, unless something else is said."""
        self._number = getattr(self, "_number", 0) + 1
        signal = Signal(
            source=source.issuer,
            id=signal_id or f"jti-{self._number}",
            subject=subject,
            kind=kind,
            value=value,
            observed_at=at or self.clock.now(),
            message=message,
        )
        return await self.signals.take(signal, source)

    def records(self, kind: str = "signal.received") -> list[dict[str, Any]]:
        """Return what the decision log has of one kind."""
        lines = map(json.loads, self.log_file.read_text().splitlines())
        return [line for line in lines if line["kind"] == kind]

    async def close(self) -> None:
        await self.decisions.close()
        await self.kept.store.close()


async def worker_of(
    directory: Path,
    clock: ManualClock,
    number: int = 1,
    *rules: Rule,
    tiers: tuple[Tier, ...] = (),
) -> Worker:
    """Start one; whoever is in dev may watch pods, unless ``rules`` say otherwise."""
    rules = rules or (allow("pods", PODS, groups="idp:dev"),)
    worker = Worker(directory, clock, number, AccessPolicySet(rules=rules, tiers=tiers))
    await worker.kept.following.start()
    return worker


def direct(clock: ManualClock, **others: object) -> Identity:
    """Come with a token of the issuer's own, made just now in a sign-in of just now."""
    now = clock.now()
    identity = Identity(
        username="idp:alice@example.com",
        groups=("idp:dev",),
        method="oidc",
        issuer=IDP,
        subject="00u1",
        sign_in="sid-1",
        expires_at=now + timedelta(hours=1),
        vouched_by=ISSUER.revision,
        authenticated_at=now,
        issued_at=now,
    )
    return replace(identity, **others)  # type: ignore[arg-type]
