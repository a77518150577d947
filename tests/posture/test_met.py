"""Devices of an MDM's CA are asked about too, whichever worker they come to."""

from datetime import timedelta

from msgspec.structs import replace

from kzproxy.posture.met import MetDevices
from tests.posture.scene import CERTIFICATE, LAPTOP


async def test_a_device_without_an_entry_is_met_and_known_to_all(scene):
    here = MetDevices(scene.store, scene.book.met, scene.clock)
    there = MetDevices(scene.store, frozenset, scene.clock)
    scene.book.stated(CERTIFICATE)
    scene.book.stated(replace(CERTIFICATE, device_id="registered", state="approved"))

    await here.note()

    assert await there.ids() == {LAPTOP}


async def test_it_is_written_down_seldom_and_forgotten_after_a_day(scene):
    met = MetDevices(scene.store, scene.book.met, scene.clock)
    scene.book.stated(CERTIFICATE)
    await met.note()
    revision = await scene.store.revision()
    for _ in range(5):
        scene.book.stated(CERTIFICATE)
        await met.note()
    assert await scene.store.revision() == revision

    scene.clock.advance(timedelta(hours=23))
    scene.book.stated(CERTIFICATE)
    await met.note()
    scene.clock.advance(timedelta(hours=23))
    assert await met.ids() == {LAPTOP}
    scene.clock.advance(timedelta(hours=1))
    assert await met.ids() == frozenset()
