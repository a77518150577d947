"""What hangs on a grant ends with it."""

from datetime import timedelta

import pytest

from kzproxy.demo.idp_accounts import Accounts
from kzproxy.demo.idp_grants import Grants
from kzproxy.demo.idp_settings import Lifetimes
from kzproxy.demo.idp_users import DEMO_USERS


@pytest.fixture
def grants(clock):
    return Grants(clock, Lifetimes(grant=timedelta(minutes=30)), Accounts())


@pytest.fixture
def grant(grants, clock):
    return grants.open(
        client_id="kzproxy",
        user=DEMO_USERS[0],
        scopes=("openid", "offline_access"),
        authenticated_at=clock.now(),
    )


def test_rotation_does_not_prolong_the_grant(grants, grant, clock):
    token = grants.new_refresh_token(grant)
    clock.move(minutes=29)
    used = grants.use_refresh_token(token, client_id="kzproxy")
    assert used == grant
    token = grants.new_refresh_token(used)
    clock.move(minutes=1)
    assert grants.use_refresh_token(token, client_id="kzproxy") is None


def test_a_refresh_token_is_worth_nothing_to_another_client(grants, grant):
    token = grants.new_refresh_token(grant)
    assert grants.use_refresh_token(token, client_id="other") is None
    assert grants.use_refresh_token(token, client_id="kzproxy") == grant


def test_another_client_cannot_revoke(grants, grant):
    refresh, access = grants.new_refresh_token(grant), grants.new_access_token(grant)
    grants.revoke(refresh, client_id="other")
    grants.revoke(access, client_id="other")
    assert grants.of_access_token(access) == grant
    assert grants.use_refresh_token(refresh, client_id="kzproxy") == grant


def test_an_access_token_ends_before_its_grant(grants, grant, clock):
    access = grants.new_access_token(grant)
    clock.move(minutes=5)
    assert grants.of_access_token(access) is None
    assert grants.live(grant.session) == grant


def test_ending_a_grant_ends_its_tokens(grants, grant):
    refresh, access = grants.new_refresh_token(grant), grants.new_access_token(grant)
    grants.end(grant.session)
    assert grants.of_access_token(access) is None
    assert grants.use_refresh_token(refresh, client_id="kzproxy") is None
