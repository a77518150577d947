"""``kzproxy store``; dropping what a proxy keeps is in tests/server."""

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def store(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "kzproxy", "store", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("is_database", [False, True])
def test_a_file_that_is_no_store_is_left_as_it_is(tmp_path: Path, *, is_database: bool) -> None:
    file = tmp_path / "other.db"
    file.touch()
    if is_database:
        with closing(sqlite3.connect(file)) as database:
            database.execute("CREATE TABLE theirs (x)")
            database.commit()
    before = file.read_bytes()
    done = store("drop", "revocation", "0123", "--file", str(file))
    assert done.returncode == 1
    assert done.stderr == f"kzproxy: {file} cannot be used as a store: it is none\n"
    assert file.read_bytes() == before
    assert [one.name for one in tmp_path.iterdir()] == ["other.db"]


def test_the_keys_are_replaced_only_where_the_new_ones_were_written() -> None:
    exchange = next(
        line for line in store("new-key", "--help").stdout.splitlines() if "cat" in line
    )
    assert exchange.strip() == (
        "(umask 077; kzproxy store new-key | cat - store.keys > new && mv new store.keys)"
    )
