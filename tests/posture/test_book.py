"""What requests and streams are judged by."""

import asyncio
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from kzproxy.attributes.device import NO_DEVICE, DevicePosture, Fact
from kzproxy.posture.known import known
from kzproxy.posture.record import KIND, KeptCheck, PostureRecord, posture_put
from kzproxy.posture.settings import PostureSettings
from kzproxy.posture.source import SourceKind
from kzproxy.store.store import Delete, Put
from tests.audit.samples import attributes
from tests.authentication.manual_clock import ManualClock
from tests.posture.scene import CERTIFICATE, HOUR, LAPTOP, MINUTE, Scene, opened, record

PASSED, FAILED, UNKNOWN = Fact.PASSED, Fact.FAILED, Fact.UNKNOWN
SELF = {"source": "self+key", "kind": SourceKind.SELF_KEY}


async def write(scene, *records):
    await scene.following.write(*(posture_put(one) for one in records))


async def test_a_device_has_the_facts_that_are_kept(scene, clock):
    await write(scene, record(firewall=PASSED, os="ubuntu"))

    stated = scene.book.stated(CERTIFICATE)

    assert scene.facts() == {"firewall": PASSED}
    assert (stated.os, stated.observed_at) == ("ubuntu", clock.now())
    assert replace(stated, checks=(), os="", observed_at=None) == CERTIFICATE


async def test_the_same_device_is_the_same_object_while_nothing_changes(scene, clock):
    await write(scene, record(firewall=PASSED))
    stated = scene.book.stated(CERTIFICATE)
    clock.advance(MINUTE)

    assert scene.book.stated(CERTIFICATE) is stated
    assert scene.book.stated(stated) is stated
    judged = replace(attributes(), device=stated)
    assert scene.book.restate(judged, clock.now()) is judged


async def test_a_device_that_nobody_spoke_of_is_left_as_it_is(scene, clock):
    judged = replace(attributes(), device=CERTIFICATE)

    assert scene.book.restate(judged, clock.now()) is judged


@pytest.mark.parametrize("device", [NO_DEVICE, DevicePosture(enrolled=FAILED, thumbprint="t")])
async def test_what_is_no_device_has_no_posture(scene, clock, device):
    await write(scene, record(firewall=PASSED))
    stated = scene.book.stated(CERTIFICATE)

    assert scene.book.stated(device) is device
    was_one = replace(stated, enrolled=FAILED, device_id="")
    assert scene.book.stated(was_one).checks == ()


async def test_a_fact_that_turns_is_told_and_is_in_force(scene, clock):
    await write(scene, record(firewall=PASSED))
    before = replace(attributes(), device=scene.book.stated(CERTIFICATE))
    scene.told.clear()

    await write(scene, record(firewall=FAILED))

    assert scene.told == [frozenset({LAPTOP})]
    after = scene.book.restate(before, clock.now())
    assert dict(after.device.checks)["firewall"].fact is FAILED


async def test_the_same_said_again_later_disturbs_nobody(scene, clock):
    await write(scene, record(clock=clock, firewall=PASSED))
    scene.told.clear()
    clock.advance(MINUTE)

    await write(scene, record(clock=clock, firewall=PASSED))

    assert scene.told == []
    assert scene.book.stated(CERTIFICATE).observed_at == clock.now()


async def test_a_fact_is_unknown_when_its_time_is_over_and_that_is_told(scene, clock):
    await write(scene, record(firewall=PASSED, disk_encrypted=PASSED))
    scene.told.clear()

    clock.advance(15 * MINUTE)
    assert scene.facts() == {"firewall": UNKNOWN, "disk_encrypted": PASSED}
    scene.book.sweep(clock.now())

    assert scene.told == [frozenset({LAPTOP})]


async def test_time_alone_is_told_once_and_only_where_it_changes_something(scene, clock):
    await write(scene, record(firewall=PASSED))
    scene.told.clear()
    for _ in range(30):
        clock.advance(MINUTE)
        scene.book.sweep(clock.now())

    assert scene.told == [frozenset({LAPTOP})]


