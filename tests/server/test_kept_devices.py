"""What is kept of devices goes by the configuration in force."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
import pytest_asyncio
from msgspec.structs import replace

from kzproxy.administrator.administrator import Administrator
from kzproxy.administrator.lease import Ending
from kzproxy.administrator.trust import Trust
from kzproxy.attributes.device import Fact
from kzproxy.devices.device_certificate import DeviceAuthority
from kzproxy.devices.enrolment_settings import EnrolmentSettings
from kzproxy.devices.issuing import CertificateIssuer
from kzproxy.errors.kinds import ServiceUnavailable
from kzproxy.policy.decision import Permit
from kzproxy.policy.engine import PolicyEngine
from kzproxy.policy.rules import AccessPolicySet, Conditions
from kzproxy.server.kept_devices import KeptDevices, keep_devices
from tests.authentication.manual_clock import ManualClock
from tests.devices.kept_devices import AUTHORITY
from tests.devices.kept_devices import KeptDevices as Worker
from tests.policy.samples import allow, asked, match, subject
from tests.servers.authority import Authority

MDM = Authority.root("MDM root")
DEVICES = DeviceAuthority(AUTHORITY.pem, MDM.pem)
SETTINGS = EnrolmentSettings()


def issuer(hours: int = 24) -> CertificateIssuer:
    lifetime = timedelta(hours=hours)
    return CertificateIssuer(AUTHORITY.pem, AUTHORITY.issued.key_pem, lifetime=lifetime)


@pytest.fixture
def administrator() -> Administrator:
    rule = allow("pods", match("watch", "pods"), conditions=Conditions(device_enrolled=True))
    trust = Trust(issuers=frozenset({""}), device_authorities=DEVICES.fingerprints)
    return Administrator(PolicyEngine(AccessPolicySet(rules=(rule,))), trust, ManualClock())


@pytest_asyncio.fixture
async def kept(tmp_path: Path, administrator: Administrator) -> AsyncIterator[KeptDevices]:
    clock = ManualClock()
    worker = Worker(tmp_path / "kept.db", clock)
    kept = keep_devices(
        worker.store, worker.following, worker.directory, administrator, worker.log, clock
    )
    await worker.following.start()
    yield kept
    await worker.close()


async def test_nothing_is_enrolled_where_nothing_is_issued(kept: KeptDevices) -> None:
    with pytest.raises(ServiceUnavailable, match="issues no device certificates"):
        kept.present_enrolment()
    kept.install(DEVICES, issuer(), SETTINGS)
    kept.present_enrolment()
    kept.install(DEVICES, None, SETTINGS)
    with pytest.raises(ServiceUnavailable, match="issues no device certificates"):
        kept.present_enrolment()


async def test_an_enrolment_under_way_goes_by_the_next_configuration(kept: KeptDevices) -> None:
    kept.install(DEVICES, issuer(), SETTINGS)
    enrolment = kept.present_enrolment()
    kept.install(DEVICES, issuer(1), EnrolmentSettings(per_user=1))
    assert kept.present_enrolment() is enrolment
    assert enrolment.issuer.lifetime == timedelta(hours=1)
    assert enrolment.settings.per_user == 1


async def test_our_own_ca_alone_needs_the_registry_and_only_if_we_issue(
    kept: KeptDevices,
) -> None:
    chain = AUTHORITY.device("laptop-1").der_chain
    said = DEVICES.assess(DEVICES.read(chain), ManualClock().now())
    kept.install(DEVICES, None, SETTINGS)
    assert kept.registry.stated(said) is said
    kept.install(DEVICES, issuer(), SETTINGS)
    assert kept.registry.stated(said).enrolled is Fact.FAILED
    managed = DEVICES.assess(DEVICES.read(MDM.device("laptop-1").der_chain), ManualClock().now())
    assert kept.registry.stated(managed) is managed
    kept.install(DEVICES, None, SETTINGS)
    assert kept.registry.stated(said) is said


async def test_streams_are_judged_by_what_the_next_configuration_believes(
    kept: KeptDevices, administrator: Administrator
) -> None:
    kept.install(DEVICES, None, SETTINGS)
    now = ManualClock().now()
    device = DEVICES.assess(DEVICES.read(AUTHORITY.device("laptop-1").der_chain), now)
    who = replace(subject(), expires_at=now + timedelta(hours=1))
    target = "/api/v1/namespaces/dev/pods?watch=1"
    watch = asked("GET", target, who=who, device=device, at=now)
    permit = administrator.decide(watch)
    assert isinstance(permit, Permit)
    cuts: list[Ending] = []
    administrator.open(permit, "a session", cuts.append)
    kept.install(DEVICES, issuer(), SETTINGS)
    (cut,) = cuts
    assert "not enrolled" in cut.error.message
