"""Devices over a real SQLite store and a real decision log, as one or two workers have them."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

from kzproxy.administrator.device_administration import DeviceAdministration, Doing
from kzproxy.audit.decision_log import DecisionLog, DecisionLogSettings
from kzproxy.clock.system import Clock
from kzproxy.devices.device_record import DeviceRecord, Owner
from kzproxy.devices.enrolment import Enrolment
from kzproxy.devices.enrolment_request import Enrolled, Enroller, EnrolmentRequest
from kzproxy.devices.enrolment_settings import EnrolmentSettings
from kzproxy.devices.enrolment_token import EnrolmentTokens
from kzproxy.devices.issuing import CertificateIssuer
from kzproxy.devices.registry import DeviceRegistry
from kzproxy.store.nonces import Nonces
from kzproxy.store.sealing import Sealer
from tests.administrator.kept_sessions import KeptSessions
from tests.devices.machine import Machine
from tests.servers.authority import Authority

AUTHORITY = Authority.root("device root")
ALICE = Owner(issuer="https://idp.example.com", subject="00u1", username="alice")
BOB = Owner(issuer="https://idp.example.com", subject="00u2", username="bob")
SETTINGS = EnrolmentSettings(approve_groups=frozenset({"trusted"}), per_user=2)


class KeptDevices(KeptSessions):
    """What one worker has of devices and sessions."""

    def __init__(self, path: Path, clock: Clock, worker: str = "0") -> None:
        super().__init__(path, clock)
        self.log_file = path.with_name(f"decisions-{worker}.jsonl")
        log_settings = DecisionLogSettings(file=self.log_file, stdout=False, worker=worker)
        self.log = DecisionLog.open(log_settings, clock)
        self.registry = DeviceRegistry(self.store, self.following)
        self.changes: list[frozenset[str]] = []
        self.registry.on_change(self.changes.append)
        self.changed_keys: list[frozenset[str]] = []
        self.registry.on_key_change(self.changed_keys.append)
        self.tokens = EnrolmentTokens(self.store)
        self.nonces = Nonces(self.store, Sealer([bytes(32)]), clock)
        issuer = CertificateIssuer(AUTHORITY.pem, AUTHORITY.issued.key_pem)
        self.enrolment = Enrolment(self.registry, self.tokens, issuer, self.log, clock, SETTINGS)
        self.administration = DeviceAdministration(
            self.registry, self.directory, self.tokens, self.log
        )

    async def close(self) -> None:
        await self.log.close()
        await self.store.close()

    def doing(self, by: str = "root") -> Doing:
        return Doing(by=by, audit_id="a-1", at=self.clock.now())

    async def enrol(
        self,
        machine: Machine,
        owner: Owner | None = ALICE,
        *groups: str,
        token: str = "",
        serial: str = "",
    ) -> Enrolled:
        return await self.enrolment.enrol(
            EnrolmentRequest(
                key=machine.key.public_key(),
                name="a laptop",
                serial=serial,
                platform="linux",
                token=token,
                enroller=None if owner is None else Enroller(owner=owner, groups=groups),
            )
        )

    async def approved(self, machine: Machine, owner: Owner | None = ALICE) -> DeviceRecord:
        enrolled = await self.enrol(machine, owner)
        return await self.administration.approve(enrolled.record.id, self.doing())

    async def token(self, for_user: str = "", hours: int = 1) -> str:
        made, _ = await self.administration.make_token(
            for_user, timedelta(hours=hours), self.doing()
        )
        return made

    def events(self) -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in self.log_file.read_text().splitlines()]
        return [line for line in lines if line["kind"] == "event"]
