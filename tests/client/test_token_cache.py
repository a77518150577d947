"""The files that tokens are kept in."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kzproxy.client.failure import ClientFailure
from kzproxy.client.plugin_settings import IssuerClient
from kzproxy.client.token_cache import (
    MAX_ENTRY_BYTES,
    CacheEntry,
    TokenCache,
    cache_directory,
    cache_key,
)

KEY = cache_key(IssuerClient(issuer="https://issuer.test", client_id="kzproxy"), "https://kz.test")


def entry(**changes: object) -> CacheEntry:
    fields = {
        "arguments": ("--issuer=https://issuer.test", "--client-id=kzproxy"),
        "id_token": "secret-id-token",
        "refresh_token": "secret-refresh-token",
        "expires_at": 2000,
        "refresh_at": 1940,
    }
    return CacheEntry(**(fields | changes))  # type: ignore[arg-type]


def client(**changes: object) -> IssuerClient:
    fields = {"issuer": "https://issuer.test", "client_id": "kzproxy"}
    return IssuerClient(**(fields | changes))  # type: ignore[arg-type]


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "kzproxy"


@pytest.fixture
def cache(directory: Path) -> TokenCache:
    return TokenCache(str(directory))


def test_what_is_written_is_read_back(cache: TokenCache) -> None:
    cache.write(KEY, entry())
    read = cache.read(KEY)
    assert read is not None
    for name in CacheEntry.__slots__:
        assert getattr(read, name) == getattr(entry(), name)


def test_a_file_that_does_not_say_when_the_user_signed_in_is_read(
    cache: TokenCache, directory: Path
) -> None:
    cache.write(KEY, entry(signed_in_at=1000))
    file = directory / f"{KEY}.json"
    fields = json.loads(file.read_text())
    del fields["signed_in_at"]
    file.write_text(json.dumps(fields))
    read = cache.read(KEY)
    assert read is not None
    assert (read.id_token, read.signed_in_at) == ("secret-id-token", 0)


def test_files_and_directory_are_private(cache: TokenCache, directory: Path) -> None:
    cache.write(KEY, entry())
    assert directory.stat().st_mode & 0o777 == 0o700
    assert [f.stat().st_mode & 0o777 for f in directory.iterdir()] == [0o600]


def test_an_empty_cache_has_nothing(cache: TokenCache, directory: Path) -> None:
    assert cache.read(KEY) is None
    assert cache.sign_ins() == []
    assert not directory.exists()


def test_sign_ins_are_listed_without_what_belongs_to_them(cache: TokenCache) -> None:
    cache.write(KEY, entry())
    cache.write_document(f"{KEY}.attempt", {})
    assert cache.sign_ins() == [KEY]


def test_removing_twice_is_no_error(cache: TokenCache) -> None:
    cache.write(KEY, entry())
    cache.remove(f"{KEY}.json")
    cache.remove(f"{KEY}.json")
    assert cache.read(KEY) is None


def test_a_symbolic_link_is_refused(cache: TokenCache, directory: Path, tmp_path: Path) -> None:
    cache.write(KEY, entry())
    file = directory / f"{KEY}.json"
    file.rename(tmp_path / "elsewhere")
    file.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ClientFailure, match="is not used: it is a symbolic link"):
        cache.read(KEY)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"version": 2}',
        "{" * 5000,
        "x" * (MAX_ENTRY_BYTES + 1),
        json.dumps({"version": 1, "arguments": [], "id_token": 1}),
        json.dumps({"version": 1, "arguments": "x", "id_token": "", "refresh_token": ""}),
    ],
)
def test_a_file_that_is_not_understood_is_set_aside(
    cache: TokenCache, directory: Path, text: str
) -> None:
    cache.write(KEY, entry())
    (directory / f"{KEY}.json").write_text(text)
    assert cache.read(KEY) is None
    assert (directory / f"{KEY}.json.corrupt").read_text() == text
    assert cache.sign_ins() == []


def test_a_file_that_another_process_has_set_aside_already_is_no_error(
    cache: TokenCache, directory: Path
) -> None:
    cache.write(KEY, entry())
    cache._set_aside(f"{KEY}.json")
    cache._set_aside(f"{KEY}.json")
    assert cache.read(KEY) is None


def test_a_file_that_cannot_be_set_aside_is_said(cache: TokenCache, directory: Path) -> None:
    cache.write(KEY, entry())
    (directory / f"{KEY}.json").write_text("{")
    (directory / f"{KEY}.json.corrupt").mkdir()
    with pytest.raises(ClientFailure, match="cannot be set aside"):
        cache.read(KEY)


@given(st.binary(max_size=200))
@settings(max_examples=100, deadline=None)
def test_any_bytes_are_an_entry_or_none(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    directory = tmp_path_factory.mktemp("cache")
    file = directory / f"{KEY}.json"
    file.write_bytes(data)
    file.chmod(0o600)
    assert TokenCache(str(directory)).read(KEY) is None


def test_a_write_that_fails_leaves_the_old_file(cache: TokenCache, directory: Path) -> None:
    (directory / f"{KEY}.json").mkdir(parents=True)
    directory.chmod(0o700)
    with pytest.raises(ClientFailure, match="cannot be written"):
        cache.write(KEY, entry())
    assert [f.name for f in directory.iterdir()] == [f"{KEY}.json"]


def test_what_is_written_survives_a_crash_of_the_machine_by_its_name_too(
    cache: TokenCache, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced, sync = [], os.fsync

    def noting(descriptor: int) -> None:
        place = Path(f"/proc/self/fd/{descriptor}").readlink()
        synced.append((place, [one.name for one in directory.iterdir()]))
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", noting)
    cache.write(KEY, entry())
    assert synced[-1] == (directory, [f"{KEY}.json"])


def test_a_write_that_is_interrupted_leaves_no_token_behind(
    cache: TokenCache, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(_: int) -> None:
        raise KeyboardInterrupt

    cache.prepare()
    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        cache.write(KEY, entry())
    assert list(directory.iterdir()) == []


@pytest.mark.parametrize("forget", [lambda cache: cache.forget(KEY), TokenCache.forget_set_aside])
def test_what_a_killed_process_left_of_a_sign_in_is_forgotten_with_it(
    cache: TokenCache, directory: Path, forget: Callable[[TokenCache], None]
) -> None:
    cache.prepare()
    left = directory / f"{KEY}.json.{'ab' * 8}.new"
    left.write_text(json.dumps({"refresh_token": "secret-refresh-token"}))
    (directory / "another.new").touch()
    forget(cache)
    assert [one.name for one in directory.iterdir()] == ["another.new"]


def test_a_file_that_cannot_be_read_is_named(cache: TokenCache, directory: Path) -> None:
    """As one on a broken disk: it opens, and there it ends."""
    cache.prepare()
    (directory / f"{KEY}.json").mkdir(mode=0o700)
    with pytest.raises(ClientFailure, match=rf"{KEY}\.json cannot be read: Is a directory"):
        cache.read(KEY)


def test_a_directory_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ClientFailure, match="cannot be made"):
        TokenCache(str(tmp_path / "file" / "cache")).write(KEY, entry())


def test_the_key_depends_on_everything_that_makes_a_sign_in_different() -> None:
    keys = {
        cache_key(client(), "https://a"),
        cache_key(client(), "https://b"),
        cache_key(client(issuer="https://other.test"), "https://a"),
        cache_key(client(client_id="other"), "https://a"),
        cache_key(client(scopes=("email",)), "https://a"),
    }
    assert len(keys) == 5


def test_the_key_does_not_depend_on_how_it_is_written() -> None:
    one = cache_key(client(scopes=("a", "b")), "x")
    assert one == cache_key(client(scopes=("b", "a", "b"), ca_file="ca.crt"), "x")


@pytest.mark.parametrize(
    ("environ", "directory"),
    [
        ({"KZPROXY_CACHE_DIR": "/a", "XDG_CACHE_HOME": "/b"}, "/a"),
        ({"XDG_CACHE_HOME": "/b"}, "/b/kzproxy"),
        ({"XDG_CACHE_HOME": "relative"}, str(Path.home() / ".cache/kzproxy")),
        ({}, str(Path.home() / ".cache/kzproxy")),
    ],
)
def test_the_directory_is_where_the_user_or_the_desktop_wants_it(
    environ: dict[str, str], directory: str
) -> None:
    assert cache_directory(environ) == directory


@pytest.mark.usefixtures("homeless")
def test_who_has_no_home_directory_is_told_and_keeps_no_token_where_they_stand() -> None:
    with pytest.raises(ClientFailure, match="set HOME or KZPROXY_CACHE_DIR"):
        cache_directory({})
    assert cache_directory({"KZPROXY_CACHE_DIR": "/c"}) == "/c"


def test_an_entry_does_not_print_its_tokens() -> None:
    assert "secret" not in repr(entry())
