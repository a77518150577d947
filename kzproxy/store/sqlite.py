"""The store of one host: SQLite in WAL mode, which many workers may open at once.

Everything happens on one thread of its own: a lock that another worker holds, or a disk that takes
its time, never keeps the event loop.
"""

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from kzproxy.clock.system import Clock
from kzproxy.errors.kinds import ServiceUnavailable
from kzproxy.store.schema import TABLES, VERSION
from kzproxy.store.store import ANY, Change, Changes, Conflict, Delete, Entry, Put

KEPT_CHANGES = 50_000
"""Whoever is further behind reads everything anew."""

_BUSY_SECONDS = 5.0
_MODE = 0o600

_Result = TypeVar("_Result")
_Row = tuple[str, str, bytes, int, float | None]

_READ = "SELECT kind, key, value, revision, expires_at FROM entries"
_ALIVE = "(expires_at IS NULL OR expires_at > ?)"


class SqliteStore:
    """See ``Store``.

    Attributes:
        unwritable: Why the last write failed; empty where it did not.
    """

    def __init__(self, connection: sqlite3.Connection, clock: Clock) -> None:
        """Take a connection that ``open`` made; it is used on this store's own thread alone."""
        self._connection = connection
        self._clock = clock
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="store")
        # By name: the end of a lease that is further ahead than any, and when it was first seen.
        self._ahead: dict[str, tuple[float, float]] = {}
        self.unwritable = ""

    @classmethod
    def open(cls, path: Path, clock: Clock, *, begin: bool = True) -> "SqliteStore":
        """Open the file, or begin it, readable by its owner alone.

        Args:
            path: Of the file.
            clock: By which entries expire.
            begin: False: what is no store yet is left as it is.

        Raises:
            OSError: It cannot be opened, or is not a store of this version of kzproxy.
        """
        if begin:
            path.touch(mode=_MODE, exist_ok=True)
        try:
            with ExitStack() as failing:
                connection = sqlite3.connect(
                    path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
                )
                failing.callback(connection.close)
                _prepare(connection, begin=begin)
                failing.pop_all()
        except sqlite3.Error as error:
            raise OSError(f"{path} cannot be used as a store: {error}") from error
        return cls(connection, clock)

    async def get(self, kind: str, key: str) -> Entry | None:
        """Return one entry; see ``Store``."""
        found = await self._do(lambda: self._read("kind = ? AND key = ?", kind, key))
        return found[0] if found else None

    async def entries(self, kind: str) -> tuple[Entry, ...]:
        """Return all of a kind; see ``Store``."""
        return await self._do(lambda: self._read("kind = ?", kind))

    async def write(self, *writes: Put | Delete) -> int:
        """Do all of it or nothing; see ``Store``."""
        return await self._do(lambda: self._in_transaction(lambda: self._written(writes)))

    async def changes(self, after: int, limit: int = 1000) -> Changes:
        """Return what happened; see ``Store``."""
        return await self._do(lambda: self._changes(after, limit))

    async def revision(self) -> int:
        """Return that of the last write; see ``Store``."""
        return await self._do(self._revision)

    async def hold(self, name: str, holder: str, seconds: float) -> bool:
        """Take or keep a lease; see ``Store``."""
        return await self._do(
            lambda: self._in_transaction(lambda: self._held(name, holder, seconds))
        )

    async def let_go(self, name: str, holder: str) -> None:
        """Give up a lease; see ``Store``."""
        await self._do(
            lambda: self._connection.execute(
                "DELETE FROM leases WHERE name = ? AND holder = ?", (name, holder)
            )
        )

    async def sweep(self) -> int:
        """Delete what has expired; see ``Store``."""
        return await self._do(lambda: self._in_transaction(self._swept))

    async def close(self) -> None:
        """End; see ``Store``."""
        await self._do(self._connection.close)
        self._thread.shutdown()

    async def _do(self, job: Callable[[], _Result]) -> _Result:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, job)
        except sqlite3.Error as error:
            raise ServiceUnavailable(
                "kzproxy cannot reach what it keeps of sessions and devices; try again",
                detail=f"store: {error}",
                retry_after_seconds=1,
            ) from error

    def _in_transaction(self, job: Callable[[], _Result]) -> _Result:
        """Do what writes, whole or not at all, and note whether it can be done."""
        before = self._connection.total_changes
        try:
            result = self._committed(job)
        except sqlite3.Error as error:
            self.unwritable = str(error)
            raise
        if self._connection.total_changes > before:
            self.unwritable = ""
        return result

    def _committed(self, job: Callable[[], _Result]) -> _Result:
        # IMMEDIATE: two workers that both read first and then write would otherwise collide.
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            result = job()
            self._connection.execute("COMMIT")
        except BaseException:
            # SQLite has done so itself after some errors. A transaction that stayed open would show
            # this worker what was never written, and let it write nothing any more.
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise
        return result

    def _written(self, writes: tuple[Put | Delete, ...]) -> int:
        for write in writes:
            self._check(write)
            match write:
                case Put():
                    self._put(write)
                case Delete():
                    self._delete(write.kind, write.key)
        revision = self._revision()
        self._connection.execute(
            "DELETE FROM changes WHERE revision <= ?", (revision - KEPT_CHANGES,)
        )
        return revision

    def _check(self, write: Put | Delete) -> None:
        if write.expected == ANY:
            return
        found = self._read("kind = ? AND key = ?", write.kind, write.key)
        present = found[0].revision if found else None
        if present != write.expected:
            raise Conflict(write.kind, write.key)

    def _put(self, write: Put) -> None:
        self._connection.execute(
            "INSERT OR REPLACE INTO entries VALUES (?, ?, ?, ?, ?)",
            (
                write.kind,
                write.key,
                write.value,
                self._note(write.kind, write.key),
                None if write.expires_at is None else write.expires_at.timestamp(),
            ),
        )

    def _delete(self, kind: str, key: str) -> None:
        gone = self._connection.execute(
            "DELETE FROM entries WHERE kind = ? AND key = ?", (kind, key)
        )
        if gone.rowcount:
            self._note(kind, key)

    def _note(self, kind: str, key: str) -> int:
        noted = self._connection.execute(
            "INSERT INTO changes (kind, key) VALUES (?, ?)", (kind, key)
        )
        return int(noted.lastrowid or 0)

    def _read(self, where: str, *values: str) -> tuple[Entry, ...]:
        rows = self._connection.execute(
            f"{_READ} WHERE {where} AND {_ALIVE} ORDER BY key",
            (*values, self._clock.now().timestamp()),
        )
        return tuple(_entry(row) for row in rows)

    def _changes(self, after: int, limit: int) -> Changes:
        oldest = self._connection.execute("SELECT min(revision) FROM changes").fetchone()[0]
        if oldest is None:
            return Changes(changes=(), revision=after)
        if after < oldest - 1:
            return Changes(changes=(), revision=self._revision(), gap=True)
        noted = self._connection.execute(
            "SELECT revision, kind, key FROM changes WHERE revision > ? ORDER BY revision LIMIT ?",
            (after, limit),
        ).fetchall()
        latest = {(kind, key): revision for revision, kind, key in noted}
        changes = []
        for (kind, key), revision in sorted(latest.items(), key=lambda item: item[1]):
            found = self._read("kind = ? AND key = ?", kind, key)
            changes.append(
                Change(kind=kind, key=key, revision=revision, entry=found[0] if found else None)
            )
        return Changes(changes=tuple(changes), revision=noted[-1][0] if noted else after)

    def _revision(self) -> int:
        found = self._connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'changes'")
        row = found.fetchone()
        return int(row[0]) if row else 0

    def _held(self, name: str, holder: str, seconds: float) -> bool:
        now = self._clock.now().timestamp()
        taken = self._connection.execute(
            "INSERT INTO leases VALUES (?, ?, ?) ON CONFLICT (name) DO UPDATE"
            " SET holder = excluded.holder, until = excluded.until"
            " WHERE holder = excluded.holder OR until <= ? OR ?",
            (name, holder, now + seconds, now, self._is_left_ahead(name, now, seconds)),
        )
        return taken.rowcount == 1

    def _is_left_ahead(self, name: str, now: float, seconds: float) -> bool:
        """Whether a lease is of a clock that was ahead, and its holder has said nothing since.

        Not at once: one who lives may go by it until it has lasted as long as it was taken for.
        """
        found = self._connection.execute("SELECT until FROM leases WHERE name = ?", (name,))
        row = found.fetchone()
        if row is None or row[0] <= now + seconds:
            self._ahead.pop(name, None)
            return False
        asked_at = self._clock.monotonic()
        until, seen_at = self._ahead.get(name, (None, asked_at))
        if until != row[0]:
            seen_at = asked_at
        self._ahead[name] = row[0], seen_at
        return asked_at - seen_at >= seconds

    def _swept(self) -> int:
        now = self._clock.now().timestamp()
        over = self._connection.execute(
            "SELECT kind, key FROM entries WHERE expires_at <= ?", (now,)
        ).fetchall()
        for kind, key in over:
            self._delete(kind, key)
        return len(over)


def _prepare(connection: sqlite3.Connection, *, begin: bool) -> None:
    if not begin and _version(connection) == 0:
        raise sqlite3.DatabaseError("it is none")
    connection.execute("PRAGMA journal_mode = WAL")
    # A revocation that was answered for must be there after a power cut.
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("BEGIN IMMEDIATE")
    version = _version(connection)
    if version == 0:
        for table in TABLES:
            connection.execute(table)
        connection.execute(f"PRAGMA user_version = {VERSION}")
    connection.execute("COMMIT")
    if version not in (0, VERSION):
        raise sqlite3.DatabaseError(
            f"its version is {version}, and this kzproxy knows version {VERSION}"
        )


def _version(connection: sqlite3.Connection) -> int:
    with closing(connection.execute("PRAGMA user_version")) as found:
        return int(found.fetchone()[0])


def _entry(row: _Row) -> Entry:
    kind, key, value, revision, expires_at = row
    return Entry(
        kind=kind,
        key=key,
        value=value,
        revision=revision,
        expires_at=None if expires_at is None else datetime.fromtimestamp(expires_at, UTC),
    )
