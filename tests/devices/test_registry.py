"""What the registry says of certificates, over the real store."""

import asyncio
import json
from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from msgspec.structs import replace

from kzproxy.attributes.attributes import Attributes
from kzproxy.attributes.device import NO_DEVICE, CheckResult, DevicePosture, Fact
from kzproxy.attributes.environment import Environment
from kzproxy.attributes.identity import Identity
from kzproxy.attributes.request_info import RequestInfo
from kzproxy.devices.device_certificate import DeviceAuthority
from kzproxy.devices.device_record import DeviceState
from kzproxy.devices.issuing import IssuedCertificate
from kzproxy.devices.names import ClientName, DeviceName
from kzproxy.errors.kinds import Forbidden, NotServed, ServiceUnavailable
from kzproxy.store.store import Delete, Put
from tests.authentication.manual_clock import ManualClock
from tests.devices.kept_devices import ALICE, AUTHORITY, BOB, KeptDevices
from tests.devices.machine import Machine
from tests.servers.authority import Authority

MDM = Authority.root("MDM root")
DEVICES = DeviceAuthority(AUTHORITY.pem, MDM.pem)


def read(issued: IssuedCertificate, kept: KeptDevices) -> DevicePosture:
    chain = x509.load_pem_x509_certificates(issued.pem.encode())
    der = tuple(certificate.public_bytes(Encoding.DER) for certificate in chain)
    return DEVICES.assess(DEVICES.read(der), kept.clock.now())


def certified(kept: KeptDevices, machine: Machine, name: DeviceName | ClientName) -> DevicePosture:
    """Return what a certificate of the device CA says, whatever the registry has."""
    issuer = kept.enrolment.issuer
    return read(issuer.issue(machine.key.public_key(), name, now=kept.clock.now()), kept)


def managed(kept: KeptDevices, name: str) -> DevicePosture:
    chain = MDM.issue(common_names=[name]).der_chain
    return DEVICES.assess(DEVICES.read(chain), kept.clock.now())


def attributes(device: DevicePosture, kept: KeptDevices) -> Attributes:
    now = kept.clock.now()
    return Attributes(
        subject=Identity(
            username="alice",
            method="oidc",
            issuer="https://idp.example.com",
            subject="00u1",
            expires_at=now + timedelta(hours=1),
        ),
        device=device,
        request=RequestInfo.parse("GET", "/api/v1/pods"),
        environment=Environment(
            received_at=now, source_address=ip_address("192.0.2.7"), user_agent="kubectl"
        ),
    )


async def test_an_approved_device_is_one_and_has_an_owner(kept: KeptDevices) -> None:
    machine = Machine()
    record = await kept.approved(machine)
    said = certified(kept, machine, DeviceName(device_id=record.id))
    so = kept.registry.stated(said)
    assert (so.enrolled, so.state, so.owner) == (Fact.PASSED, "approved", "alice")
    assert replace(so, state="", owner="") == said


async def test_the_same_certificate_gives_the_same_object(kept: KeptDevices) -> None:
    machine = Machine()
    record = await kept.approved(machine)
    said = certified(kept, machine, DeviceName(device_id=record.id))
    so = kept.registry.stated(said)
    assert kept.registry.stated(said) is so
    assert kept.registry.stated(so) is so
    facts = attributes(so, kept)
    assert kept.registry.restate(facts, kept.clock.now()) is facts
    await kept.approved(Machine(), BOB)
    assert kept.registry.restate(facts, kept.clock.now()) is facts


async def test_facts_that_others_have_added_stay(kept: KeptDevices) -> None:
    machine = Machine()
    record = await kept.approved(machine)
    now = kept.clock.now()
    check = CheckResult(fact=Fact.PASSED, observed_at=now, expires_at=now, source="self")
    so = kept.registry.stated(certified(kept, machine, DeviceName(device_id=record.id)))
    reported = replace(so, checks=(("firewall", check),))
    assert kept.registry.stated(reported) is reported


async def test_a_certificate_of_a_device_that_nobody_enrolled_is_no_devices(
    kept: KeptDevices,
) -> None:
    said = certified(kept, Machine(), DeviceName(device_id="laptop-1"))
    so = kept.registry.stated(said)
    assert (so.enrolled, so.device_id, so.vouched_by) == (Fact.FAILED, "", "")
    assert "`kzproxy device enroll`" in so.reason


