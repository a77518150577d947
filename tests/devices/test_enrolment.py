"""How a machine becomes a device, and who cannot make it one."""

import asyncio
import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509

from kzproxy.devices.device_record import NOBODY, ApprovedBy, DeviceState, Owner
from kzproxy.devices.enrolment_request import Enrolled
from kzproxy.errors.kinds import (
    BadRequest,
    Forbidden,
    NotServed,
    ProxyError,
    ServiceUnavailable,
    Unauthenticated,
)
from tests.authentication.manual_clock import ManualClock
from tests.devices.kept_devices import ALICE, BOB, KeptDevices
from tests.devices.machine import Machine


def names_in(certificate_pem: str) -> list[str]:
    (certificate,) = x509.load_pem_x509_certificates(certificate_pem.encode())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return names.get_values_for_type(x509.UniformResourceIdentifier)


async def test_a_device_waits_until_an_administrator_approves_it(kept: KeptDevices) -> None:
    machine = Machine()
    enrolled = await kept.enrol(machine, serial="S1")
    assert enrolled.certificate is None
    record = enrolled.record
    assert (record.state, record.owner, record.serial) == (DeviceState.PENDING, ALICE, "S1")
    key = machine.key.public_key()
    assert (await kept.enrolment.certificate(key, None)).certificate is None
    await kept.administration.approve(record.id, kept.doing())
    issued = await kept.enrolment.certificate(key, None)
    assert names_in(issued.certificate.pem) == [f"urn:kzproxy:device:{record.id}"]
    assert (issued.record.approved_how, issued.record.approved_by) == ("admin", "root")
    assert issued.record.certificate_ends_at == issued.certificate.not_after


async def test_policy_approves_the_devices_of_some_groups(kept: KeptDevices) -> None:
    enrolled = await kept.enrol(Machine(), ALICE, "trusted")
    assert enrolled.record.approved_how is ApprovedBy.POLICY
    assert enrolled.certificate is not None
    assert (await kept.enrol(Machine(), BOB, "others")).certificate is None


async def test_the_same_key_is_the_same_device(kept: KeptDevices) -> None:
    machine = Machine()
    first, second = await kept.enrol(machine), await kept.enrol(machine)
    assert first.record == second.record
    assert len(kept.registry.all()) == 1
    approved = await kept.enrol(machine, ALICE, "trusted")
    assert approved.record.id == first.record.id
    assert approved.certificate is not None


async def test_two_workers_that_enrol_a_key_at_once_enrol_one_device(
    kept: KeptDevices, tmp_path: Path, clock: ManualClock
) -> None:
    other = KeptDevices(tmp_path / "kept.db", clock, "1")
    await other.following.start()
    for owner in (ALICE, BOB):
        machine = Machine()
        here, there = await asyncio.gather(kept.enrol(machine, owner), other.enrol(machine, owner))
        assert here.record.id == there.record.id
    await other.close()


async def test_nobody_has_more_devices_however_many_workers_they_enrol_at(
    kept: KeptDevices, tmp_path: Path, clock: ManualClock
) -> None:
    workers = [kept, *(KeptDevices(tmp_path / "kept.db", clock, str(n)) for n in (1, 2, 3))]
    for worker in workers[1:]:
        await worker.following.start()
    tries = [each.enrol(Machine(), who) for each in workers for who in (ALICE, ALICE, BOB)]
    came = await asyncio.gather(*tries, return_exceptions=True)
    # Who collides too often is asked to try again.
    assert {type(one) for one in came} <= {Enrolled, Forbidden, ServiceUnavailable}
    await kept.registry.catch_up()
    while len(kept.registry.of_owner(BOB.issuer, BOB.subject)) < 2:
        await kept.enrol(Machine(), BOB)
    for owner in (ALICE, BOB):
        with pytest.raises(Forbidden, match="as many as one may have"):
            await kept.enrol(Machine(), owner)
        assert len(kept.registry.of_owner(owner.issuer, owner.subject)) == 2
    for worker in workers[1:]:
        await worker.close()


