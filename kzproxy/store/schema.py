"""The tables of the SQLite store."""

VERSION = 1

TABLES = (
    "CREATE TABLE entries ("
    " kind TEXT NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL, revision INTEGER NOT NULL,"
    " expires_at REAL, PRIMARY KEY (kind, key)) WITHOUT ROWID",
    "CREATE INDEX entries_by_end ON entries (expires_at) WHERE expires_at IS NOT NULL",
    # AUTOINCREMENT: a revision is never given twice, whatever is deleted.
    "CREATE TABLE changes ("
    " revision INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, key TEXT NOT NULL)",
    "CREATE TABLE leases (name TEXT PRIMARY KEY, holder TEXT NOT NULL, until REAL NOT NULL)"
    " WITHOUT ROWID",
)
