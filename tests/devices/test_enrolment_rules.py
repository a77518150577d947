"""Whose device a machine is stays so, and what is blocked is given nothing."""

from datetime import UTC, datetime

import msgspec
import pytest

from kzproxy.devices.device_record import NOBODY, DeviceRecord, DeviceState, Owner
from kzproxy.devices.enrolment_rules import renewed, theirs
from kzproxy.devices.issuing import CertificateIssuer
from kzproxy.devices.names import DeviceName
from kzproxy.errors.kinds import Forbidden
from tests.devices.kept_devices import ALICE, AUTHORITY, BOB
from tests.devices.machine import Machine

NOW = datetime.now(UTC)


def record(owner: Owner = ALICE, state: DeviceState = DeviceState.APPROVED) -> DeviceRecord:
    return DeviceRecord(
        id="a1", key_thumbprint="ab" * 32, state=state, owner=owner, enrolled_at=NOW
    )


@pytest.mark.parametrize("owner", [ALICE, Owner(username="alice")])
def test_whoever_has_signed_in_for_a_device_stays_its_owner(owner: Owner) -> None:
    """A token for a name says less of them than their sign-in did."""
    assert theirs(record(ALICE), owner).owner == ALICE


@pytest.mark.parametrize("owner", [BOB, NOBODY, Owner(username="bob")])
def test_what_is_somebodys_is_nobody_elses(owner: Owner) -> None:
    with pytest.raises(Forbidden, match="another user's device"):
        theirs(record(ALICE), owner)


def test_of_the_same_name_at_another_issuer_is_somebody_else() -> None:
    other = msgspec.structs.replace(ALICE, issuer="https://other.example.com")
    with pytest.raises(Forbidden, match="another user's device"):
        theirs(record(ALICE), other)


@pytest.mark.parametrize("owner", [ALICE, NOBODY])
def test_a_blocked_device_is_nobodys_to_enrol(owner: Owner) -> None:
    with pytest.raises(Forbidden, match="blocked"):
        theirs(record(ALICE, DeviceState.BLOCKED), owner)


@pytest.mark.parametrize("state", [DeviceState.BLOCKED, DeviceState.PENDING])
def test_what_is_not_approved_by_now_is_given_no_certificate(state: DeviceState) -> None:
    issuer = CertificateIssuer(AUTHORITY.pem, AUTHORITY.issued.key_pem)
    issued = issuer.issue(Machine().key.public_key(), DeviceName(device_id="a1"), now=NOW)

    assert renewed(record(), issued, NOW).certificate_ends_at == issued.not_after
    with pytest.raises(Forbidden):
        renewed(record(state=state), issued, NOW)