async def test_a_certificate_for_another_key_than_the_devices_is_no_devices(
    kept: KeptDevices,
) -> None:
    record = await kept.approved(Machine())
    so = kept.registry.stated(certified(kept, Machine(), DeviceName(device_id=record.id)))
    assert so.enrolled is Fact.FAILED
    assert "another key" in so.reason


async def test_a_device_that_is_not_approved_counts_as_none(kept: KeptDevices) -> None:
    machine = Machine()
    record = (await kept.enrol(machine)).record
    for name in (DeviceName(device_id=record.id), ClientName.of_key(machine.thumbprint)):
        so = kept.registry.stated(certified(kept, machine, name))
        assert so.enrolled is not Fact.PASSED
        assert so.state == "pending"
        assert f"`kzproxy device approve {record.id}`" in so.reason


async def test_a_client_certificate_of_an_approved_device_says_that_another_is_to_be_had(
    kept: KeptDevices,
) -> None:
    machine = Machine()
    await kept.approved(machine)
    so = kept.registry.stated(certified(kept, machine, ClientName.of_key(machine.thumbprint)))
    assert so.enrolled is Fact.UNKNOWN
    assert "not renewed yet" in so.reason


async def test_a_blocked_device_is_nobody_until_it_is_unblocked(kept: KeptDevices) -> None:
    machine = Machine()
    record = await kept.approved(machine)
    said = certified(kept, machine, DeviceName(device_id=record.id))
    before = attributes(kept.registry.stated(said), kept)
    await kept.administration.block(record.id, "stolen", kept.doing())
    so = kept.registry.stated(said)
    assert (so.enrolled, so.state) == (Fact.FAILED, "blocked")
    assert "blocked by root: stolen" in so.reason
    for facts in (before, attributes(said, kept), attributes(so, kept)):
        with pytest.raises(Forbidden, match="stolen"):
            kept.registry.restate(facts, kept.clock.now())
    await kept.administration.unblock(record.id, kept.doing())
    assert kept.registry.stated(said).state == "approved"


async def test_a_blocked_devices_key_is_blocked_under_every_name(kept: KeptDevices) -> None:
    machine = Machine()
    record = await kept.approved(machine)
    await kept.administration.block(record.id, "", kept.doing())
    said = certified(kept, machine, ClientName.of_key(machine.thumbprint))
    assert kept.registry.stated(said).state == "blocked"
    with pytest.raises(Forbidden, match="blocked"):
        kept.registry.name_of_key(machine.thumbprint)


async def test_an_expired_certificate_of_a_blocked_device_is_blocked_too(
    kept: KeptDevices, clock: ManualClock
) -> None:
    machine = Machine()
    record = await kept.approved(machine)
    issued = kept.enrolment.issuer.issue(
        machine.key.public_key(), DeviceName(device_id=record.id), now=clock.now()
    )
    await kept.administration.block(record.id, "", kept.doing())
    clock.advance(timedelta(days=2))
    await kept.following.catch_up()
    assert kept.registry.stated(read(issued, kept)).state == "blocked"


async def test_a_forgotten_device_is_none(kept: KeptDevices) -> None:
    machine = Machine()
    record = await kept.approved(machine)
    said = certified(kept, machine, DeviceName(device_id=record.id))
    await kept.administration.forget(record.id, kept.doing())
    assert kept.registry.stated(said).enrolled is Fact.FAILED
    assert kept.registry.of_key(machine.thumbprint) is None
    with pytest.raises(NotServed):
        await kept.administration.approve(record.id, kept.doing())


async def test_a_device_of_the_mdm_needs_no_entry(kept: KeptDevices) -> None:
    kept.registry.believe(DEVICES.managed)
    said = managed(kept, "C02XL0")
    assert kept.registry.stated(said) is said
    assert said.managed is Fact.PASSED


async def test_a_device_of_the_mdm_can_be_blocked(kept: KeptDevices) -> None:
    kept.registry.believe(DEVICES.managed)
    said = managed(kept, "C02XL0")
    await kept.administration.block("C02XL0", "lost", kept.doing())
    so = kept.registry.stated(said)
    assert (so.enrolled, so.managed, so.state) == (Fact.FAILED, Fact.UNKNOWN, "blocked")
    await kept.administration.unblock("C02XL0", kept.doing())
    assert kept.registry.stated(said) == said
    assert kept.registry.all() == ()


