"""A provider over HTTPS is asked about each device, is believed within bounds, and may be down."""

from datetime import timedelta

import pytest

from kzproxy.attributes.device import Fact
from kzproxy.posture.asked_device import AskedDevice
from kzproxy.posture.provider import PostureProvider, StoreTurn
from kzproxy.posture.provider_http import MAX_ANSWER_BYTES, ProviderHttp
from kzproxy.posture.settings import MappedCheck, ProviderSettings
from kzproxy.posture.source import SourceKind
from tests.posture.provider_stand_in import running_mdm
from tests.posture.scene import HOUR, LAPTOP, MINUTE
from tests.servers.authority import Authority

PASSED, FAILED, UNKNOWN = Fact.PASSED, Fact.FAILED, Fact.UNKNOWN
FIREWALL = MappedCheck(pointer="/security/firewall", passed=(True, "on"), failed=(False, "off"))


@pytest.fixture(scope="module")
def authority():
    return Authority.root()


@pytest.fixture
async def mdm(authority, tmp_path):
    async with running_mdm(authority, tmp_path) as mdm:
        yield mdm


@pytest.fixture
async def ask(mdm, authority, scene):
    """Return a function that makes a provider."""
    made = []

    def provider(path="/devices/{serial}", devices=(("laptop-1", "S 1/2"),), holder="1", **changes):
        settings = ProviderSettings(
            **{
                "name": "mdm",
                "kind": SourceKind.MDM,
                "url": mdm.url + path,
                "authority_pem": authority.pem.decode(),
                "checks": (("firewall", FIREWALL),),
                **changes,
            }
        )
        http = ProviderHttp(settings)
        made.append(http)

        async def asked():
            return [AskedDevice(id=name, serial=serial) for name, serial in devices]

        return PostureProvider(
            settings,
            http=http,
            devices=asked,
            keeper=scene.keeper,
            turn=StoreTurn(scene.store, holder),
            clock=scene.clock,
        )

    yield provider
    for http in made:
        await http.close()


PATH = "/devices/S%201%2F2"


async def test_what_it_says_is_what_a_device_is_judged_by(mdm, ask, scene):
    mdm.answers[PATH] = {"security": {"firewall": "on"}, "system": {"id": "macos", "v": "15.3"}}

    await ask(os="/system/id", os_version="/system/v").look()

    assert scene.facts() == {"firewall": PASSED}
    kept = scene.book.record(LAPTOP, "mdm")
    assert (kept.kind, kept.os, kept.os_version) == (SourceKind.MDM, "macos", "15.3")
    assert scene.counts.provider_answers == {"mdm": 1}


async def test_a_device_may_be_asked_for_by_its_id(mdm, ask, scene):
    mdm.answers["/d/laptop-1"] = {"security": {"firewall": False}}

    await ask(path="/d/{id}").look()

    assert scene.facts() == {"firewall": FAILED}


@pytest.mark.parametrize("name", [".", ".."])
async def test_no_device_leads_to_another_place_there(mdm, ask, scene, name):
    for path in ("/devices/{serial}/posture", "/devices/{id}/posture"):
        await ask(path=path, devices=((name, name),)).look()
        scene.clock.advance(5 * MINUTE)

    assert mdm.asked == []


async def test_it_is_sent_the_headers_of_the_file_as_it_is_now(mdm, ask, scene, tmp_path):
    file = tmp_path / "headers"
    file.write_text("# the MDM's\nAuthorization: Bearer one\n\n")
    provider = ask(headers_file=file)

    await provider.look()
    file.write_text("Authorization: Bearer two\n")
    scene.clock.advance(5 * MINUTE)
    await provider.look()

    assert mdm.asked == [(PATH, "Bearer one"), (PATH, "Bearer two")]


@pytest.mark.parametrize("text", ["no header\n", "a b: c\n", ": x\n", "\xff"])
async def test_a_file_that_is_none_of_headers_is_said_without_what_is_in_it(
    mdm, ask, tmp_path, text
):
    file = tmp_path / "headers"
    file.write_bytes(f"X-Key: geheim\n{text}".encode("latin-1"))
    provider = ask(headers_file=file)

    await provider.look()

    assert str(file) in provider.problem
    assert "geheim" not in provider.problem
    assert mdm.asked == []


async def test_each_device_is_asked_about_once_in_its_time(mdm, ask, scene):
    provider = ask(devices=[(f"d-{number}", f"S{number}") for number in range(9)])

    await provider.look()
    await provider.look()
    assert len(mdm.asked) == 9

    scene.clock.advance(5 * MINUTE)
    await provider.look()
    assert len(mdm.asked) == 18


async def test_of_two_workers_one_asks(mdm, ask, scene):
    one, other = ask(holder="1"), ask(holder="2")
    for _ in range(4):
        await one.look()
        await other.look()
        scene.clock.advance(5 * MINUTE)

    assert len(mdm.asked) == 4


async def test_the_other_worker_asks_when_the_first_is_gone(mdm, ask, scene):
    await ask(holder="1").look()
    scene.clock.advance(HOUR)

    await ask(holder="2").look()

    assert len(mdm.asked) == 2