async def test_a_fresh_word_of_the_device_counts_when_the_mdms_is_over(scene, clock):
    await write(scene, record(clock=clock, firewall=PASSED))
    clock.advance(10 * MINUTE)
    await write(scene, record(clock=clock, firewall=FAILED, **SELF))
    assert scene.facts() == {"firewall": UNKNOWN}

    clock.advance(5 * MINUTE)

    assert scene.facts() == {"firewall": FAILED}


async def test_the_operating_system_is_not_known_for_ever(scene, clock):
    await write(scene, record(os="ubuntu", firewall=PASSED))
    clock.advance(HOUR)

    assert scene.book.stated(CERTIFICATE).os == ""


async def test_other_times_hold_where_they_are_configured(scene, clock):
    await write(scene, record(firewall=PASSED, disk_encrypted=PASSED, patched=PASSED))
    settings = PostureSettings(ttl=(("disk_encrypted", MINUTE),), default_ttl=timedelta(minutes=2))
    clock.advance(MINUTE)

    scene.book.configure(settings)

    assert scene.facts() == {"firewall": PASSED, "disk_encrypted": UNKNOWN, "patched": PASSED}
    clock.advance(MINUTE)
    assert scene.facts()["patched"] is UNKNOWN


async def test_a_word_that_is_taken_back_is_told(scene, clock):
    await write(scene, record(firewall=PASSED))
    scene.told.clear()

    await scene.following.write(Delete(kind="posture", key=f"{LAPTOP}/mdm"))

    assert scene.told == [frozenset({LAPTOP})]
    assert scene.facts() == {}


async def test_another_process_sees_the_same_from_its_start(scene, store, clock):
    await write(scene, record(firewall=PASSED))

    other = Scene(store, clock)
    await other.following.start()
    other.book.sweep(clock.now())

    assert other.facts() == {"firewall": PASSED}
    assert other.told == [frozenset({LAPTOP})]


async def test_what_was_missed_is_told_when_all_is_read_anew(scene, clock):
    await write(scene, record(firewall=PASSED), record(device="other", firewall=PASSED))
    stated = scene.book.stated(CERTIFICATE)
    scene.told.clear()
    entries = await scene.store.entries("posture")

    scene.book.replaced([one for one in entries if one.key.startswith(LAPTOP)])
    scene.book.sweep(clock.now())

    assert scene.told == [frozenset({"other"})]
    assert scene.book.stated(CERTIFICATE) is stated
    scene.book.replaced([])
    assert scene.facts() == {}


async def test_a_device_with_a_renewed_certificate_has_the_same_facts(scene, clock):
    await write(scene, record(firewall=PASSED))
    certificates = [replace(CERTIFICATE, thumbprint=f"t{number}") for number in range(20)]

    stated = [scene.book.stated(one) for one in certificates]

    assert {one.checks for one in stated} == {stated[0].checks}
    assert [one.thumbprint for one in stated] == [one.thumbprint for one in certificates]


async def test_many_devices_that_are_read_anew_do_not_keep_all_else_waiting(scene, clock):
    records = [record(device=f"d{number}", firewall=PASSED) for number in range(450)]
    await write(scene, *records)
    entries = await scene.store.entries("posture")
    scene.told.clear()
    scene.book.replaced([])
    assert scene.book.known("d7", clock.now()).checks == ()

    told = []
    for _ in range(4):
        scene.book.sweep(clock.now())
        told.append(sum(len(ids) for ids in scene.told))
    assert told == [200, 400, 450, 450]

    scene.book.replaced(entries)
    assert scene.book.known("d7", clock.now()).fact("firewall") is PASSED


async def test_what_is_told_again_and_again_is_not_remembered_again_and_again(scene, clock):
    for _ in range(50):
        clock.advance(MINUTE)
        await write(scene, record(clock=clock, firewall=PASSED))
        scene.book.sweep(clock.now())

    assert scene.book.pending() == 1


@pytest.mark.parametrize("value", [b"", b"[]", b'{"device_id": "laptop-1", "kind": "oracle"}'])
async def test_an_entry_that_cannot_be_read_breaks_nothing_of_other_devices(scene, value):
    await write(scene, record(firewall=PASSED))
    odd = Put(kind="posture", key="another/odd", value=value)

    await scene.following.write(odd)

    assert scene.facts() == {"firewall": PASSED}
    scene.book.replaced(await scene.store.entries("posture"))
    assert scene.facts() == {"firewall": PASSED}


