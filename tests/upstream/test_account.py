from datetime import timedelta
from pathlib import Path

import pytest

from kzproxy.errors.kinds import ServiceUnavailable
from kzproxy.upstream.account import Credential, UpstreamSettings
from tests.authentication.manual_clock import ManualClock

LATER = timedelta(seconds=10)


def of(clock: ManualClock, **fields: object) -> Credential:
    settings = {"host": "h", "port": 443, "server_name": "h"} | fields
    return Credential(UpstreamSettings(**settings), clock)  # type: ignore[arg-type]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "token"
    file.write_text("one\n")
    return file


def replaced(file: Path, text: str) -> None:
    """Put another file in its place, as the kubelet does."""
    new = file.with_suffix(".new")
    new.write_text(text)
    new.replace(file)


def test_a_token_in_line_is_sent() -> None:
    assert of(ManualClock(), token="abc").authorization() == "Bearer abc"


def test_a_client_certificate_needs_no_header() -> None:
    assert of(ManualClock()).authorization() == ""


def test_a_renewed_token_is_used_from_then_on(file: Path) -> None:
    clock = ManualClock()
    credential = of(clock, token_file=file)
    assert credential.authorization() == "Bearer one"
    replaced(file, "two")

    assert credential.authorization() == "Bearer one"
    clock.advance(LATER)
    assert credential.authorization() == "Bearer two"


@pytest.mark.parametrize("text", ["", "\n", "caf\u00e9"])
def test_a_token_that_cannot_be_one_is_refused_for_now(file: Path, text: str) -> None:
    clock = ManualClock()
    credential = of(clock, token_file=file)
    replaced(file, text)

    with pytest.raises(ServiceUnavailable):
        credential.authorization()
    replaced(file, "good")
    assert credential.authorization() == "Bearer good"


def test_a_token_file_that_is_gone_is_refused_for_now(file: Path) -> None:
    clock = ManualClock()
    credential = of(clock, token_file=file)
    assert credential.authorization() == "Bearer one"
    file.unlink()
    clock.advance(LATER)

    with pytest.raises(ServiceUnavailable) as raised:
        credential.authorization()
    assert str(file) not in raised.value.message


def test_the_token_does_not_print() -> None:
    assert "abc" not in repr(UpstreamSettings(host="h", port=1, server_name="h", token="abc"))


@pytest.mark.parametrize(
    ("host", "port", "authority"),
    [("h", 443, "h"), ("h", 6443, "h:6443"), ("::1", 443, "[::1]"), ("::1", 6443, "[::1]:6443")],
)
def test_the_host_header_is_written_as_rfc_9110_wants_it(
    host: str, port: int, authority: str
) -> None:
    assert UpstreamSettings(host=host, port=port, server_name=host).authority == authority
