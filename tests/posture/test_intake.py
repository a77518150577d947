from datetime import timedelta

import pytest

from kzproxy.attributes.device import Fact
from kzproxy.jws.compact import key_id
from kzproxy.posture.report import REPORT_TYPE
from kzproxy.posture.source import SourceKind
from tests.posture.scene import LAPTOP, DeviceKey, claims, record

PASSED, FAILED, UNKNOWN = Fact.PASSED, Fact.FAILED, Fact.UNKNOWN


async def test_a_good_report_is_what_the_device_is_judged_by(scene):
    assert await scene.take() == ""

    assert scene.facts() == {"disk_encrypted": PASSED, "firewall": PASSED}
    assert scene.counts.reports == 1


async def test_a_forged_report_that_says_it_is_the_mdms_is_the_devices_own_word(scene):
    """Whoever has root can sign anything; what they say counts as theirs."""
    checks = {"firewall": {"v": True, "src": "mdm-api", "source": "mdm", "rank": 3}}
    said = claims(scene.clock, scene.nonces.new(), checks=checks, source="mdm-api", kind="mdm-api")
    said |= {"source": "mdm", "assurance": "mdm-api"}

    assert await scene.take(scene.key.jws(said)) == ""

    kept = scene.book.record(LAPTOP, "self+key")
    assert kept is not None
    assert kept.kind is SourceKind.SELF_KEY
    assert [one.source for one in scene.book.records(LAPTOP)] == ["self+key"]
    await scene.keeper.keep(record(clock=scene.clock, firewall=FAILED))
    assert scene.facts()["firewall"] is FAILED


async def test_a_nonce_serves_once(scene):
    report = scene.key.jws(claims(scene.clock, scene.nonces.new()))

    assert await scene.take(report) == ""
    assert "used before" in await scene.take(report)
    assert scene.counts.refused == 1


@pytest.mark.parametrize("nonce", ["", "made-up", "n" * 5000])
async def test_a_nonce_that_is_none_of_ours_does_not_serve(scene, nonce):
    assert "none of ours" in await scene.take(scene.key.jws(claims(scene.clock, nonce)))
    assert scene.facts() == {}


async def test_an_old_nonce_does_not_serve(scene):
    nonce = scene.nonces.new()
    scene.clock.advance(timedelta(minutes=10))

    assert "too old" in await scene.take(scene.key.jws(claims(scene.clock, nonce)))


async def test_a_report_that_is_refused_uses_up_no_nonce(scene):
    nonce = scene.nonces.new()
    named = {"typ": REPORT_TYPE, "alg": "ES256", "kid": key_id(scene.key.public_key)}
    forged = DeviceKey().jws(claims(scene.clock, nonce), named)

    assert "not signed" in await scene.take(forged)

    assert await scene.take(scene.key.jws(claims(scene.clock, nonce))) == ""


async def test_what_is_no_report_at_all_is_refused_in_words(scene):
    assert (await scene.take("nonsense")).startswith("the posture report was not taken: ")


async def test_a_client_that_is_no_enrolled_device_is_not_listened_to(scene):
    report = scene.key.jws(claims(scene.clock, scene.nonces.new()))

    said = await scene.intake.take(report, scene.key.public_key, device_id="", session="s")

    assert said == ""
    assert await scene.store.entries("posture") == ()


async def test_the_first_report_and_each_change_are_in_the_log(scene):
    await scene.take()
    await scene.take()
    await scene.take(checks={"firewall": {"v": False}, "disk_encrypted": {"v": None}})

    first, second = scene.events.written
    assert first.name == "device.posture"
    assert (first.device_id, first.session, first.by) == (LAPTOP, "s-1", "self+key")
    assert first.details == {
        "changed": "disk_encrypted unknown -> passed, firewall unknown -> passed,"
        " os unknown -> ubuntu 24.04"
    }
    assert second.details == {
        "changed": "disk_encrypted passed -> unknown, firewall passed -> failed"
    }
    assert scene.counts.changes == 2


async def test_a_device_that_says_it_is_another_is_an_alarm(scene):
    await scene.take()
    await scene.take(hardware={"machine": "m-2", "model": "X1"})
    await scene.take(hardware={"machine": "m-2", "model": "X1"})

    assert scene.facts() == {"disk_encrypted": UNKNOWN, "firewall": UNKNOWN}
    assert len(scene.events.written) == 2
    assert scene.events.written[1].message == (
        "the device says that it is another machine than at first (machine)"
    )
    assert scene.counts.drifts == 1


async def test_sources_that_contradict_each_other_are_an_alarm(scene):
    await scene.keeper.keep(record(clock=scene.clock, firewall=PASSED))
    await scene.take(checks={"firewall": {"v": False}})

    assert scene.facts() == {"firewall": UNKNOWN}
    assert scene.events.written[1].message == "sources contradict each other about firewall"
    assert scene.events.written[1].details["disputed"] == "firewall"
    assert scene.counts.disputes == 1


async def test_a_busy_device_keeps_what_it_said_until_that_is_too_old(scene):
    await scene.take()
    for _ in range(2):
        scene.clock.advance(timedelta(minutes=5))
        await scene.take(checks={"disk_encrypted": {"v": True}})
    assert scene.facts() == {"disk_encrypted": PASSED, "firewall": PASSED}

    scene.clock.advance(timedelta(minutes=5))
    await scene.take(checks={"disk_encrypted": {"v": True}})

    assert scene.facts() == {"disk_encrypted": PASSED}
    assert len(scene.events.written) == 1
