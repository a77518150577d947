"""Entries that cannot be read: nobody can tell what they say, so nobody has it easier by them."""

import json
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from kzproxy.administrator.concern import Concern
from kzproxy.administrator.device_signals import CERTIFICATE_KIND, COMPLIANCE_KIND
from kzproxy.administrator.revocations import KIND as REVOCATION
from kzproxy.administrator.revocations import Revocation
from kzproxy.administrator.risks import KIND as RISK
from kzproxy.administrator.session_entry import KIND as SESSION
from kzproxy.attributes.device import Fact
from kzproxy.devices.serial_numbers import new_serial_number
from kzproxy.errors.kinds import ServiceUnavailable, Unauthenticated
from kzproxy.store.store import Delete, Put
from tests.administrator.signal_world import LAPTOP, Worker, direct, worker_of
from tests.authentication.manual_clock import ManualClock

OF_ALICE = {"issuers": ["https://idp.example.com"], "subject": "00u1"}
KINDS = (REVOCATION, RISK, COMPLIANCE_KIND, CERTIFICATE_KIND, SESSION)


async def poisoned(worker: Worker, kind: str, value: object, key: str = "poison") -> None:
    text = value if isinstance(value, bytes) else json.dumps(value).encode()
    await worker.kept.following.write(Put(kind=kind, key=key, value=text))


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"\xff\xfe",
        b"null",
        b"[" * 5000,
        b"{}",
        {"concern": {"subject": 7}},
        {"concern": {"group": "all-of-them"}},
        {"concern": OF_ALICE | {"colour": "red"}},
    ],
    ids=repr,
)
async def test_a_revocation_of_nobody_knows_whom_refuses_everybody(
    worker: Worker, clock: ManualClock, value: object
) -> None:
    session = await worker.signed_in()
    stream = worker.stream(session)
    await poisoned(worker, REVOCATION, value)
    for who in (session, direct(clock), direct(clock, subject="00u2", issuer="https://other")):
        with pytest.raises(ServiceUnavailable, match="cannot tell whether your sign-in"):
            worker.facts(who)
    assert "cannot tell" in stream.told
    assert "revocation poison" in worker.kept.following.unreadable.words()
    assert "everybody is refused: revocation poison" in (worker.views.revocations.problem() or "")


@pytest.mark.parametrize(
    "value",
    [
        {"concern": OF_ALICE},
        {"concern": OF_ALICE, "before": "soon", "taken_at": "now"},
        {
            "concern": OF_ALICE,
            "before": "2026-01-01T00:00:00Z",
            "taken_at": "2026-01-01T00:00:00Z",
            "needed": "two signatures",
        },
        {
            "concern": OF_ALICE,
            "before": "2026-01-01T00:00:00Z",
            "taken_at": "2026-01-01T00:00:00Z",
            "only_from": "2031-01-01T00:00:00Z",
        },
    ],
    ids=repr,
)
async def test_a_revocation_of_somebody_refuses_them_and_nobody_else(
    worker: Worker, clock: ManualClock, value: object
) -> None:
    neighbour = worker.stream(direct(clock, subject="00u2", username="idp:bob", sign_in="sid-9"))
    await poisoned(worker, REVOCATION, value)
    with pytest.raises(ServiceUnavailable):
        worker.facts(direct(clock))
    with pytest.raises(ServiceUnavailable):
        worker.views.check_sign_in(worker.kept.record(1), clock.now())
    assert neighbour.lives
    assert worker.views.revocations.problem() is None


async def test_once_it_is_dropped_or_mended_it_is_over(worker: Worker, clock: ManualClock) -> None:
    await poisoned(worker, REVOCATION, b"{")
    await worker.kept.following.write(Delete(kind=REVOCATION, key="poison"))
    assert worker.facts(direct(clock))
    assert worker.views.revocations.problem() is None
    await poisoned(worker, REVOCATION, b"{")
    revocation = Revocation(
        concern=Concern(subject="00u1"), before=clock.now(), taken_at=clock.now()
    )
    await poisoned(worker, REVOCATION, msgspec.json.encode(revocation))
    with pytest.raises(Unauthenticated):
        worker.facts(direct(clock))
    assert worker.kept.following.unreadable.words() == ""
    assert worker.views.revocations.problem() is None


@pytest.mark.parametrize(
    ("value", "is_about_bob"),
    [
        (b"{", True),
        ({"concern": OF_ALICE}, False),
        ({"concern": OF_ALICE, "level": "CRITICAL"}, False),
        ({"concern": {"team": "ops"}, "level": "LOW"}, True),
    ],
    ids=repr,
)
async def test_a_risk_is_the_highest_of_whomever_it_may_be_about(
    worker: Worker, clock: ManualClock, value: object, *, is_about_bob: bool
) -> None:
    await poisoned(worker, RISK, value)
    assert worker.facts(direct(clock)).subject.risk == "HIGH"
    bob = direct(clock, subject="00u2", username="idp:bob", sign_in="sid-9")
    assert worker.facts(bob).subject.risk == ("HIGH" if is_about_bob else "")
    assert worker.facts(bob, LAPTOP).device.risk == ("HIGH" if is_about_bob else "")


async def test_no_device_complies(worker: Worker, clock: ManualClock) -> None:
    await poisoned(worker, COMPLIANCE_KIND, {"device": "laptop-1"})
    for device in (LAPTOP, replace(LAPTOP, device_id="another")):
        [(name, result)] = worker.facts(direct(clock), device).device.checks
        assert (name, result.fact) == ("compliant", Fact.FAILED)
    await worker.kept.following.write(Delete(kind=COMPLIANCE_KIND, key="poison"))
    assert worker.facts(direct(clock), LAPTOP).device.checks == ()


async def test_a_certificate_is_revoked_by_the_entrys_name(
    worker: Worker, clock: ManualClock
) -> None:
    await poisoned(worker, CERTIFICATE_KIND, b"?", key=LAPTOP.serial)
    assert worker.facts(direct(clock), LAPTOP).device.enrolled is Fact.FAILED
    other = replace(LAPTOP, serial="77")
    assert worker.facts(direct(clock), other).device.enrolled is Fact.PASSED


async def test_its_key_is_revoked_too_by_the_entrys_name(
    worker: Worker, clock: ManualClock
) -> None:
    key = "0a" * 32
    await poisoned(worker, CERTIFICATE_KIND, b"?", key=f"{new_serial_number(key):x}")
    following = replace(LAPTOP, serial=f"{new_serial_number(key):x}", key_thumbprint=key)
    assert worker.facts(direct(clock), following).device.enrolled is Fact.FAILED
    assert worker.facts(direct(clock), LAPTOP).device.enrolled is Fact.PASSED


async def test_a_worker_starts_where_everything_is_poisoned(
    worker: Worker, tmp_path: Path, clock: ManualClock
) -> None:
    for kind in KINDS:
        await poisoned(worker, kind, b"{")
    other = await worker_of(tmp_path, clock, 2)
    assert other.kept.following.problem() is None
    assert other.kept.following.unreadable.counts() == {(kind,): 1 for kind in KINDS}
    with pytest.raises(ServiceUnavailable):
        other.facts(direct(clock))
    assert other.views.revocations.problem() is not None
    await other.close()
