"""A session begins of a sign-in that nobody has revoked, also not while it begins."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from aiohttp.test_utils import make_mocked_request

from kzproxy.administrator.administrator import Administrator
from kzproxy.administrator.kept_signals import keep_signals
from kzproxy.administrator.trust import NOBODY
from kzproxy.administrator.user_revocation import KEPT, UserRevocation
from kzproxy.authentication.session_keys import SigningKeys
from kzproxy.authentication.session_token import SessionTokens
from kzproxy.errors.kinds import Forbidden
from kzproxy.metrics.registry import Metrics
from kzproxy.policy.engine import PolicyEngine
from kzproxy.policy.rules import AccessPolicySet
from kzproxy.store.sealing import KEY_BYTES, Sealer
from kzproxy.store.store import Put
from kzproxy.web.client_certificates import CertificateSources, ClientCertificates
from kzproxy.web.granted import Granted, GrantSources
from kzproxy.web.session_grants import RevokedMeanwhile, SessionGrants
from kzproxy.web.sign_in_desk import SignInDesk, SignInLimits
from kzproxy.web.sign_in_flows import (
    REMEMBERED,
    CodeGrant,
    Person,
    SignInFlows,
    Wish,
    code_key,
    new_secret,
)
from kzproxy.web.sign_in_pages import Pages
from tests.authentication.manual_clock import ManualClock
from tests.devices.kept_devices import KeptDevices
from tests.devices.machine import Machine
from tests.web.interrupted_log import InterruptedLog
from tests.web.test_session_renewal import GOOD_ISSUER, URL, NoPosture

SECOND = timedelta(seconds=1)
SEALER = Sealer([b"k" * KEY_BYTES])
ALICE = "idp:alice@example.com"


class Worker:
    """One of two that people sign in at, and one client of theirs."""

    def __init__(self, directory: Path, clock: ManualClock, name: str) -> None:
        self.clock = clock
        self.kept = kept = KeptDevices(directory / "kept.db", clock, worker=name)
        administrator = Administrator(PolicyEngine(AccessPolicySet(rules=())), NOBODY, clock)
        views = keep_signals(administrator, kept.following, kept.directory)
        self.log = InterruptedLog(kept.log)
        self.machine = Machine()
        self.flows = SignInFlows(kept.store, SEALER, clock)
        desk = SignInDesk(
            url=URL,
            clock=clock,
            flows=self.flows,
            providers=lambda: (),
            pages=Pages(host="kzproxy.example.com"),
            limits=SignInLimits.usual(clock),
            events=self.log,
            metrics=Metrics("test"),
        )
        sources = GrantSources(
            directory=kept.directory,
            tokens=SessionTokens(SigningKeys(SEALER), clock, issuer=URL),
            sealer=SEALER,
            certificates=ClientCertificates(
                lambda: CertificateSources(authority=None, issuer=GOOD_ISSUER),
                kept.registry,
                clock,
            ),
            nonces=kept.nonces,
            posture=NoPosture(),
            catch_up=kept.following.catch_up,
            check_sign_in=views.check_sign_in,
        )
        self.grants = SessionGrants(desk, sources)

    def person(self) -> Person:
        """Have somebody sign in at the provider just now."""
        now = self.clock.now()
        return Person(
            username=ALICE,
            issuer="https://idp.example.com",
            subject="00u1",
            refresh_token="refresh",
            begun_at=now,
            signed_in_at=now,
        )

    async def begin(self, person: Person) -> Granted:
        def used(session: str) -> Put:
            grant = CodeGrant(wish=Wish(), session=session)
            return self.flows.put(code_key(new_secret()), grant, REMEMBERED, expected=None)

        request = make_mocked_request("POST", "/token")
        return await self.grants.begin(request, person, self.machine.key.public_key(), used)

    async def revoke(self) -> None:
        await UserRevocation(self.kept.following, self.clock).revoke(ALICE, "")


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def workers(tmp_path: Path, clock: ManualClock) -> AsyncIterator[list[Worker]]:
    made = [Worker(tmp_path, clock, name) for name in ("1", "2")]
    for one in made:
        await one.kept.following.start()
    yield made
    for one in made:
        await one.kept.close()


@pytest.mark.parametrize("is_first", [True, False])
async def test_a_sign_in_that_is_revoked_while_its_session_begins_gives_none(
    workers: list[Worker], clock: ManualClock, *, is_first: bool
) -> None:
    """What remembers the revocation is forgotten long before the session would end by itself."""
    here, elsewhere = workers
    if not is_first:
        await here.begin(here.person())
        clock.advance(SECOND)
    person = here.person()
    clock.advance(SECOND)
    here.log.meanwhile = elsewhere.revoke
    with pytest.raises(RevokedMeanwhile, match="ended your sessions while you signed in"):
        await here.begin(person)
    clock.advance(KEPT)
    await here.kept.following.catch_up()
    (record,) = here.kept.directory.all()
    assert record.end_cause == "revoked"
    assert [one["event"] for one in here.kept.events()][-2:] == [
        "auth.sign-in",
        "auth.session-ended",
    ]


async def test_a_session_does_not_begin_on_a_device_that_is_blocked_meanwhile(
    workers: list[Worker],
) -> None:
    """Or it would be there again once the device is unblocked."""
    here, elsewhere = workers
    device = await elsewhere.kept.approved(here.machine)

    async def blocked() -> None:
        await elsewhere.kept.administration.block(device.id, "lost", elsewhere.kept.doing())

    here.log.meanwhile = blocked
    with pytest.raises(Forbidden, match="was blocked by root: lost"):
        await here.begin(here.person())
    (record,) = here.kept.directory.all()
    assert record.end_cause == "device"
    assert here.kept.events()[-1]["event"] == "auth.session-ended"


async def test_who_begins_after_the_revocation_has_a_session(
    workers: list[Worker], clock: ManualClock
) -> None:
    here, elsewhere = workers
    await elsewhere.revoke()
    clock.advance(SECOND)
    granted = await here.begin(here.person())
    assert here.kept.directory.identity(granted.record.id, clock.now()).username == ALICE