async def test_a_provider_that_is_down_is_forgotten_when_its_word_is_over(mdm, ask, scene):
    mdm.answers[PATH] = {"security": {"firewall": True}}
    provider = ask()
    assert scene.counts.of_providers() == {("mdm", "success"): 0, ("mdm", "failure"): 0}
    await provider.look()
    mdm.status = 500

    for _ in range(2):
        scene.clock.advance(5 * MINUTE)
        await provider.look()
    assert scene.facts() == {"firewall": PASSED}
    scene.clock.advance(5 * MINUTE)
    await provider.look()

    assert scene.facts() == {"firewall": UNKNOWN}
    assert provider.problem == "the answer is 500, not 200"
    assert scene.counts.provider_failures == {"mdm": 3}


async def test_a_provider_that_is_down_is_not_asked_about_everybody(mdm, ask, scene):
    mdm.status, mdm.raw = 503, b"{}"
    provider = ask(path="/d/{id}", devices=[(f"d-{number}", "") for number in range(40)])

    await provider.look()
    first = {path for path, _ in mdm.asked}
    assert len(first) == 12

    mdm.status = 200
    scene.clock.advance(5 * MINUTE)
    await provider.look()
    assert len(mdm.asked) == 52
    assert not first & {path for path, _ in mdm.asked[12:40]}


async def test_devices_that_nobody_asks_about_do_not_make_it_answer(mdm, ask, scene, caplog):
    mdm.status, mdm.raw = 503, b"{}"
    devices = [(f"d-{number}", f"S{number}" if number % 4 else "") for number in range(40)]
    provider = ask(devices=devices)

    for _ in range(2):
        await provider.look()
        scene.clock.advance(5 * MINUTE)

    assert 0 < len(mdm.asked) <= 24, "each time it is down after three fours"
    assert scene.counts.provider_answers == {"mdm": 0}
    assert scene.counts.provider_failures == {"mdm": len(mdm.asked)}
    assert provider.problem == "the answer is 503, not 200"
    assert [line.message for line in caplog.records] == [
        "posture provider mdm: the answer is 503, not 200"
    ]


async def test_a_device_that_cannot_be_asked_about_has_none_of_its_facts(mdm, ask, scene):
    mdm.answers[PATH] = {"security": {"firewall": True}}
    await ask().look()
    scene.clock.advance(5 * MINUTE)
    assert scene.facts() == {"firewall": PASSED}

    await ask(devices=(("laptop-1", ""),)).look()

    assert scene.facts() == {}
    assert len(mdm.asked) == 1


async def test_a_device_that_it_no_longer_knows_has_none_of_its_facts(mdm, ask, scene):
    mdm.answers[PATH] = {"security": {"firewall": True}}
    provider = ask()
    await provider.look()
    del mdm.answers[PATH]
    scene.clock.advance(5 * MINUTE)

    await provider.look()

    assert scene.facts() == {}
    assert provider.problem == ""


async def test_a_device_without_a_serial_is_not_asked_about_by_serial(mdm, ask):
    await ask(devices=[("laptop-1", "")]).look()

    assert mdm.asked == []


@pytest.mark.parametrize(
    ("raw", "headers", "status", "problem"),
    [
        (b"not json", {}, 200, "the answer is not JSON"),
        (b"[" * 100_000, {}, 200, "the answer is not JSON"),
        (b" " * (MAX_ANSWER_BYTES + 1), {}, 200, "longer than 262144 bytes"),
        (b"{}", {"location": "/else"}, 302, "the answer is 302, not 200"),
        (b"{}", {"content-encoding": "gzip"}, 200, "compressed"),
        (b"{}", {}, 401, "the answer is 401, not 200"),
    ],
)
async def test_a_rude_answer_is_none(mdm, ask, scene, raw, headers, status, problem):
    mdm.raw, mdm.headers, mdm.status = raw, headers, status
    provider = ask()

    await provider.look()

    assert problem in provider.problem
    assert scene.facts() == {}
    assert len(mdm.asked) == 1


async def test_a_provider_that_nobody_vouches_for_is_not_asked(mdm, ask, scene):
    provider = ask(authority_pem=Authority.root("another").pem.decode())

    await provider.look()

    assert "certificate verify failed" in provider.problem
    assert mdm.asked == []


async def test_a_provider_that_answers_again_is_said_to(mdm, ask, scene, caplog):
    mdm.raw = b"no"
    provider = ask()
    await provider.look()
    mdm.raw = b"{}"
    scene.clock.advance(5 * MINUTE)

    await provider.look()

    assert provider.problem == ""
    assert [line.message for line in caplog.records] == [
        "posture provider mdm: the answer is not JSON",
        "posture provider mdm answers again",
    ]


async def test_what_it_knew_long_ago_is_old(mdm, ask, scene):
    at = scene.clock.now() - timedelta(minutes=20)
    mdm.answers[PATH] = {"security": {"firewall": True}, "seen": at.isoformat()}

    await ask(observed_at="/seen").look()

    assert scene.facts() == {"firewall": UNKNOWN}


async def test_the_word_of_a_provider_is_in_the_log_when_it_changes(mdm, ask, scene):
    provider = ask()
    for value in ("on", "on", "off"):
        mdm.answers[PATH] = {"security": {"firewall": value}}
        await provider.look()
        scene.clock.advance(5 * MINUTE)

    assert [(event.by, event.details["changed"]) for event in scene.events.written] == [
        ("mdm", "firewall unknown -> passed"),
        ("mdm", "firewall passed -> failed"),
    ]