async def test_a_device_of_the_mdm_that_two_administrators_block_at_once_is_blocked(
    kept: KeptDevices, tmp_path: Path, clock: ManualClock
) -> None:
    """Each at a worker of their own, which has not heard of the other's."""
    other = KeptDevices(tmp_path / "kept.db", clock, "1")
    await other.following.start()
    for one in (kept, other):
        one.registry.believe(frozenset({managed(kept, "C02XL0").vouched_by}))
    record, also = await asyncio.gather(
        kept.administration.block("C02XL0", "lost", kept.doing("ann")),
        other.administration.block("C02XL0", "stolen", other.doing("bob")),
    )
    assert record.state is also.state is DeviceState.BLOCKED
    await kept.following.catch_up()
    assert kept.registry.stated(managed(kept, "C02XL0")).state == "blocked"
    await other.close()


async def test_a_device_that_was_just_enrolled_at_another_worker_is_there_to_be_approved(
    kept: KeptDevices, tmp_path: Path, clock: ManualClock
) -> None:
    other = KeptDevices(tmp_path / "kept.db", clock, "1")
    await other.following.start()
    enrolled = await kept.enrol(Machine())
    approved = await other.administration.approve(enrolled.record.id, other.doing())
    assert approved.is_approved
    await other.close()


async def test_the_mdm_cannot_name_a_device_that_was_enrolled_here(kept: KeptDevices) -> None:
    kept.registry.believe(DEVICES.managed)
    record = await kept.approved(Machine())
    so = kept.registry.stated(managed(kept, record.id))
    assert so.enrolled is Fact.FAILED
    assert "enrolled with another key" in so.reason


@pytest.mark.parametrize("value", [b"{", b'{"state": "suspended"}'], ids=repr)
async def test_of_a_device_whose_entry_cannot_be_read_nobody_can_tell(
    kept: KeptDevices, value: bytes
) -> None:
    """It may say that the device is blocked, which the MDM's certificate does not."""
    device = managed(kept, "laptop-9")
    kept.registry.believe(frozenset({device.vouched_by}))
    assert kept.registry.stated(device).enrolled is Fact.PASSED
    await kept.following.write(Put(kind="device", key="laptop-9", value=value))
    with pytest.raises(ServiceUnavailable, match="whether your device may be used"):
        kept.registry.stated(device)
    assert kept.registry.stated(managed(kept, "laptop-8")).enrolled is Fact.PASSED
    await kept.following.write(Delete(kind="device", key="laptop-9"))
    assert kept.registry.stated(device).enrolled is Fact.PASSED


async def test_of_its_key_nobody_can_tell_either(kept: KeptDevices) -> None:
    machine = Machine()
    record = await kept.approved(machine)
    other_name = certified(kept, machine, ClientName.of_key(record.key_thumbprint))
    value = json.dumps({"key_thumbprint": record.key_thumbprint, "state": "suspended"}).encode()
    await kept.following.write(Put(kind="device", key=record.id, value=value))
    with pytest.raises(ServiceUnavailable):
        kept.registry.stated(other_name)
    assert kept.registry.find(record.id) is None


async def test_without_a_certificate_the_registry_says_nothing(kept: KeptDevices) -> None:
    assert kept.registry.stated(NO_DEVICE) is NO_DEVICE


async def test_where_the_store_is_silent_nobody_can_tell(
    kept: KeptDevices, clock: ManualClock
) -> None:
    machine = Machine()
    record = await kept.approved(machine)
    said = certified(kept, machine, DeviceName(device_id=record.id))
    clock.advance(timedelta(seconds=16))
    with pytest.raises(ServiceUnavailable):
        kept.registry.stated(said)
    assert kept.registry.stated(NO_DEVICE) is NO_DEVICE


async def test_another_worker_has_it_from_the_store(
    kept: KeptDevices, tmp_path: Path, clock: ManualClock
) -> None:
    other = KeptDevices(tmp_path / "kept.db", clock, "1")
    await other.following.start()
    machine = Machine()
    record = await kept.approved(machine)
    said = certified(kept, machine, DeviceName(device_id=record.id))
    await other.following.catch_up()
    assert other.registry.stated(said).state == "approved"
    await other.administration.block(record.id, "", other.doing())
    kept.changes.clear()
    await kept.following.catch_up()
    assert kept.changes == [frozenset({record.id})]
    assert kept.registry.stated(said).state == "blocked"
    await other.close()


