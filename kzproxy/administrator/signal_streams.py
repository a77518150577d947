"""Whether signals are sent at all: what transmitters say of their streams, known to all workers."""

from collections.abc import Mapping, Sequence, Set

import msgspec

from kzproxy.store.following import Following
from kzproxy.store.store import Entry, Put

KIND = "signal-stream"


class _Said(msgspec.Struct, frozen=True):
    enabled: bool


class SignalStreams:
    """The last word of each stream's transmitter. A ``View`` of the store."""

    kind = KIND

    def __init__(self, following: Following) -> None:
        """Follow it; before it is started."""
        self._following = following
        self._enabled: dict[str, bool] = {}
        self._decoder = msgspec.json.Decoder(_Said)
        following.follow(self)

    def enabled(self, names: Set[str]) -> Mapping[tuple[str, ...], int]:
        """Return 1 or 0 for those of ``names`` of which a transmitter has said whether it sends."""
        return {(name,): int(sent) for name, sent in self._enabled.items() if name in names}

    async def note(self, name: str, *, enabled: bool) -> None:
        """Note what the transmitter of a stream says.

        Raises:
            ServiceUnavailable: It cannot be written.
        """
        said = msgspec.json.encode(_Said(enabled))
        await self._following.write(Put(kind=KIND, key=name, value=said))

    def replaced(self, entries: Sequence[Entry]) -> None:
        """See ``View``."""
        self._enabled = {entry.key: self._read(entry) for entry in entries}

    def changed(self, key: str, entry: Entry | None) -> None:
        """See ``View``."""
        self._enabled.pop(key, None)
        if entry is not None:
            self._enabled[key] = self._read(entry)

    def _read(self, entry: Entry) -> bool:
        said = self._following.unreadable.read(
            entry, self._decoder.decode, follows="the stream counts as one that is not sent"
        )
        return said is not None and said.enabled
