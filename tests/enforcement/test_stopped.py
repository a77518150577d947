"""What a request is told that kzproxy ends: whether it may simply be sent again."""

import pytest

from kzproxy.attributes.request_info import RequestInfo
from kzproxy.enforcement.stopped import stopped

POD = "/api/v1/namespaces/a/pods/p"
SERVICE = "/api/v1/namespaces/a/services/s"


@pytest.mark.parametrize(
    ("method", "target", "is_begun", "retry_after_seconds"),
    [
        ("GET", POD, True, 1),
        ("GET", "/api/v1/pods?watch=1", True, 1),
        ("POST", f"{POD}/exec?command=id", True, 1),
        ("DELETE", POD, True, None),
        ("PATCH", POD, True, None),
        ("DELETE", POD, False, 1),
        ("GET", f"{SERVICE}/proxy/orders", True, 1),
        ("POST", f"{SERVICE}/proxy/orders", True, None),
    ],
)
def test_only_a_write_that_may_have_been_done_is_not_to_be_repeated(
    method: str, target: str, is_begun: bool, retry_after_seconds: int | None
) -> None:
    error = stopped(RequestInfo.parse(method, target), is_begun=is_begun)
    assert (error.code, error.retry_after_seconds) == (503, retry_after_seconds)
    assert ("outcome unknown" in error.message) == (retry_after_seconds is None)


def test_what_could_not_be_read_was_not_done() -> None:
    error = stopped(None, is_begun=False)
    assert "nothing was done" in error.message
