"""One MaxMind DB file, read whole and tried before it is believed.

It is read into memory and not mapped: who writes a mapped file in place, as ``cp`` does, changes it
under our hands, and who cuts it short has the kernel end the process. So what was good stays good
for as long as it is in force.
"""

import hashlib
import io
import logging
from collections.abc import Callable, Iterator
from ipaddress import IPv4Address, IPv6Address
from itertools import islice
from pathlib import Path
from random import Random
from typing import Generic, TypeVar

import maxminddb

from kzproxy.attributes.environment import IPAddress

log = logging.getLogger(__name__)

MAX_BYTES = 512 * 1024 * 1024
_TRIED_NETWORKS = 500
_TRIED_ADDRESSES = 500

_Fact = TypeVar("_Fact", bound=str | int)


class DatabaseRefused(Exception):
    """A file that cannot be believed; the message says why."""


class Database(Generic[_Fact]):
    """What one file says of addresses.

    Attributes:
        revision: SHA-256 of the file.
    """

    def __init__(
        self, reader: maxminddb.Reader, fact: Callable[[object], _Fact], revision: str
    ) -> None:
        """Ask ``reader`` for records and ``fact`` for what is in one: falsy for nothing."""
        self.revision = revision
        self._reader = reader
        self._fact = fact
        self._has_ipv6 = reader.metadata().ip_version == 6
        self._warned = False

    @classmethod
    def load(
        cls,
        path: Path,
        fact: Callable[[object], _Fact],
        what: str,
        before: "Database[_Fact] | None" = None,
    ) -> "Database[_Fact]":
        """Read a file and try it, unless it holds what ``before`` did.

        Args:
            path: The file.
            fact: Says what is looked for in a record.
            what: That, for people.
            before: What was read before.

        Raises:
            DatabaseRefused: It is no such file, is damaged, or holds nothing that is looked for.
        """
        content = _content(path)
        revision = hashlib.sha256(content).hexdigest()
        if before is not None and before.revision == revision:
            return before
        try:
            reader = maxminddb.open_database(io.BytesIO(content), maxminddb.MODE_FD)
            database = cls(reader, fact, revision)
            found = database._try_out()
        except (
            Exception
        ) as error:  # the library raises what it meets: IndexError, UnicodeDecodeError
            raise DatabaseRefused(f"is no MaxMind DB file, or a damaged one: {error}") from error
        if not found:
            kind = reader.metadata().database_type
            raise DatabaseRefused(f"holds no {what}; it says of itself that it is {kind}")
        return database

    def of(self, address: IPAddress) -> _Fact | None:
        """Return what the file says of an address; None where it says nothing."""
        if isinstance(address, IPv6Address) and not self._has_ipv6:
            return None
        try:
            return self._fact(self._reader.get(address)) or None
        except Exception as error:  # noqa: BLE001 - whatever is wrong with it: nobody knows then
            self._warn(address, error)
            return None

    def _warn(self, address: IPAddress, error: Exception) -> None:
        if not self._warned:
            log.error(
                "the location database cannot be read for %s, and maybe others: %s", address, error
            )
        self._warned = True

    def _try_out(self) -> bool:
        """Read records from all over the file; whether one of them says what is looked for."""
        found = False
        for record in self._records():
            found = bool(self._fact(record)) or found
        return found

    def _records(self) -> Iterator[object]:
        for _, record in islice(self._reader, _TRIED_NETWORKS):
            yield record
        # The same ones each time: whether a file is good is no matter of luck.
        random = Random(_TRIED_ADDRESSES)  # noqa: S311 - no secret
        for _ in range(_TRIED_ADDRESSES):
            yield self._reader.get(IPv4Address(random.getrandbits(32)))
            if self._has_ipv6:  # of 2000::/3, where addresses are
                yield self._reader.get(IPv6Address(1 << 125 | random.getrandbits(125)))


def _content(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise DatabaseRefused(f"cannot be read: {error.strerror}") from error
    if len(content) > MAX_BYTES:
        raise DatabaseRefused(f"is over {MAX_BYTES // 1024 // 1024} MiB")
    return content
