"""Two kinds of token, each judged as what it says it is."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from kzproxy.authentication.authenticator import Authenticator
from kzproxy.authentication.session_authenticator import SessionAuthenticator, SessionSource
from kzproxy.errors.kinds import ServiceUnavailable, Unauthenticated
from tests.authentication.manual_clock import ManualClock
from tests.authentication.scene import authenticator_of, good_claims, settings_of, with_keys
from tests.authentication.session_scene import CERTIFICATE, SESSION, KeyScene, Sessions
from tests.servers.issuer import TestIssuer

LIFE = timedelta(minutes=5)


class Scene:
    def __init__(self, keys: KeyScene, issuer: TestIssuer, clock: ManualClock) -> None:
        self.keys = keys
        self.issuer = issuer
        self.clock = clock
        self.settings = settings_of(issuer)
        self.sessions = Sessions(clock, self.settings.revision, issuer.url)
        self.oidc = authenticator_of(self.settings, clock=clock)
        source = SessionSource(
            tokens=keys.tokens, sessions=self.sessions, catch_up=self.sessions.catch_up
        )
        self.either = Authenticator(
            self.oidc, SessionAuthenticator(source, (self.settings,), clock)
        )

    def token(self, confirmation: str = CERTIFICATE) -> str:
        return self.keys.tokens.issue(SESSION, confirmation, life=LIFE).text

    def id_token(self, **changes: object) -> str:
        return self.issuer.token(good_claims(self.clock, **changes))


@pytest.fixture
async def scene(tmp_path: Path, issuer: TestIssuer) -> AsyncIterator[Scene]:
    clock = ManualClock()
    keys = KeyScene(tmp_path / "kept.db", clock)
    yield Scene(await keys.start(), issuer, clock)
    await keys.store.close()


async def test_a_session_token_is_its_session(scene: Scene):
    identity = await scene.either.authenticate(scene.token())
    assert identity == replace(scene.sessions.said, confirmation=CERTIFICATE)


async def test_it_is_remembered_as_the_same_object(scene: Scene):
    token = scene.token()
    assert scene.either.remembered(token) is None
    identity = await scene.either.authenticate(token)
    assert scene.either.remembered(token) is identity
    assert await scene.either.authenticate(token) is identity


async def test_the_next_token_of_a_session_gives_the_same_object(scene: Scene):
    identity = await scene.either.authenticate(scene.token())
    assert await scene.either.authenticate(scene.token()) is identity
    other = await scene.either.authenticate(scene.token("cd" * 32))
    assert other == replace(identity, confirmation="cd" * 32)


async def test_a_session_that_changed_is_another_object(scene: Scene):
    token = scene.token()
    before = await scene.either.authenticate(token)
    assert scene.sessions.said is not None
    scene.sessions.said = replace(scene.sessions.said, groups=("new",))
    after = scene.either.remembered(token)
    assert after is not before
    assert after == replace(before, groups=("new",))
    assert scene.either.remembered(token) is after


async def test_nothing_is_remembered_past_the_token(scene: Scene):
    token = scene.token()
    await scene.either.authenticate(token)
    scene.clock.advance(LIFE)
    assert scene.either.remembered(token) is None
    with pytest.raises(Unauthenticated, match="expired"):
        await scene.either.authenticate(token)


async def test_nothing_is_remembered_past_the_session(scene: Scene):
    token = scene.token()
    await scene.either.authenticate(token)
    scene.sessions.said = None
    assert scene.either.remembered(token) is None
    with pytest.raises(Unauthenticated, match="the session was ended"):
        await scene.either.authenticate(token)


async def test_nothing_is_remembered_past_the_key(scene: Scene):
    token = scene.token()
    await scene.either.authenticate(token)
    scene.keys.keys.changed(next(iter(scene.keys.ids())), None)
    assert scene.either.remembered(token) is None


async def test_a_session_that_another_worker_has_just_begun_is_waited_for(scene: Scene):
    scene.sessions.is_known = False
    assert (await scene.either.authenticate(scene.token())).username == "alice"
    assert scene.sessions.caught_up == 1


@pytest.mark.parametrize("held", [True, False])
async def test_a_token_of_just_now_is_of_the_session_as_another_worker_has_just_made_it(
    scene: Scene, *, held: bool
):
    """Signed in anew there, more strongly or after too long: the client comes here at once."""
    before, scene.sessions.unheard_of = (
        scene.sessions.said,
        replace(scene.sessions.said, authentication_class="mfa"),
    )
    scene.sessions.said = before if held else None
    identity = await scene.either.authenticate(scene.token())
    assert identity.authentication_class == "mfa"


async def test_of_a_token_that_is_older_everything_has_been_heard(scene: Scene):
    token = scene.token()
    scene.clock.advance(timedelta(seconds=10))
    await scene.either.authenticate(token)
    assert scene.sessions.caught_up == 0


async def test_a_forged_token_makes_nobody_look_into_the_store(scene: Scene):
    scene.sessions.is_known = False
    token = scene.token()
    with pytest.raises(Unauthenticated):
        await scene.either.authenticate(token[:-8] + "AAAAAAAA")
    assert scene.sessions.caught_up == 0


async def test_an_id_token_is_judged_as_before(scene: Scene):
    async with with_keys(scene.oidc, scene.issuer):
        token = scene.id_token()
        identity = await scene.either.authenticate(token)
        assert identity.method == "oidc"
        assert scene.either.remembered(token) is identity


async def test_neither_kind_is_taken_for_the_other(scene: Scene):
    """What is wrong with a session token is said; the issuer is not even asked about it."""
    async with with_keys(scene.oidc, scene.issuer):
        for typ in ("kzproxy-session+jwt", "KZPROXY-SESSION+jwt"):
            token = scene.issuer.token(good_claims(scene.clock), typ=typ)
            with pytest.raises(Unauthenticated, match="session token"):
                await scene.either.authenticate(token)
        with pytest.raises(Unauthenticated, match="`typ` is not that of an ID or access token"):
            await scene.oidc.authenticate(scene.token())


async def test_an_issuer_that_is_configured_otherwise_is_asked_again(scene: Scene):
    await scene.either.authenticate(token := scene.token())
    changed = scene.either.successor((settings_of(scene.issuer, audiences=("other",)),))
    assert changed.remembered(token) is None
    with pytest.raises(ServiceUnavailable, match="asks it again who you are"):
        await changed.authenticate(token)


async def test_an_issuer_that_is_configured_no_longer_ends_it(scene: Scene, tmp_path: Path):
    await scene.either.authenticate(token := scene.token())
    other = msgspec.structs.replace(scene.settings, url="https://other.example.com")
    with pytest.raises(Unauthenticated, match="no longer configured"):
        await scene.either.successor((other,)).authenticate(token)


async def test_it_is_ready_once_tokens_of_one_kind_can_be_judged(scene: Scene):
    assert scene.oidc.ready() is not None
    assert scene.either.ready() is None
    scene.keys.keys.replaced(())
    assert scene.either.ready() == scene.oidc.ready()