async def test_a_key_that_was_forgotten_can_be_enrolled_at_another_worker(
    kept: KeptDevices, tmp_path: Path, clock: ManualClock
) -> None:
    machine = Machine()
    record = (await kept.enrol(machine)).record
    await kept.administration.forget(record.id, kept.doing())
    other = KeptDevices(tmp_path / "kept.db", clock, "1")
    await other.following.start()
    assert (await other.enrol(machine, BOB)).record.owner == BOB
    await other.close()


async def test_a_key_is_not_enrolled_for_two_people(kept: KeptDevices) -> None:
    machine = Machine()
    await kept.approved(machine, ALICE)
    with pytest.raises(Forbidden, match="another user's device"):
        await kept.enrol(machine, BOB, "trusted")


async def test_a_serial_number_with_another_key_is_looked_at_by_an_administrator(
    kept: KeptDevices,
) -> None:
    first = await kept.enrol(Machine(), ALICE, "trusted", serial="S1")
    again = await kept.enrol(Machine(), ALICE, "trusted", serial="S1")
    assert first.certificate is not None
    assert again.record.state is DeviceState.PENDING
    assert again.record.same_serial_as == first.record.id


async def test_the_serial_number_of_a_blocked_device_is_approved_by_nothing_else(
    kept: KeptDevices,
) -> None:
    first = await kept.enrol(Machine(), ALICE, "trusted", serial="S1")
    await kept.administration.block(first.record.id, "stolen", kept.doing())
    token = await kept.token()
    again = await kept.enrol(Machine(), BOB, "trusted", token=token, serial="S1")
    assert again.record.state is DeviceState.PENDING


async def test_a_blocked_device_gets_no_certificate_however_it_asks(kept: KeptDevices) -> None:
    machine = Machine()
    record = await kept.approved(machine)
    await kept.administration.block(record.id, "stolen", kept.doing())
    with pytest.raises(Forbidden, match="stolen"):
        await kept.enrolment.certificate(machine.key.public_key(), None)
    with pytest.raises(Forbidden, match="stolen"):
        await kept.enrol(machine, ALICE, "trusted")
    with pytest.raises(BadRequest, match="unblock"):
        await kept.administration.approve(record.id, kept.doing())
    await kept.administration.unblock(record.id, kept.doing())
    assert (await kept.enrolment.certificate(machine.key.public_key(), None)).certificate


async def test_a_forgotten_device_has_to_be_enrolled_again(kept: KeptDevices) -> None:
    machine = Machine()
    record = await kept.approved(machine)
    await kept.administration.forget(record.id, kept.doing())
    with pytest.raises(NotServed, match="`kzproxy device enroll`"):
        await kept.enrolment.certificate(machine.key.public_key(), None)
    assert (await kept.enrol(machine)).record.id != record.id


async def test_nobody_has_more_devices_than_they_may(kept: KeptDevices) -> None:
    await kept.enrol(Machine())
    await kept.enrol(Machine())
    with pytest.raises(Forbidden, match="alice has 2 devices"):
        await kept.enrol(Machine())
    await kept.enrol(Machine(), BOB)


async def test_nobody_has_more_devices_by_asking_for_many_at_once(kept: KeptDevices) -> None:
    answers = await asyncio.gather(
        *(kept.enrol(Machine()) for _ in range(6)), return_exceptions=True
    )
    assert sum(isinstance(answer, Forbidden) for answer in answers) == 4
    assert len(kept.registry.all()) == 2


async def test_who_is_not_signed_in_needs_a_token(kept: KeptDevices) -> None:
    with pytest.raises(Unauthenticated, match="--token"):
        await kept.enrol(Machine(), None)


