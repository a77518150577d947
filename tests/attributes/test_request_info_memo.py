import pytest

from kzproxy.attributes.request_info import RequestInfo
from kzproxy.attributes.request_info_memo import (
    MAX_REMEMBERED,
    MAX_REMEMBERED_BYTES,
    RequestInfoMemo,
)
from kzproxy.errors.kinds import BadRequest
from tests.memory import held_bytes


def test_a_line_is_parsed_once():
    memo = RequestInfoMemo()
    first = memo.parse("GET", "/api/v1/pods")

    assert first == RequestInfo.parse("GET", "/api/v1/pods")
    assert memo.parse("GET", "/api/v1/pods") is first
    assert memo.parse("DELETE", "/api/v1/pods").verb == "deletecollection"


def test_a_refusal_is_refused_again():
    memo = RequestInfoMemo()
    for _ in range(2):
        with pytest.raises(BadRequest):
            memo.parse("GET", "/api/v1//pods")


def test_what_is_remembered_is_bounded():
    memo = RequestInfoMemo()
    first = memo.parse("GET", "/version")
    for number in range(MAX_REMEMBERED):
        memo.parse("GET", f"/api/v1/namespaces/n{number}")

    assert memo.parse("GET", "/version") is not first


@pytest.mark.parametrize(
    "target",
    [
        "/api/v1/namespaces/a/pods/p{}/proxy?" + "&".join(["ab"] * 2600),
        "/version/{}?" + "&".join(["ab=cd"] * 1300),
        "/version/{}/" + "x" * 8000,
    ],
)
def test_what_strangers_can_have_remembered_is_bounded_in_bytes(target: str):
    # By far enough where nothing was bounded.
    def filled() -> RequestInfoMemo:
        memo = RequestInfoMemo()
        for number in range(80 if "&" in target else 700):
            memo.parse("GET", target.format(number))
        return memo

    assert held_bytes(filled) < 2 * MAX_REMEMBERED_BYTES
