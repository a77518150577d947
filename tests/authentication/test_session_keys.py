"""Keys of session tokens: known everywhere before they sign, and until their last token ends."""

import base64
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from kzproxy.authentication.jwks import read_key
from kzproxy.authentication.session_keys import OVERLAP, PERIOD
from tests.authentication.manual_clock import ManualClock
from tests.authentication.session_scene import CERTIFICATE, SESSION, KeyScene

LIFE = timedelta(minutes=5)
ONE = timedelta(seconds=1)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def scene(tmp_path: Path, clock: ManualClock) -> AsyncIterator[KeyScene]:
    scene = KeyScene(tmp_path / "kept.db", clock)
    yield await scene.start()
    await scene.store.close()


def signer(scene: KeyScene) -> str:
    key = scene.keys.signer(scene.clock.now())
    assert key is not None
    return key.id


async def test_the_first_key_signs_at_once(scene: KeyScene):
    assert scene.ids() == {signer(scene)}


async def test_a_second_look_makes_nothing(scene: KeyScene):
    before = scene.ids()
    await scene.keeper.look()
    assert scene.ids() == before


async def test_a_new_key_is_known_before_it_signs_and_the_old_one_after(
    scene: KeyScene, clock: ManualClock
):
    old = signer(scene)
    clock.advance(PERIOD)
    await scene.keeper.look()
    assert signer(scene) == old
    (new,) = scene.ids() - {old}
    clock.advance(OVERLAP - ONE)
    last = scene.tokens.issue(SESSION, CERTIFICATE, life=LIFE)
    assert scene.tokens.verify(last.text).key_id == old
    clock.advance(ONE)
    await scene.keeper.look()
    assert signer(scene) == new
    assert scene.ids() == {old, new}
    clock.advance(LIFE - 2 * ONE)
    assert scene.tokens.verify(last.text).session_id == SESSION
    clock.advance(OVERLAP)
    await scene.keeper.look()
    assert scene.ids() == {new}


async def test_after_days_away_a_key_still_signs(scene: KeyScene, clock: ManualClock):
    old = signer(scene)
    clock.advance(timedelta(days=3))
    await scene.keeper.look()
    assert signer(scene) == old
    clock.advance(OVERLAP)
    await scene.keeper.look()
    assert signer(scene) != old


async def test_two_workers_have_the_same_keys_and_one_makes_them(
    scene: KeyScene, tmp_path: Path, clock: ManualClock
):
    other = await KeyScene(tmp_path / "kept.db", clock).start()
    assert other.ids() == scene.ids()
    token = other.tokens.issue(SESSION, CERTIFICATE, life=LIFE)
    assert scene.tokens.verify(token.text).session_id == SESSION
    clock.advance(PERIOD)
    await other.keeper.look()
    await scene.keeper.look()
    await other.following.catch_up()
    await scene.following.catch_up()
    assert len(scene.ids()) == 2
    assert other.ids() == scene.ids()
    await other.store.close()


async def test_a_private_key_that_cannot_be_opened_verifies_and_another_signs(
    scene: KeyScene, tmp_path: Path, clock: ManualClock
):
    old = signer(scene)
    token = scene.tokens.issue(SESSION, CERTIFICATE, life=LIFE)
    other = await KeyScene(tmp_path / "kept.db", clock, b"o" * 32).start()
    assert signer(other) != old
    assert other.tokens.verify(token.text).key_id == old
    await other.store.close()


async def test_a_key_that_is_gone_where_changes_were_missed_verifies_nothing(
    scene: KeyScene, clock: ManualClock
):
    old = signer(scene)
    kept = await scene.store.entries(scene.keys.kind)
    scene.keys.replaced([])
    assert scene.keys.find(old) is None
    assert scene.keys.signer(clock.now()) is None
    assert scene.ids() == set()
    scene.keys.replaced(kept)
    assert signer(scene) == old


async def test_private_keys_are_not_in_the_file(scene: KeyScene, tmp_path: Path):
    key = scene.keys.signer(scene.clock.now())
    assert key is not None
    assert key.private is not None
    secret = key.private.private_numbers().private_value
    entries = await scene.store.entries("signing-key")
    for entry in entries:
        assert secret.to_bytes(32, "big") not in entry.value
    assert "private" not in repr(key)


async def test_the_published_set_is_one_that_others_can_read(scene: KeyScene):
    for jwk in scene.keys.published()["keys"]:
        assert "d" not in jwk
        assert read_key(dict(jwk)).algorithms == frozenset({"ES256"})
    token = scene.tokens.issue(SESSION, CERTIFICATE, life=LIFE).text
    signed, _, signature = token.rpartition(".")
    key = read_key(dict(scene.keys.published()["keys"][0]))
    assert key.verifies("ES256", signed.encode(), base64.urlsafe_b64decode(signature + "=="))


async def test_a_clock_that_is_set_back_does_not_stop_the_signing(
    scene: KeyScene, clock: ManualClock
):
    clock.jump(-timedelta(days=2))
    await scene.keeper.look()
    assert scene.keys.signer(clock.now()) is not None or scene.keys.due(clock.now())
    await scene.keeper.look()
    clock.advance(OVERLAP)
    assert scene.keys.signer(clock.now()) is not None


async def test_a_clock_that_was_ahead_once_leaves_no_key_behind(
    scene: KeyScene, clock: ManualClock
):
    before, ahead = scene.ids(), timedelta(days=400)
    clock.jump(ahead)
    await scene.keeper.look()
    assert len(scene.ids()) == 2
    clock.jump(-ahead)
    for _ in range(20):
        clock.advance(timedelta(seconds=20))
        await scene.keeper.look()
        assert scene.ids() == before


async def test_where_every_key_is_of_the_future_one_signs_at_once(
    scene: KeyScene, clock: ManualClock
):
    clock.jump(-timedelta(days=2))
    await scene.keeper.look()
    made = signer(scene)
    for _ in range(40):
        clock.advance(timedelta(seconds=20))
        await scene.keeper.look()
    assert scene.ids() == {made}


async def test_a_key_of_a_worker_whose_clock_is_a_little_ahead_is_kept(
    scene: KeyScene, clock: ManualClock
):
    clock.advance(PERIOD)
    await scene.keeper.look()
    before = scene.ids()
    assert len(before) == 2
    clock.jump(-timedelta(seconds=30))
    await scene.keeper.look()
    assert scene.ids() == before
