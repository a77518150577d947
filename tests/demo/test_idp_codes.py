"""An authorization code is bound to everything it was asked with."""

import pytest

from kzproxy.demo.idp_accounts import Accounts
from kzproxy.demo.idp_authorization import AuthorizationRequest
from kzproxy.demo.idp_clients import KZPROXY_CLIENT
from kzproxy.demo.idp_codes import AuthorizationCodes
from kzproxy.demo.idp_errors import OAuthError
from kzproxy.demo.idp_grants import Grants
from kzproxy.demo.idp_settings import Lifetimes
from kzproxy.demo.idp_users import DEMO_USERS
from tests.conformance.oidc_provider import s256

VERIFIER = "v" * 43
REDIRECT = "http://127.0.0.1:1/callback"
GOOD = {"client_id": "kzproxy", "redirect_uri": REDIRECT, "verifier": VERIFIER}


@pytest.fixture
def codes(clock):
    return AuthorizationCodes(clock, Grants(clock, Lifetimes(), Accounts()), Lifetimes())


@pytest.fixture
def code(codes):
    request = AuthorizationRequest(
        client=KZPROXY_CLIENT,
        redirect_uri=REDIRECT,
        scopes=("openid",),
        state="s",
        nonce="n",
        code_challenge=s256(VERIFIER),
    )
    return codes.new(request, DEMO_USERS[0])


def test_it_gives_the_grant_and_the_nonce(codes, code):
    grant, nonce = codes.redeem(code, **GOOD)
    assert (grant.user, nonce) == (DEMO_USERS[0], "n")


def test_it_ends_after_a_minute(codes, code, clock):
    clock.move(seconds=60)
    with pytest.raises(OAuthError, match="unknown or has ended"):
        codes.redeem(code, **GOOD)


@pytest.mark.parametrize(
    "change",
    [
        {"client_id": "other"},
        {"redirect_uri": "http://127.0.0.1:2/callback"},
        {"verifier": "w" * 43},
        {"verifier": ""},
        {"verifier": "v" * 42},
        {"verifier": "é" * 43},
    ],
)
def test_a_wrong_attempt_fails_and_spends_it(codes, code, change):
    with pytest.raises(OAuthError, match="invalid_grant"):
        codes.redeem(code, **(GOOD | change))
    with pytest.raises(OAuthError, match="has been used"):
        codes.redeem(code, **GOOD)
