"""An error that is raised in another's place."""

import pytest

from kzproxy.errors.anew import anew
from kzproxy.errors.kinds import (
    DownstreamClosed,
    StepUpRequired,
    TooManyRequests,
)
from kzproxy.http.messages import NoBody, RequestHead
from kzproxy.http.refused_headers import ImpersonationRefused
from kzproxy.transport.broken import StreamBroken, handed_over

HEAD = RequestHead(method="GET", target="/", headers=(), body=NoBody(), keep_alive=True, upgrade="")
ERRORS = (
    DownstreamClosed("gone"),
    StreamBroken("reset"),
    TimeoutError("deadline passed"),
    ConnectionResetError(104, "Connection reset by peer"),
    TooManyRequests("later", detail="for operators", retry_after_seconds=3),
    StepUpRequired("sign in", acr_values=("phr",), max_age_seconds=60, command="kubectl"),
    ImpersonationRefused("impersonate-user", HEAD),
)


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_it_says_the_same(error: Exception) -> None:
    twin = anew(error)

    assert twin is not error
    assert type(twin) is type(error)
    assert (str(twin), twin.args, vars(twin)) == (str(error), error.args, vars(error))


def raised(error: Exception) -> Exception:
    with pytest.raises(type(error)) as caught:
        raise error
    return caught.value


def test_it_has_no_traceback_and_no_cause() -> None:
    error = raised(StreamBroken("reset"))
    error.__cause__ = raised(ConnectionResetError(104, "reset"))
    twin = anew(error)

    assert error.__traceback__ is not None
    assert (twin.__traceback__, twin.__cause__, twin.__context__) == (None, None, None)


def test_a_bug_is_handed_over_itself_with_its_traceback() -> None:
    bug, expected = raised(KeyError("bug")), raised(StreamBroken("reset"))

    assert handed_over(bug) is bug
    assert bug.__traceback__ is not None
    assert handed_over(expected) is not expected
    assert handed_over(expected).__traceback__ is None
