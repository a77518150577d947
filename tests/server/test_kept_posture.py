"""What is known of the state of devices, beside the registry of them."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from kzproxy.administrator.administrator import Administrator
from kzproxy.administrator.trust import NOBODY
from kzproxy.attributes.device import Fact
from kzproxy.policy.engine import PolicyEngine
from kzproxy.policy.rules import AccessPolicySet
from kzproxy.posture.record import KeptCheck, PostureRecord
from kzproxy.posture.source import SourceKind
from kzproxy.server.kept_posture import KeptPosture, keep_posture
from kzproxy.transport.alongside import alongside
from tests.authentication.manual_clock import ManualClock
from tests.devices.kept_devices import KeptDevices
from tests.devices.machine import Machine

MDM = frozenset({"mdm"})


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[tuple[KeptDevices, KeptPosture]]:
    clock = ManualClock()
    kept = KeptDevices(tmp_path / "kept.db", clock)
    administrator = Administrator(PolicyEngine(AccessPolicySet(rules=())), NOBODY, clock)
    posture = keep_posture(
        kept.store, kept.following, kept.registry, administrator, kept.log, clock
    )
    await kept.following.start()
    yield kept, posture
    await kept.close()


async def said(posture: KeptPosture, device_id: str) -> None:
    await posture.keeper.keep(
        PostureRecord(
            device_id=device_id,
            source="mdm",
            kind=SourceKind.MDM,
            observed_at=posture.clock.now(),
            checks={"diskEncrypted": KeptCheck(fact=Fact.PASSED)},
        )
    )


async def test_a_device_without_an_entry_keeps_its_posture_when_it_is_unblocked(
    scene: tuple[KeptDevices, KeptPosture],
) -> None:
    """It had an entry for as long as it was blocked."""
    kept, posture = scene
    kept.registry.believe(MDM)
    await said(posture, "C02XL0")
    await kept.administration.block("C02XL0", "lost", kept.doing())
    await kept.administration.unblock("C02XL0", kept.doing())
    async with alongside(posture.run()):
        await asyncio.sleep(1.2)  # What was forgotten is let go of once a second.
    assert [one.source for one in posture.book.records("C02XL0")] == ["mdm"]


async def test_nothing_is_kept_of_an_enrolled_device_that_is_forgotten(
    scene: tuple[KeptDevices, KeptPosture],
) -> None:
    kept, posture = scene
    record = await kept.approved(Machine())
    await said(posture, record.id)
    await kept.administration.forget(record.id, kept.doing())
    async with alongside(posture.run()), asyncio.timeout(10):
        while posture.book.records(record.id):
            await asyncio.sleep(0.02)
