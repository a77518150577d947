"""Who was given a token before."""

from pathlib import Path

import pytest

from kzproxy.client.handed_out import forget, handed_out_before
from kzproxy.client.token_cache import CacheEntry, TokenCache

KEY = "k"


@pytest.fixture
def cache(tmp_path: Path) -> TokenCache:
    tmp_path.chmod(0o700)
    return TokenCache(str(tmp_path))


def entry(expires_at: int = 2000) -> CacheEntry:
    return CacheEntry(
        arguments=(), id_token="", refresh_token="r", expires_at=expires_at, refresh_at=1
    )


def test_each_process_is_new_once(cache: TokenCache) -> None:
    for parent in (7, 77, 777):
        assert not handed_out_before(cache, KEY, entry(), parent)
    for parent in (7, 77, 777):
        assert handed_out_before(cache, KEY, entry(), parent)
    assert not handed_out_before(cache, KEY, entry(), 1)


def test_another_token_is_new_to_everybody(cache: TokenCache, tmp_path: Path) -> None:
    handed_out_before(cache, KEY, entry(), 7)
    assert not handed_out_before(cache, KEY, entry(2300), 7)
    assert handed_out_before(cache, KEY, entry(2300), 7)
    [file] = tmp_path.iterdir()
    assert file.stat().st_size < 20, "what is known of the old token is gone"


def test_a_file_that_has_grown_begins_anew(cache: TokenCache, tmp_path: Path) -> None:
    handed_out_before(cache, KEY, entry(), 7)
    [file] = tmp_path.iterdir()
    with file.open("ab") as opened:
        opened.write(b"12345\n" * 20_000)
    assert not handed_out_before(cache, KEY, entry(), 7)
    assert file.stat().st_size < 20


def test_where_nothing_can_be_written_nobody_is_known(tmp_path: Path) -> None:
    missing = TokenCache(str(tmp_path / "missing"))
    assert not handed_out_before(missing, KEY, entry(), 7)
    assert not handed_out_before(missing, KEY, entry(), 7)


def test_what_is_forgotten_is_new(cache: TokenCache) -> None:
    handed_out_before(cache, KEY, entry(), 7)
    forget(cache, KEY)
    assert not handed_out_before(cache, KEY, entry(), 7)
