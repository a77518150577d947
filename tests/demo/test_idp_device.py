"""A terminal waits for a person: how long, how often it may ask, and what it is told."""

from datetime import timedelta

import pytest

from kzproxy.demo.idp_accounts import Accounts
from kzproxy.demo.idp_clients import KZPROXY_CLIENT
from kzproxy.demo.idp_device import MAX_WRONG_CODES, DeviceAuthorizations
from kzproxy.demo.idp_errors import OAuthError
from kzproxy.demo.idp_grants import Grants
from kzproxy.demo.idp_settings import IdentityProviderSettings, Lifetimes
from kzproxy.demo.idp_users import DEMO_USERS


@pytest.fixture
def devices(clock):
    return DeviceAuthorizations(
        clock, Grants(clock, Lifetimes(), Accounts()), IdentityProviderSettings()
    )


def told(devices, device_code):
    with pytest.raises(OAuthError) as caught:
        devices.poll(device_code, client_id="kzproxy")
    return caught.value.error


def test_polling_too_soon_slows_the_terminal_down(devices, clock):
    device_code, waiting = devices.open(KZPROXY_CLIENT, ("openid",))
    assert told(devices, device_code) == "authorization_pending"
    clock.move(seconds=4)
    assert told(devices, device_code) == "slow_down"
    assert waiting.interval == timedelta(seconds=10)
    clock.move(seconds=9)
    assert told(devices, device_code) == "slow_down"
    clock.move(seconds=15)
    assert told(devices, device_code) == "authorization_pending"


def test_a_code_ends_and_says_so(devices, clock):
    device_code, waiting = devices.open(KZPROXY_CLIENT, ("openid",))
    clock.move(minutes=10)
    assert told(devices, device_code) == "expired_token"
    assert devices.waiting_for(waiting.user_code) is None


def test_a_terminal_that_is_turned_away_is_told_once(devices):
    device_code, waiting = devices.open(KZPROXY_CLIENT, ("openid",))
    devices.deny(waiting)
    assert told(devices, device_code) == "access_denied"
    assert told(devices, device_code) == "invalid_grant"


def test_an_approved_terminal_is_let_in_once(devices):
    device_code, waiting = devices.open(KZPROXY_CLIENT, ("openid",))
    devices.approve(waiting, DEMO_USERS[1])
    assert devices.waiting_for(waiting.user_code) is None
    assert devices.poll(device_code, client_id="kzproxy").user == DEMO_USERS[1]
    assert told(devices, device_code) == "invalid_grant"


def test_another_client_learns_nothing(devices):
    device_code, waiting = devices.open(KZPROXY_CLIENT, ("openid",))
    devices.approve(waiting, DEMO_USERS[0])
    with pytest.raises(OAuthError, match="invalid_grant"):
        devices.poll(device_code, client_id="other")
    assert devices.poll(device_code, client_id="kzproxy").user == DEMO_USERS[0]


@pytest.mark.parametrize("typed", [str.lower, lambda code: code.replace("-", " "), " {} ".format])
def test_people_may_type_the_code_in_their_way(devices, typed):
    _, waiting = devices.open(KZPROXY_CLIENT, ("openid",))
    assert devices.waiting_for(typed(waiting.user_code)) is waiting


def test_guessing_codes_is_stopped_for_a_while(devices, clock):
    _, waiting = devices.open(KZPROXY_CLIENT, ("openid",))
    for _ in range(MAX_WRONG_CODES):
        assert devices.waiting_for("BBBB-BBBB") is None
    assert devices.waiting_for(waiting.user_code) is None
    clock.move(seconds=61)
    assert devices.waiting_for(waiting.user_code) is waiting
