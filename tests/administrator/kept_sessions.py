"""Sessions over a real SQLite store, as one or two workers have them."""

from datetime import timedelta
from pathlib import Path

import msgspec

from kzproxy.administrator.session import SessionRecord, SessionSettings
from kzproxy.administrator.session_directory import SessionDirectory
from kzproxy.clock.system import Clock
from kzproxy.store.following import Following
from kzproxy.store.sqlite import SqliteStore

SETTINGS = SessionSettings(per_user=3)


class KeptSessions:
    """What one worker has of them."""

    def __init__(self, path: Path, clock: Clock, settings: SessionSettings = SETTINGS) -> None:
        self.clock = clock
        self.store = SqliteStore.open(path, clock)
        self.following = Following(self.store, clock)
        self.directory = SessionDirectory(self.store, self.following, clock, settings)
        self.told: list[frozenset[str]] = []
        self.directory.on_change(self.told.append)

    def record(self, number: int = 1, **others: object) -> SessionRecord:
        """Make a session of alice's that begins now and has not been kept yet."""
        now = self.clock.now()
        record = SessionRecord(
            id=f"{number:032x}",
            username="alice",
            groups=("dev", "ops"),
            issuer="https://idp.example.com",
            subject="00u1",
            began_at=now,
            ends_at=now + timedelta(hours=12),
            seen_at=now,
            verified_at=now,
            key_thumbprint=f"{number:064x}",
            refresh=b"sealed",
            renewal_digest="digest",
        )
        return msgspec.structs.replace(record, **others)
