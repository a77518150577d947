"""The memory of sign-ins that came to nothing."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from kzproxy.client.attempts import LONGEST_PAUSE, NOT_FINISHED, Attempts
from kzproxy.client.token_cache import TokenCache

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
KEY = "0" * 64


@pytest.fixture
def cache(tmp_path: Path) -> TokenCache:
    return TokenCache(str(tmp_path / "cache"))


@pytest.fixture
def attempts(cache: TokenCache) -> Attempts:
    return Attempts(cache, KEY)


def test_nothing_is_remembered_at_first(attempts: Attempts) -> None:
    assert attempts.last() is None


def test_an_attempt_that_never_ends_is_remembered_as_such(attempts: Attempts) -> None:
    attempts.begin(NOW)
    last = attempts.last()
    assert last is not None
    assert (last.count, last.at, last.message) == (1, NOW, NOT_FINISHED)


def test_the_pause_grows_fourfold_up_to_an_hour(attempts: Attempts) -> None:
    pauses = []
    for _ in range(20):
        attempts.begin(NOW)
        attempts.fail(NOW, "refused")
        last = attempts.last()
        assert last is not None
        pauses.append((last.retry_at - NOW).total_seconds())
    assert pauses[:5] == [30, 120, 480, 1920, 3600]
    assert set(pauses[5:]) == {LONGEST_PAUSE.total_seconds()}


def test_a_night_of_an_editor_asking_every_ten_seconds_is_a_dozen_tabs(attempts: Attempts) -> None:
    tabs, now = 0, NOW
    while now < NOW + timedelta(hours=10):
        last = attempts.last()
        if last is None or now >= last.retry_at:
            tabs += 1
            attempts.begin(now)
            now += timedelta(seconds=180)
            attempts.fail(now, "nobody signed in")
        now += timedelta(seconds=10)
    assert tabs <= 14


def test_a_failure_that_asked_nobody_makes_nobody_wait(attempts: Attempts) -> None:
    attempts.fail(NOW, "the issuer cannot be reached")
    last = attempts.last()
    assert last is not None
    assert last.retry_at == NOW


def test_success_forgets(attempts: Attempts) -> None:
    attempts.begin(NOW)
    attempts.clear()
    assert attempts.last() is None


def test_a_file_of_another_shape_is_no_attempt(attempts: Attempts, cache: TokenCache) -> None:
    cache.write_document(f"{KEY}.attempt", {"count": "many", "at": None})
    assert attempts.last() is None