async def test_a_token_approves_a_device_without_a_sign_in(kept: KeptDevices) -> None:
    enrolled = await kept.enrol(Machine(), None, token=await kept.token())
    assert (enrolled.record.approved_how, enrolled.record.approved_by) == ("token", "root")
    assert enrolled.record.owner == NOBODY
    assert enrolled.certificate is not None


async def test_a_token_for_a_user_makes_it_their_device(kept: KeptDevices) -> None:
    enrolled = await kept.enrol(Machine(), None, token=await kept.token("alice"))
    assert enrolled.record.owner == Owner(username="alice")


async def test_what_tokens_made_for_one_name_takes_nothing_from_another(kept: KeptDevices) -> None:
    for _ in range(2):  # as many as one may have
        await kept.enrol(Machine(), None, token=await kept.token("alice"))
    with pytest.raises(Forbidden, match="as many as one may have"):
        await kept.enrol(Machine(), None, token=await kept.token("alice"))
    await kept.enrol(Machine(), None, token=await kept.token("bob"))
    for _ in range(3):
        await kept.enrol(Machine(), None, token=await kept.token())


async def test_a_device_of_a_token_is_of_whoever_signs_in_with_its_key(kept: KeptDevices) -> None:
    prepared, anybodys = Machine(), Machine()
    await kept.enrol(prepared, None, token=await kept.token("alice"))
    await kept.enrol(anybodys, None, token=await kept.token())
    with pytest.raises(Forbidden, match="another user's device"):
        await kept.enrol(prepared, BOB)
    assert (await kept.enrol(prepared, ALICE)).record.owner == ALICE
    assert (await kept.enrol(anybodys, BOB)).record.owner == BOB
    with pytest.raises(Forbidden, match="another user's device"):
        await kept.enrol(anybodys, ALICE)
    assert [event["event"] for event in kept.events()].count("device.owned") == 2


async def test_a_device_that_is_blocked_while_it_is_approved_stays_blocked(
    kept: KeptDevices, tmp_path: Path, clock: ManualClock
) -> None:
    """The block comes from another worker, and is in the store alone."""
    machine = Machine()
    record = (await kept.enrol(machine)).record
    other = KeptDevices(tmp_path / "kept.db", clock, "1")
    await other.following.start()
    await other.administration.block(record.id, "stolen", other.doing())
    assert kept.registry.find(record.id).state is DeviceState.PENDING
    with pytest.raises(Forbidden, match="stolen"):
        await kept.enrol(machine, ALICE, "trusted")
    await kept.following.catch_up()
    assert kept.registry.find(record.id).state is DeviceState.BLOCKED
    await other.close()


async def test_a_token_for_one_user_is_none_for_another(kept: KeptDevices) -> None:
    token = await kept.token("alice")
    with pytest.raises(Forbidden, match="another user"):
        await kept.enrol(Machine(), BOB, token=token)
    assert (await kept.enrol(Machine(), ALICE, token=token)).certificate is not None


async def test_a_token_is_good_once(kept: KeptDevices) -> None:
    token = await kept.token()
    await kept.enrol(Machine(), None, token=token)
    with pytest.raises(Forbidden, match="not good"):
        await kept.enrol(Machine(), None, token=token)


async def test_of_two_workers_that_are_shown_a_token_at_once_one_takes_it(
    kept: KeptDevices, tmp_path: Path, clock: ManualClock
) -> None:
    other = KeptDevices(tmp_path / "kept.db", clock, "1")
    await other.following.start()
    for _ in range(5):
        token = await kept.token()
        answers = await asyncio.gather(
            kept.enrol(Machine(), None, token=token),
            other.enrol(Machine(), None, token=token),
            return_exceptions=True,
        )
        assert sorted(isinstance(answer, Forbidden) for answer in answers) == [False, True]
    await kept.following.catch_up()
    assert len(kept.registry.all()) == 5
    await other.close()