async def test_a_worker_that_missed_changes_reads_everything_anew(
    kept: KeptDevices, clock: ManualClock
) -> None:
    first, second = Machine(), Machine()
    one, two = await kept.approved(first), await kept.approved(second)
    entries = await kept.store.entries("device")
    kept.changes.clear()
    kept.registry.replaced([entry for entry in entries if entry.key != two.id])
    assert kept.changes == [frozenset({two.id})]
    assert kept.registry.find(two.id) is None
    assert kept.registry.of_key(second.thumbprint) is None
    assert kept.registry.of_owner(ALICE.issuer, ALICE.subject) == (kept.registry.find(one.id),)


async def test_who_was_seen_with_a_key_before_it_was_a_devices_is_judged_again(
    kept: KeptDevices,
) -> None:
    """As where another worker has enrolled it, a moment ago."""
    machine = Machine()
    kept.changed_keys.clear()
    record = await kept.approved(machine)
    assert set(kept.changed_keys) == {frozenset({machine.thumbprint})}
    kept.changed_keys.clear()
    await kept.administration.forget(record.id, kept.doing())
    kept.registry.replaced(await kept.store.entries("device"))
    assert kept.changed_keys == [frozenset({machine.thumbprint}), frozenset()]


async def test_what_nobody_is_judged_by_tells_nobody(kept: KeptDevices, clock: ManualClock) -> None:
    machine = Machine()
    await kept.approved(machine)
    kept.changes.clear()
    await kept.enrolment.certificate(machine.key.public_key(), None)
    assert kept.changes == []


async def test_it_is_noted_now_and_then_when_a_device_was_heard_of(
    kept: KeptDevices, clock: ManualClock
) -> None:
    machine = Machine()
    record = await kept.approved(machine)
    facts = attributes(certified(kept, machine, DeviceName(device_id=record.id)), kept)

    async def heard_of() -> None:
        await kept.following.catch_up()
        kept.registry.restate(facts, clock.now())
        await kept.registry.note_seen()

    await heard_of()
    first = kept.registry.find(record.id).last_seen
    assert first == clock.now()
    clock.advance(timedelta(seconds=60))
    await heard_of()
    assert kept.registry.find(record.id).last_seen == first
    clock.advance(timedelta(seconds=3600))
    await heard_of()
    assert kept.registry.find(record.id).last_seen == clock.now()


async def test_a_device_that_cannot_be_read_by_now_is_not_there_for_whoever_changes_it(
    kept: KeptDevices,
) -> None:
    machine = Machine()
    record = await kept.approved(machine)
    facts = attributes(certified(kept, machine, DeviceName(device_id=record.id)), kept)
    kept.registry.restate(facts, kept.clock.now())
    await kept.store.write(Put(kind="device", key=record.id, value=b'{"state": "suspended"}'))
    await kept.registry.note_seen()
    with pytest.raises(NotServed):
        await kept.registry.update(record.id, lambda one: one)
    with pytest.raises(ServiceUnavailable, match="whether your device may be used"):
        kept.registry.restate(facts, kept.clock.now())


async def test_a_certificate_for_a_key_says_what_the_key_is(kept: KeptDevices) -> None:
    machine = Machine()
    client = ClientName.of_key(machine.thumbprint)
    assert kept.registry.name_of_key(machine.thumbprint) == client
    record = (await kept.enrol(machine)).record
    assert kept.registry.name_of_key(machine.thumbprint) == client
    await kept.administration.approve(record.id, kept.doing())
    assert kept.registry.name_of_key(machine.thumbprint) == DeviceName(device_id=record.id)


async def test_a_change_that_collides_is_made_again(kept: KeptDevices) -> None:
    record = await kept.approved(Machine())
    collided: list[DeviceState] = []

    def change(one):
        collided.append(one.state)
        return one

    await kept.registry.update(record.id, change)
    assert collided == [DeviceState.APPROVED]


async def test_a_person_has_what_was_enrolled_for_their_name_too(kept: KeptDevices) -> None:
    mine = await kept.approved(Machine())
    meant = (await kept.enrol(Machine(), None, token=await kept.token("alice"))).record
    await kept.enrol(Machine(), None, token=await kept.token("bob"))
    await kept.enrol(Machine(), None, token=await kept.token())
    theirs = kept.registry.of_person(ALICE.issuer, ALICE.subject, "alice")
    assert {one.id for one in theirs} == {mine.id, meant.id}
