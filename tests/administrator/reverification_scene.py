"""Workers that keep sessions in one store and ask a real provider about them."""

import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kzproxy.administrator.giving_back import GivingBack
from kzproxy.administrator.provider_check import refresh_context
from kzproxy.administrator.reverification import Reverification, ReverificationLimits, Shared
from kzproxy.administrator.session import SessionRecord, SessionSettings
from kzproxy.attributes.identity import Identity
from kzproxy.audit.decision_log import DecisionLog, DecisionLogSettings
from kzproxy.audit.events import EventLog
from kzproxy.authentication.provider_client import ProviderClient, SignedIn
from kzproxy.clock.system import Clock
from kzproxy.metrics.registry import Metrics
from kzproxy.store.sealing import KEY_BYTES, Sealer
from tests.administrator.kept_sessions import KeptSessions

SETTINGS = SessionSettings()
SEALER = Sealer([b"k" * KEY_BYTES])


@dataclass(kw_only=True)
class ConfirmingWorker:
    """One worker, and what it confirms sessions with."""

    kept: KeptSessions
    reverification: Reverification
    giving_back: GivingBack
    metrics: Metrics
    clock: Clock
    log_file: Path

    def events(self, name: str) -> list[dict[str, Any]]:
        """Return what is written down of an event."""
        records = map(json.loads, self.log_file.read_bytes().splitlines())
        return [one for one in records if one.get("event") == name]

    def outcomes(self, outcome: str) -> float:
        shown = self.metrics.exposition().decode()
        name = "kzproxy_reverifications_total"
        found = re.search(rf'^{name}{{outcome="{outcome}"}} (\S+)$', shown, re.MULTILINE)
        return float(found[1]) if found else 0.0

    async def begin(self, signed_in: SignedIn, number: int = 1, **changes: object) -> SessionRecord:
        """Begin a session for somebody who has signed in."""
        identity = signed_in.identity
        sealed = SEALER.seal(signed_in.refresh_token.encode(), refresh_context(f"{number:032x}"))
        record = self.kept.record(
            number,
            **{
                "username": identity.username,
                "groups": identity.groups,
                "issuer": identity.issuer,
                "subject": identity.subject,
                "vouched_by": identity.vouched_by,
                "refresh": sealed,
                **changes,
            },
        )
        await self.kept.directory.begin(record)
        return record

    def identity(self, record: SessionRecord) -> Identity:
        return self.kept.directory.identity(record.id, self.clock.now())

    def found(self, record: SessionRecord) -> SessionRecord:
        found = self.kept.directory.find(record.id)
        assert found
        return found

    def refresh_token(self, record: SessionRecord) -> str:
        return SEALER.open(self.found(record).refresh, refresh_context(record.id)).decode()

    async def turn(self) -> None:
        """Do what a turn does, with what other workers have written."""
        await self.kept.following.catch_up()
        await self.reverification.turn()


@asynccontextmanager
async def confirming_worker(
    file: Path,
    clock: Clock,
    client: ProviderClient,
    name: str = "worker-1",
    settings: SessionSettings = SETTINGS,
    limits: ReverificationLimits | None = None,
    events: EventLog | None = None,
) -> AsyncIterator[ConfirmingWorker]:
    kept = KeptSessions(file, clock, settings)
    metrics = Metrics("1")
    log_file = file.with_name(f"{file.stem}-{name}.jsonl")
    decisions = DecisionLog.open(DecisionLogSettings(file=log_file, stdout=False), clock)

    def providers(issuer: str) -> ProviderClient | None:
        return client if issuer == client.settings.issuer.url else None

    shared = Shared(
        store=kept.store,
        following=kept.following,
        directory=kept.directory,
        sealer=SEALER,
        providers=providers,
        events=events or decisions,
        clock=clock,
        metrics=metrics,
    )
    reverification = Reverification(shared, name, limits or ReverificationLimits())
    giving_back = GivingBack(kept.directory, SEALER, providers)
    await kept.following.start()
    try:
        yield ConfirmingWorker(
            kept=kept,
            reverification=reverification,
            giving_back=giving_back,
            metrics=metrics,
            clock=clock,
            log_file=log_file,
        )
    finally:
        await decisions.close()
        await kept.store.close()