async def test_a_token_ends(kept: KeptDevices, clock: ManualClock) -> None:
    token = await kept.token(hours=1)
    clock.advance(timedelta(hours=1))
    with pytest.raises(Forbidden, match="not good"):
        await kept.enrol(Machine(), None, token=token)


@pytest.mark.parametrize("token", ["x", "kze_", "kze_" + "A" * 43, "kze_" + "A" * 1000])
async def test_a_token_that_nobody_made_is_not_good(kept: KeptDevices, token: str) -> None:
    with pytest.raises(Forbidden, match="not good"):
        await kept.enrol(Machine(), None, token=token)


async def test_the_store_does_not_hold_a_token(kept: KeptDevices, tmp_path: Path) -> None:
    token = await kept.token()
    for file in tmp_path.iterdir():
        assert token.encode() not in file.read_bytes()


@pytest.mark.parametrize("owner", [BOB, None])
async def test_a_token_adds_one_device_also_where_it_cannot_approve_it(
    kept: KeptDevices, owner: Owner | None
) -> None:
    """Nothing else bounds how many there are of nobody's."""
    token = await kept.token()
    first = await kept.enrol(Machine(), ALICE, "trusted", serial="S1")
    await kept.administration.block(first.record.id, "", kept.doing())
    machine = Machine()
    pending = await kept.enrol(machine, owner, token=token, serial="S1")
    assert pending.record.state is DeviceState.PENDING
    for serial in ("S1", ""):
        with pytest.raises(Forbidden, match="not good"):
            await kept.enrol(Machine(), owner, token=token, serial=serial)
    assert len(kept.registry.all()) == 2
    await kept.administration.approve(pending.record.id, kept.doing())
    assert (await kept.enrolment.certificate(machine.key.public_key(), None)).certificate


async def test_a_token_that_changes_nothing_is_not_used_up(kept: KeptDevices) -> None:
    token = await kept.token()
    first = await kept.enrol(Machine(), ALICE, "trusted", serial="S1")
    await kept.administration.block(first.record.id, "", kept.doing())
    machine = Machine()
    await kept.enrol(machine, BOB, serial="S1")
    await kept.enrol(machine, BOB, token=token, serial="S1")
    assert (await kept.enrol(Machine(), None, token=token)).certificate is not None


@pytest.mark.parametrize("text", ["x" * 129, "\x1b[2J", "a\nb", "\u202eb"])
async def test_what_a_device_is_called_can_be_printed(kept: KeptDevices, text: str) -> None:
    with pytest.raises(BadRequest, match="serial"):
        await kept.enrol(Machine(), serial=text)


async def test_what_is_done_is_written_down(kept: KeptDevices) -> None:
    machine = Machine()
    record = await kept.approved(machine)
    issued = (await kept.enrolment.certificate(machine.key.public_key(), None)).certificate
    await kept.administration.block(record.id, "stolen", kept.doing("ben"))
    await kept.administration.unblock(record.id, kept.doing("ben"))
    await kept.administration.forget(record.id, kept.doing("ben"))
    events = kept.events()
    assert [event["event"] for event in events] == [
        "device.enrolled",
        "device.approved",
        "device.certificate-issued",
        "device.blocked",
        "device.unblocked",
        "device.forgotten",
    ]
    assert {event["device"]["id"] for event in events} == {record.id}
    assert {event["user"]["name"] for event in events} == {"alice"}
    assert events[0]["details"]["state"] == "pending"
    assert events[2]["details"]["certificate"] == issued.thumbprint
    assert (events[3]["by"], events[3]["message"]) == ("ben", "stolen")
    assert (events[1]["by"], events[1]["audit_id"]) == ("root", "a-1")


