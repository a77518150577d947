"""The index finds what going through all devices would find."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from kzproxy.devices.device_index import DeviceIndex
from kzproxy.devices.device_record import DeviceRecord, DeviceState, Owner

NAMES = st.sampled_from(["", "a", "b", "c"])
RECORDS = st.builds(
    DeviceRecord,
    id=st.sampled_from(["1", "2", "3"]),
    key_thumbprint=NAMES,
    state=st.sampled_from(DeviceState),
    owner=st.builds(Owner, issuer=NAMES, subject=NAMES),
    serial=NAMES,
    enrolled_at=st.just(datetime(2026, 6, 1, tzinfo=UTC)),
)
CHANGES = st.lists(RECORDS | st.sampled_from(["1", "2", "3"]))


def ids(records: tuple[DeviceRecord, ...]) -> set[str]:
    return {record.id for record in records}


@given(CHANGES, NAMES, NAMES)
def test_whatever_changes_the_index_finds_it(
    changes: list[DeviceRecord | str], one: str, other: str
) -> None:
    index, plain = DeviceIndex(), dict[str, DeviceRecord]()
    for change in changes:
        if isinstance(change, str):
            index.replace(change, None)
            plain.pop(change, None)
        else:
            index.replace(change.id, change)
            plain[change.id] = change
    assert {record.id: record for record in index} == plain
    assert ids(index.of_key(one)) == {
        record.id for record in plain.values() if one and record.key_thumbprint == one
    }
    assert ids(index.of_serial(one)) == {
        record.id for record in plain.values() if one and record.serial == one
    }
    assert ids(index.of_owner(one, other)) == {
        record.id
        for record in plain.values()
        if (record.owner.issuer, record.owner.subject) == (one, other)
    }
