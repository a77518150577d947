"""What the client checks of an ID token (OpenID Connect Core 1.0 section 3.1.3.7)."""

import base64
import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kzproxy.client.failure import ClientFailure
from kzproxy.client.id_token import check_claims, lifetime, read_claims

ISSUER, CLIENT_ID = "https://issuer.test", "kzproxy"
NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
GOOD: dict[str, object] = {
    "iss": ISSUER,
    "aud": CLIENT_ID,
    "sub": "alice",
    "nonce": "n",
    "iat": NOW.timestamp(),
    "exp": (NOW + timedelta(seconds=300)).timestamp(),
}


def jwt(payload: bytes) -> str:
    return "e30." + base64.urlsafe_b64encode(payload).rstrip(b"=").decode() + ".c2ln"


def check(**changes: object) -> None:
    claims = {name: value for name, value in (GOOD | changes).items() if value is not None}
    check_claims(claims, ISSUER, CLIENT_ID, nonce="n")


def test_claims_are_read() -> None:
    assert read_claims(jwt(json.dumps(GOOD).encode())) == GOOD


@given(st.text(alphabet="abcdefghij.-_=+/") | st.binary().map(jwt))
def test_any_text_is_claims_or_a_failure(token: str) -> None:
    try:
        claims = read_claims(token)
    except ClientFailure:
        return
    assert isinstance(claims, dict)


def test_a_good_token_passes() -> None:
    check()
    check(aud=[CLIENT_ID])
    check(aud=[CLIENT_ID, "other"], azp=CLIENT_ID)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"iss": "https://issuer.test/"}, "is of issuer"),
        ({"iss": None}, "is of issuer"),
        ({"aud": "other"}, "is for 'other', not for client 'kzproxy'"),
        ({"aud": []}, "not for client"),
        ({"aud": None}, "not for client"),
        ({"aud": [CLIENT_ID, "other"]}, "was issued to None"),
        ({"azp": "other"}, "was issued to 'other'"),
        ({"nonce": "another"}, "nonce"),
        ({"nonce": None}, "nonce"),
        ({"sub": ""}, "names nobody"),
        ({"sub": 7}, "names nobody"),
    ],
)
def test_another_token_is_refused(changes: dict[str, object], said: str) -> None:
    with pytest.raises(ClientFailure, match=said):
        check(**changes)


def test_a_token_lives_until_its_end_and_is_refreshed_a_minute_before() -> None:
    life = lifetime(GOOD, NOW, refreshable=True)
    assert life.expires_at == NOW + timedelta(seconds=300)
    assert life.refresh_at == NOW + timedelta(seconds=240)


def test_a_token_that_cannot_be_refreshed_is_used_almost_to_its_end() -> None:
    assert lifetime(GOOD, NOW, refreshable=False).refresh_at == NOW + timedelta(seconds=290)


def test_a_short_token_is_refreshed_half_way() -> None:
    claims = GOOD | {"exp": (NOW + timedelta(seconds=20)).timestamp()}
    assert lifetime(claims, NOW, refreshable=True).refresh_at == NOW + timedelta(seconds=10)


def test_a_clock_that_is_behind_does_not_make_a_token_live_longer() -> None:
    late = NOW - timedelta(minutes=10)
    assert lifetime(GOOD, late, refreshable=True).expires_at == late + timedelta(seconds=300)


def test_a_clock_that_is_a_little_ahead_is_borne() -> None:
    ahead = NOW + timedelta(seconds=340)
    assert lifetime(GOOD, ahead, refreshable=True).refresh_at <= ahead


def test_a_clock_that_is_far_ahead_is_named() -> None:
    with pytest.raises(ClientFailure, match="check the clock"):
        lifetime(GOOD, NOW + timedelta(seconds=360), refreshable=True)


@pytest.mark.parametrize("end", [None, "soon", True, 1e300, float("nan")])
def test_a_token_without_a_usable_end_is_refused(end: object) -> None:
    with pytest.raises(ClientFailure, match="exp"):
        lifetime(GOOD | {"exp": end}, NOW, refreshable=True)
