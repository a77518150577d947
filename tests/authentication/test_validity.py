"""Whether a verified token holds."""

from datetime import UTC, datetime, timedelta

import pytest

from kzproxy.authentication.settings import JwtIssuerSettings, PrefixedClaim
from kzproxy.authentication.validity import (
    MAX_LEEWAY,
    MayHoldLater,
    VerifiedClaims,
    check_audience,
    check_purpose,
    check_times,
)
from kzproxy.errors.kinds import Unauthenticated

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
SECONDS = int(NOW.timestamp())


def check_audience_of(audiences, **claims):
    issuer = JwtIssuerSettings(
        url="https://idp", audiences=audiences, username=PrefixedClaim(claim="sub", prefix="")
    )
    check_audience(VerifiedClaims(claims), issuer)


def end_of(**claims):
    return check_times(VerifiedClaims(claims), NOW, MAX_LEEWAY)


@pytest.mark.parametrize("audience", ["us", ["us"], ["us", "us"]])
def test_e6_7_a_token_for_us_is_taken(audience):
    check_audience_of(("us",), aud=audience)


def test_e6_7_a_token_for_any_of_our_audiences_is_taken():
    check_audience_of(("us", "also-us"), aud="also-us")
    check_audience_of(("us", "also-us"), aud=["us", "also-us"], azp="us")


@pytest.mark.parametrize(
    "audience",
    ["other", "US", "us ", "u", "us2", "https://kubernetes.default.svc", ["other"], ["u", "s"]],
)
def test_e6_7_a_token_for_somebody_else_is_refused(audience):
    with pytest.raises(Unauthenticated, match="must have one of: us"):
        check_audience_of(("us",), aud=audience)


@pytest.mark.parametrize("audience", [None, "", [], [""], [None], ["us", 5], 5, {"us": 1}, True])
def test_e6_7_an_audience_that_is_none_is_refused(audience):
    with pytest.raises(Unauthenticated, match="`aud` is neither"):
        check_audience_of(("us",), aud=audience)


def test_e6_7_a_token_without_audience_is_refused():
    with pytest.raises(Unauthenticated, match="`aud` is neither"):
        check_audience_of(("us",))


@pytest.mark.parametrize(
    "party", [{}, {"azp": "other"}, {"azp": None}, {"azp": ["us"]}, {"azp": ""}]
)
def test_e6_7_a_token_for_several_must_have_been_given_to_us(party):
    with pytest.raises(Unauthenticated, match="`azp` is none of ours"):
        check_audience_of(("us",), aud=["other", "us"], **party)


def test_e6_7_a_token_for_several_that_was_given_to_us_is_taken():
    check_audience_of(("us",), aud=["other", "us"], azp="us")


def test_e6_7_a_token_for_us_alone_may_have_been_given_to_a_client_of_ours():
    check_audience_of(("us",), aud=["us"], azp="kubectl")


@pytest.mark.parametrize("claims", [{}, {"token_use": "id"}, {"token_use": "access"}])
def test_e6_7_a_sign_in_is_taken(claims):
    check_purpose(VerifiedClaims(claims))


@pytest.mark.parametrize(
    "claims",
    [
        {"events": {"http://schemas.openid.net/event/backchannel-logout": {}}},
        {"events": None},
        {"token_use": "refresh"},
        {"token_use": None},
        {"token_use": ["id"]},
    ],
)
def test_e6_7_what_was_signed_for_another_end_is_refused(claims):
    with pytest.raises(Unauthenticated):
        check_purpose(VerifiedClaims(claims))


@pytest.mark.parametrize("end", [SECONDS + 1, SECONDS + 0.5, SECONDS + 3600.25])
def test_e5_5_the_end_is_a_number_whole_or_not(end):
    assert end_of(exp=end).timestamp() == end


def test_the_end_has_no_leeway():
    with pytest.raises(Unauthenticated, match=r"expired at 2026-06-01T12:00:00Z; run any kubectl"):
        end_of(exp=SECONDS)
    with pytest.raises(Unauthenticated, match="expired"):
        end_of(exp=0)


def test_a_token_without_end_is_refused():
    with pytest.raises(Unauthenticated, match="has no `exp`"):
        end_of(iat=SECONDS)


@pytest.mark.parametrize("name", ["exp", "nbf", "iat"])
@pytest.mark.parametrize("value", [str(SECONDS + 60), None, True, [SECONDS], {"s": 1}, ""])
def test_e5_5_a_time_that_is_not_a_number_is_refused(name, value):
    with pytest.raises(Unauthenticated, match=f"`{name}` is not a number"):
        end_of(**({"exp": SECONDS + 60} | {name: value}))


@pytest.mark.parametrize("name", ["exp", "nbf", "iat"])
@pytest.mark.parametrize(
    "value",
    [float("inf"), float("-inf"), float("nan"), 1e300, 10**400, -1, -(10**400), 253402300800],
)
def test_e5_5_a_time_outside_the_calendar_is_refused(name, value):
    with pytest.raises(Unauthenticated, match=f"`{name}` is not a time"):
        end_of(**({"exp": SECONDS + 60} | {name: value}))


def test_the_last_second_of_the_calendar_is_a_time():
    assert end_of(exp=253402300799).year == 9999


@pytest.mark.parametrize("name", ["nbf", "iat"])
def test_e5_5_a_beginning_has_a_minute_of_leeway(name):
    assert end_of(exp=SECONDS + 300, **{name: SECONDS + 60})
    with pytest.raises(MayHoldLater, match=f"`{name}` is later than now, 2026-06-01T12:00:00Z"):
        end_of(exp=SECONDS + 300, **{name: SECONDS + 61})


def test_leeway_can_be_taken_away():
    claims = VerifiedClaims({"exp": SECONDS + 300, "nbf": SECONDS + 1})
    with pytest.raises(MayHoldLater):
        check_times(claims, NOW, timedelta())
