from datetime import UTC, datetime

import pytest

from kzproxy.attributes.identity import Identity
from kzproxy.attributes.request_info import RequestInfo
from kzproxy.enforcement.limits import IdentityLimits, UnderWay
from kzproxy.errors.kinds import TooManyRequests

GET = RequestInfo.parse("GET", "/api/v1/namespaces/a/pods")
WATCH = RequestInfo.parse("GET", "/api/v1/namespaces/a/pods?watch=1")


def identity(name: str, issuer: str = "https://issuer") -> Identity:
    return Identity(
        username=name,
        method="oidc",
        issuer=issuer,
        subject=name,
        expires_at=datetime(2030, 1, 1, tzinfo=UTC),
    )


@pytest.fixture
def under_way() -> UnderWay:
    return UnderWay(IdentityLimits(streams=1, requests=1))


def test_one_too_many_is_refused_with_a_time_to_come_again(under_way: UnderWay) -> None:
    with under_way.counted(identity("al"), GET), pytest.raises(TooManyRequests) as raised:
        under_way.counted(identity("al"), GET).__enter__()

    assert (raised.value.code, raised.value.retry_after_seconds) == (429, 1)


@pytest.mark.parametrize(
    ("who", "info"),
    [
        pytest.param(identity("bo"), GET, id="another-user"),
        pytest.param(identity("al", "https://other"), GET, id="another-issuers-user"),
        pytest.param(identity("al"), WATCH, id="a-stream"),
    ],
)
def test_others_are_counted_apart(under_way: UnderWay, who: Identity, info: RequestInfo) -> None:
    with under_way.counted(identity("al"), GET), under_way.counted(who, info):
        pass


def test_the_end_makes_room_however_it_comes(under_way: UnderWay) -> None:
    with pytest.raises(LookupError), under_way.counted(identity("al"), GET):
        raise LookupError
    with under_way.counted(identity("al"), GET):
        pass


def test_a_refusal_frees_nothing(under_way: UnderWay) -> None:
    with under_way.counted(identity("al"), GET):
        for _ in range(3):
            with pytest.raises(TooManyRequests), under_way.counted(identity("al"), GET):
                raise AssertionError("let in")
