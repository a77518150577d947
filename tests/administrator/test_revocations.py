"""What was shown before a revocation holds no longer; where nobody knows when, it was before."""

from datetime import datetime, timedelta

import pytest
from msgspec.structs import replace

from kzproxy.administrator.concern import Concern, Who
from kzproxy.administrator.device_signals import RevokedCertificate
from kzproxy.administrator.revocations import Needed, Revocation, is_from_before
from kzproxy.attributes.identity import SESSION_METHOD, Identity
from kzproxy.authentication.validity import MAX_LEEWAY
from kzproxy.devices.serial_numbers import new_serial_number
from tests.policy.samples import ENROLLED, WEDNESDAY_MORNING, subject

AT = WEDNESDAY_MORNING
LATER = AT + timedelta(seconds=1)
ALICE = Concern(issuers=("https://idp.example",), subject="ann")
WHO = Who("https://idp.example", "ann", "ann", "", "sid-1", "")
ANN = subject("ann")


def from_before(
    needed: Needed = Needed.SIGN_IN, concern: Concern = ALICE, **fields: object
) -> bool:
    return is_from_before(AT, replace(ANN, **fields), WHO, concern, needed)


@pytest.mark.parametrize(("issued", "is_over"), [(None, True), (AT, True), (LATER, False)])
def test_a_token_must_be_made_since(issued: datetime | None, is_over: bool) -> None:
    assert from_before(Needed.TOKEN, issued_at=issued) is is_over
    assert from_before(issued_at=issued) is is_over, "where nobody says when they signed in"


@pytest.mark.parametrize(("signed_in", "is_over"), [(AT, True), (LATER, False)])
def test_a_sign_in_must_be_from_since_whatever_its_token_is(
    signed_in: datetime, is_over: bool
) -> None:
    for issued in (None, AT, LATER + timedelta(hours=1)):
        assert from_before(authenticated_at=signed_in, issued_at=issued) is is_over
    assert from_before(Needed.TOKEN, authenticated_at=LATER, issued_at=AT)


def test_a_session_may_have_begun_before_by_as_much_as_clocks_differ() -> None:
    assert from_before(session_began_at=AT + MAX_LEEWAY)
    assert not from_before(session_began_at=AT + MAX_LEEWAY + timedelta(seconds=1))


def test_the_one_session_that_is_named_is_over_whenever_it_began() -> None:
    named = Concern(issuers=("https://idp.example",), idp_session="sid-1")
    other = Concern(issuers=("https://idp.example",), idp_session="sid-2")
    late = LATER + timedelta(days=1)

    assert from_before(concern=named, authenticated_at=late)
    assert not from_before(concern=other, authenticated_at=late)


def ends(needed: Needed, who: Identity) -> bool:
    revocation = Revocation(concern=ALICE, before=AT, taken_at=AT, needed=needed)
    return revocation.ends(who, WHO)


def test_a_session_that_began_since_it_was_taken_goes_on() -> None:
    session = replace(ANN, method=SESSION_METHOD, sign_in="s-1")
    before, since = (replace(session, session_began_at=at) for at in (AT, LATER))

    for needed in (Needed.BEGUN, Needed.SIGN_IN):
        assert ends(needed, before)
        assert ends(needed, session), "nobody knows when it began"
        assert not ends(needed, since)
    assert not ends(Needed.BEGUN, ANN), "of sessions alone"
    assert not ends(Needed.TOKEN, before), "its claims were changed instead"
    assert ends(Needed.TOKEN, replace(ANN, issued_at=AT))


def test_a_revoked_certificate_is_known_by_its_number_and_those_of_its_key_by_theirs() -> None:
    key, another = "ab" * 32, "cd" * 32
    revoked = RevokedCertificate(serial=f"{new_serial_number(key):x}", observed_at=AT)
    following = replace(ENROLLED, serial=f"{new_serial_number(key):x}", key_thumbprint=key)
    neighbour = replace(ENROLLED, serial=f"{new_serial_number(another):x}", key_thumbprint=another)
    of_others = RevokedCertificate(serial="2af3", observed_at=AT)

    assert revoked.covers(following)
    assert not revoked.covers(neighbour)
    assert of_others.covers(replace(neighbour, serial="2af3"))
    assert not of_others.covers(neighbour)