async def test_what_is_refused_is_written_down_too(kept: KeptDevices) -> None:
    machine = Machine()
    record = await kept.approved(machine)
    await kept.administration.block(record.id, "stolen", kept.doing())
    with pytest.raises(Forbidden):
        await kept.enrolment.certificate(machine.key.public_key(), None)
    with pytest.raises(Forbidden):
        await kept.enrol(Machine(), BOB, token="kze_x")
    first, second = kept.events()[-2:]
    assert (first["event"], first["refused"], first["device"]["id"]) == (
        "device.certificate-issued",
        True,
        record.id,
    )
    assert "stolen" in first["message"]
    assert (second["event"], second["refused"], second["by"]) == ("device.enrolled", True, "bob")
    assert kept.enrolment.outcomes == {"pending": 1, "refused": 2}


async def test_what_cannot_be_written_down_is_not_done(kept: KeptDevices) -> None:
    machine = Machine()
    record = (await kept.enrol(machine)).record
    await kept.log.close()
    for doing in (
        kept.administration.approve(record.id, kept.doing()),
        kept.administration.forget(record.id, kept.doing()),
        kept.administration.make_token("", timedelta(hours=1), kept.doing()),
        kept.enrol(Machine(), BOB),
    ):
        with pytest.raises(ProxyError, match="written down"):
            await doing
    assert kept.registry.all() == (record,)


async def test_the_sessions_of_a_device_are_on_it_once_it_is_approved(kept: KeptDevices) -> None:
    machine = Machine()
    await kept.directory.begin(kept.record(1, key_thumbprint=machine.thumbprint))
    await kept.directory.begin(kept.record(2))
    record = await kept.approved(machine)
    on_it = kept.directory.of_device(record.id)
    assert [session.id for session in on_it] == [kept.record(1).id]


@pytest.mark.parametrize("how", ["block", "forget"])
async def test_the_sessions_of_a_device_end_with_it(kept: KeptDevices, how: str) -> None:
    machine = Machine()
    record = await kept.approved(machine)
    await kept.directory.begin(kept.record(1, key_thumbprint=machine.thumbprint))
    await kept.directory.begin(kept.record(2, device_id=record.id))
    await kept.directory.begin(kept.record(3))
    if how == "block":
        await kept.administration.block(record.id, "stolen", kept.doing())
    else:
        await kept.administration.forget(record.id, kept.doing())
    assert [session.id for session in kept.directory.holding()] == [kept.record(3).id]
    assert kept.directory.find(kept.record(1).id).end_cause == "device"


@pytest.mark.parametrize("how", ["block", "forget"])
async def test_so_do_those_whose_provider_is_silent(kept: KeptDevices, how: str) -> None:
    machine = Machine()
    await kept.directory.begin(kept.record(1, key_thumbprint=machine.thumbprint))
    kept.clock.advance(timedelta(minutes=7))
    record = await kept.approved(machine)
    assert kept.directory.find(kept.record(1).id).device_id == record.id
    if how == "block":
        await kept.administration.block(record.id, "stolen", kept.doing())
    else:
        await kept.administration.forget(record.id, kept.doing())
    assert kept.directory.find(kept.record(1).id).end_cause == "device"


async def test_a_device_whose_sessions_cannot_be_ended_can_be_forgotten_again(
    kept: KeptDevices, tmp_path: Path
) -> None:
    machine = Machine()
    record = await kept.approved(machine)
    await kept.directory.begin(kept.record(1, key_thumbprint=machine.thumbprint))
    with closing(sqlite3.connect(tmp_path / "kept.db", isolation_level=None)) as beside:
        beside.execute(
            "CREATE TRIGGER full BEFORE INSERT ON entries WHEN new.kind = 'session'"
            " BEGIN SELECT RAISE(ABORT, 'full'); END"
        )
        with pytest.raises(ServiceUnavailable):
            await kept.administration.forget(record.id, kept.doing())
        beside.execute("DROP TRIGGER full")

    await kept.administration.forget(record.id, kept.doing())

    assert kept.directory.find(kept.record(1).id).end_cause == "device"
    assert kept.registry.find(record.id) is None