async def test_nothing_is_known_where_one_source_cannot_be_read(scene, clock):
    """It may have said the contrary of what the others say."""
    await write(scene, record(firewall=PASSED, **SELF))
    assert scene.facts() == {"firewall": PASSED}
    mdm = record(firewall=FAILED)
    for value in (b"{", b'{"device_id": "another"}'):
        await scene.following.write(Put(kind="posture", key=mdm.key, value=value))
        assert scene.facts() == {}
    assert scene.following.unreadable.counts() == {("posture",): 1}
    await write(scene, mdm)
    assert scene.facts()["firewall"] is not PASSED
    await scene.following.write(Put(kind="posture", key=mdm.key, value=b""))
    await scene.following.write(Delete(kind="posture", key=mdm.key))
    assert scene.facts() == {"firewall": PASSED}
    assert scene.following.unreadable.words() == ""


SOURCES = {"self+key": SourceKind.SELF_KEY, "mdm": SourceKind.MDM, "edr": SourceKind.EDR}
OTHERS = [
    PostureSettings(),
    PostureSettings(ttl=(("firewall", 3 * MINUTE), ("os", 2 * MINUTE))),
    PostureSettings(default_ttl=5 * MINUTE),
]
CHECKS = st.dictionaries(
    st.sampled_from(["firewall", "disk_encrypted", "patched"]),
    st.tuples(st.sampled_from(Fact), st.sampled_from([None, 1, 20])),
)
STORIES = st.lists(
    st.tuples(
        st.just("says"),
        st.sampled_from(sorted(SOURCES)),
        CHECKS,
        st.integers(0, 20),
        st.sampled_from(["", "ubuntu", "macos"]),
    )
    | st.tuples(st.just("takes back"), st.sampled_from(sorted(SOURCES)))
    | st.tuples(st.just("waits"), st.sampled_from([0.5, 1, 2, 5, 16, 61]))
    | st.tuples(st.just("configures"), st.sampled_from(OTHERS))
    | st.tuples(st.just("sweeps"))
    | st.tuples(st.just("asks")),
    max_size=12,
)


def said(now, source, checks, minutes, os):
    at = now - minutes * MINUTE
    kept = {
        name: KeptCheck(fact=fact, observed_at=None if ago is None else at - ago * MINUTE)
        for name, (fact, ago) in checks.items()
    }
    return PostureRecord(
        device_id=LAPTOP,
        source=source,
        kind=SOURCES[source],
        observed_at=at,
        checks=kept,
        os=os,
    )


async def tell(story, directory):
    clock, kept, by = ManualClock(), {}, PostureSettings()
    store = opened(directory, clock)
    scene = Scene(store, clock)
    await scene.following.start()
    told = known((), by, clock.now()).substance
    for what, *event in story:
        match what:
            case "says":
                kept[event[0]] = said(clock.now(), *event)
                await write(scene, kept[event[0]])
            case "takes back":
                kept.pop(event[0], None)
                await scene.following.write(Delete(kind=KIND, key=f"{LAPTOP}/{event[0]}"))
            case "waits":
                clock.advance(event[0] * MINUTE)
                continue
            case "configures":
                (by,) = event
                scene.book.configure(by)
            case "sweeps":
                scene.book.sweep(clock.now())
        anew = known(tuple(kept.values()), by, clock.now())
        if what == "sweeps":
            assert scene.told or anew.substance == told
            scene.told.clear()
            told = anew.substance
        stated = scene.book.stated(CERTIFICATE)
        found = stated.checks, stated.os, stated.observed_at
        assert found == (anew.checks, anew.os, anew.observed_at)
    await store.close()


@settings(max_examples=30)
@given(story=STORIES)
def test_what_is_remembered_is_what_would_be_found_out_anew_and_changes_are_told(story):
    with TemporaryDirectory() as directory:
        asyncio.run(tell(story, Path(directory)))
