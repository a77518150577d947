"""Whose device it is that is enrolled."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from aiohttp.test_utils import make_mocked_request
from msgspec.structs import replace
from multidict import CIMultiDict

from kzproxy.attributes.identity import Identity
from kzproxy.errors.kinds import Unauthenticated
from kzproxy.web.enrolling_callers import EnrollingCallers

ALICE = Identity(
    username="t:alice",
    groups=("t:dev",),
    method="session",
    issuer="https://idp.example.com",
    subject="00u1",
    sign_in="5" * 32,
    expires_at=datetime(2026, 6, 1, tzinfo=UTC),
)


class OneToken:
    """Stands in for the authenticator, which has tests of its own."""

    def __init__(self, identity: Identity) -> None:
        self.identity = identity

    async def authenticate(self, token: str) -> Identity:
        if token != "good":
            raise Unauthenticated("the token does not hold")
        return self.identity


def let(_: Identity) -> None:
    """Know nothing against anybody."""


def callers(
    identity: Identity = ALICE, check: Callable[[Identity], None] = let
) -> EnrollingCallers:
    return EnrollingCallers(lambda: OneToken(identity), check)


def request(*headers: str):
    named = CIMultiDict([("Authorization", header) for header in headers])
    return make_mocked_request("POST", "/devices", headers=named)


async def test_without_a_token_it_is_nobody() -> None:
    assert await callers().enroller(request()) is None


async def test_the_token_says_whose_device_it_is() -> None:
    enroller = await callers().enroller(request("Bearer good"))
    assert enroller.owner.username == "t:alice"
    assert (enroller.owner.issuer, enroller.owner.subject) == ("https://idp.example.com", "00u1")
    assert enroller.session == "5" * 32


async def test_a_token_that_is_bound_to_nothing_has_nothing_approved_by_policy() -> None:
    assert (await callers().enroller(request("Bearer good"))).groups == ()


async def test_a_token_without_its_certificate_is_nobodys() -> None:
    bound = replace(ALICE, confirmation="ab" * 32)
    with pytest.raises(Unauthenticated, match="another certificate"):
        await callers(bound).enroller(request("Bearer good"))


async def test_a_token_that_was_revoked_enrols_nothing() -> None:
    def revoked(caller: Identity) -> None:
        raise Unauthenticated(f"{caller.username} was signed out")

    with pytest.raises(Unauthenticated, match="t:alice was signed out"):
        await callers(check=revoked).enroller(request("Bearer good"))


@pytest.mark.parametrize(
    "headers", [("Bearer bad",), ("Basic good",), ("Bearer",), ("Bearer good", "Bearer good")]
)
async def test_what_is_no_token_that_holds_is_refused(headers: tuple[str, ...]) -> None:
    with pytest.raises(Unauthenticated):
        await callers().enroller(request(*headers))
