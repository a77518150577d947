"""Which device a session is on, by the key that its client has shown."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from kzproxy.attributes.device import DevicePosture, Fact
from kzproxy.errors.kinds import Forbidden
from kzproxy.web.client_certificates import CertificateSources, ClientCertificates
from tests.authentication.manual_clock import ManualClock
from tests.devices.kept_devices import KeptDevices
from tests.devices.machine import Machine

NONE = CertificateSources(authority=None, issuer=None)
MDMS = DevicePosture(enrolled=Fact.PASSED, device_id="mdm-1", key_thumbprint="ab" * 32)


@pytest.fixture
async def kept(tmp_path: Path) -> AsyncIterator[KeptDevices]:
    kept = KeptDevices(tmp_path / "kept.db", ManualClock())
    await kept.following.start()
    yield kept
    await kept.close()


def device_id(kept: KeptDevices, key: str, presented: DevicePosture) -> str:
    certificates = ClientCertificates(lambda: NONE, kept.registry, kept.clock)
    return certificates.device_id(key, presented)


async def test_a_device_that_needs_no_entry_is_on_its_own_key_alone(kept: KeptDevices) -> None:
    assert device_id(kept, MDMS.key_thumbprint, MDMS) == "mdm-1"
    assert device_id(kept, "cd" * 32, MDMS) == ""


@pytest.mark.parametrize("enrolled", [Fact.FAILED, Fact.UNKNOWN])
def test_a_device_that_is_not_shown_is_none(kept: KeptDevices, enrolled: Fact) -> None:
    assert device_id(kept, MDMS.key_thumbprint, replace(MDMS, enrolled=enrolled)) == ""


async def test_an_enrolled_device_is_one_while_it_is_approved(kept: KeptDevices) -> None:
    machine = Machine()
    pending = (await kept.enrol(machine)).record
    client = DevicePosture(enrolled=Fact.UNKNOWN, key_thumbprint=machine.thumbprint)
    assert device_id(kept, machine.thumbprint, client) == ""
    await kept.administration.approve(pending.id, kept.doing())
    assert device_id(kept, machine.thumbprint, client) == pending.id
    await kept.administration.block(pending.id, "", kept.doing())
    with pytest.raises(Forbidden):
        device_id(kept, machine.thumbprint, client)
