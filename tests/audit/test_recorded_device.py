"""What is written down of a device is all that was judged."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from kzproxy.attributes.device import CheckResult, DevicePosture, Fact
from kzproxy.audit.recorded_device import device_of, recorded_device
from kzproxy.audit.schema import Device
from tests.policy.samples import WEDNESDAY_MORNING
from tests.policy.small_world import devices


@given(device=devices(WEDNESDAY_MORNING))
def test_a_device_comes_back_as_it_was(device: DevicePosture) -> None:
    part = msgspec.json.encode(recorded_device(device))

    assert device_of(msgspec.json.decode(part, type=Device)) == device


def test_what_is_not_known_takes_no_room() -> None:
    part = msgspec.json.decode(
        msgspec.json.encode(recorded_device(DevicePosture(enrolled=Fact.FAILED)))
    )

    assert part == {"enrolled": "failed"}


@given(name=st.text(max_size=20))
def test_a_check_of_any_name_is_safe_to_keep(name: str) -> None:
    check = CheckResult(
        fact=Fact.PASSED,
        observed_at=WEDNESDAY_MORNING,
        expires_at=WEDNESDAY_MORNING,
        source=name,
    )
    part = recorded_device(DevicePosture(enrolled=Fact.PASSED, checks=((name, check),)))

    for written in (*part.checks, *(each.source for each in part.checks.values())):
        assert written.isprintable()
