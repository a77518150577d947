"""Where the client's key is kept."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from kzproxy.client.kept_key import (
    client_key_name,
    forget_client_keys,
    read_client_key,
    write_client_key,
)
from kzproxy.client.token_cache import TokenCache
from tests.client.plugin_runs import ROOT

URL = "https://kz.test:8444"

# Stands in for the package `keyring` and the system's keyring behind it.
KEYRING = """
import json, os, pathlib
path = pathlib.Path(os.environ["FAKE_KEYRING"])
def _read():
    return json.loads(path.read_text()) if path.exists() else {}
def get_password(service, name):
    return _read().get(f"{service}|{name}")
def set_password(service, name, text):
    path.write_text(json.dumps(_read() | {f"{service}|{name}": text}))
def delete_password(service, name):
    if os.environ.get("LOCKED"):
        raise RuntimeError("it is locked")
    path.write_text(json.dumps({k: v for k, v in _read().items() if k != f"{service}|{name}"}))
"""

MAKE = """
import sys
from kzproxy.client.device_key import client_key
from kzproxy.client.failure import ClientFailure
from kzproxy.client.kept_key import forget_client_keys, read_client_key
from kzproxy.client.token_cache import TokenCache
from kzproxy.clock.system import SystemClock
cache = TokenCache(sys.argv[1])
try:
    key = client_key(cache, "https://kz.test:8444", SystemClock())
    assert client_key(cache, "https://kz.test:8444", SystemClock()).public == key.public
    print(read_client_key(cache, "https://kz.test:8444"))
    if "forget" in sys.argv:
        forget_client_keys(cache)
except ClientFailure as failure:
    print(failure)
"""


@pytest.fixture
def cache(tmp_path: Path) -> TokenCache:
    return TokenCache(str(tmp_path / "cache"))


def made(directory: Path, *arguments: str, installed: bool = True, **environ: str) -> str:
    """Make a key as a process does that is told to keep it in the keyring."""
    packages = directory / "packages"
    packages.mkdir(exist_ok=True)
    if installed:
        (packages / "keyring.py").write_text(KEYRING)
    paths = os.pathsep.join([str(ROOT), str(packages)])
    done = subprocess.run(
        [sys.executable, "-c", MAKE, str(directory / "cache"), *arguments],
        env={
            **os.environ,
            "PYTHONPATH": paths,
            "KZPROXY_KEY_STORE": "keyring",
            "FAKE_KEYRING": str(directory / "keyring.json"),
            **environ,
        },
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def test_a_key_in_a_file_is_read_back_and_forgotten(cache: TokenCache) -> None:
    assert read_client_key(cache, URL) is None
    write_client_key(cache, URL, "PEM", in_keyring=False)
    write_client_key(cache, "https://other.test", "OTHER", in_keyring=False)
    assert read_client_key(cache, URL) == "PEM"
    forget_client_keys(cache, URL)
    assert read_client_key(cache, URL) is None
    assert read_client_key(cache, "https://other.test") == "OTHER"
    forget_client_keys(cache)
    assert read_client_key(cache, "https://other.test") is None


@pytest.mark.parametrize("url", [URL, ""])
def test_what_killed_processes_left_of_a_key_is_forgotten_with_it(
    cache: TokenCache, url: str
) -> None:
    cache.prepare()
    for name in (f"{client_key_name(URL)}.{'ab' * 8}.new", f"{'cd' * 8}.identity"):
        Path(cache.path(name)).write_text("a private key")
    forget_client_keys(cache, url)
    assert list(Path(cache.path("")).iterdir()) == []


def test_a_key_in_the_keyring_is_in_no_file_of_ours(tmp_path: Path) -> None:
    assert "BEGIN PRIVATE KEY" in made(tmp_path)
    kept = json.loads((tmp_path / "keyring.json").read_text())
    assert list(kept) == [f"kzproxy client key|{URL}"]
    file = tmp_path / "cache" / client_key_name(URL)
    assert file.read_text() == f"in the keyring: {URL}\n"
    made(tmp_path, "forget")
    assert json.loads((tmp_path / "keyring.json").read_text()) == {}
    assert not file.exists()


def test_a_missing_package_is_named(tmp_path: Path) -> None:
    said = made(tmp_path, installed=False)
    assert "install it with: pip install 'kzproxy[keyring]'" in said


def test_what_the_keyring_says_is_passed_on(tmp_path: Path) -> None:
    said = made(tmp_path, "forget", LOCKED="yes")
    assert "the system's keyring cannot be used: it is locked" in said
