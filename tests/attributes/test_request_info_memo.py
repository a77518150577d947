import pytest

from kzproxy.attributes.request_info import RequestInfo
from kzproxy.attributes.request_info_memo import MAX_REMEMBERED, RequestInfoMemo
from kzproxy.errors.kinds import BadRequest


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
