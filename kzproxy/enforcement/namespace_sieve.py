"""Lists and watches of namespaces, of which a caller is shown those that it may see.

Policy judges each namespace as if it was asked for by its name. That takes an answer in JSON, which
kube-apiserver is asked for; what the rest of each object says is passed on as it came.
"""

import asyncio
from collections.abc import Callable, Iterator

import msgspec

from kzproxy.attributes.api_object import Labels
from kzproxy.errors.kinds import UpstreamInvalid
from kzproxy.http.chunked_lines import ChunkedLines
from kzproxy.http.chunks import LAST_CHUNK, chunk
from kzproxy.http.messages import Chunked, ResponseHead

MAX_LIST_BYTES = 64 * 1024 * 1024
_MAX_EVENT_BYTES = 4 * 1024 * 1024
_JSON = "application/json"
# Between two of these others get their turn: some 2 ms of judging.
_JUDGED_AT_ONCE = 100

# Whether the namespace of this name and with these labels may be shown.
Shows = Callable[[str, Labels], bool]


class _Metadata(msgspec.Struct):
    name: str
    labels: dict[str, str] | None = None


class _Object(msgspec.Struct):
    metadata: _Metadata


class _Row(msgspec.Struct):
    object: _Object


class _Rows(msgspec.Struct):
    rows: list[_Row] | None = None
    metadata: msgspec.Raw = msgspec.Raw(b"{}")


class _Event(msgspec.Struct):
    type: str
    object: msgspec.Raw


_EVENTS = msgspec.json.Decoder(_Event)
_OBJECTS = msgspec.json.Decoder(_Object)
_ROWS = msgspec.json.Decoder(_Row)
_TABLES = msgspec.json.Decoder(_Rows)


async def sieved_list(head: ResponseHead, body: bytes, shows: Shows) -> bytes:
    """Return a list of namespaces, or the Table of one, with those that may be shown.

    Raises:
        UpstreamInvalid: It is nothing of the kind, so that nobody can tell what it shows.
    """
    check_json(head)
    try:
        document = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
        key = "rows" if b'"Table"' in bytes(document.get("kind", b"")) else "items"
        entries = msgspec.json.decode(document.get(key, b"null"), type=list[msgspec.Raw] | None)
        decoder = _ROWS if key == "rows" else None
        shown = []
        for number, raw in enumerate(entries or ()):
            if number % _JUDGED_AT_ONCE == 0:
                await asyncio.sleep(0)
            entry = decoder.decode(raw).object if decoder is not None else _OBJECTS.decode(raw)
            if shows(entry.metadata.name, _labels(entry)):
                shown.append(raw)
        document[key] = msgspec.Raw(msgspec.json.encode(shown))
        document["metadata"] = _without_count(document["metadata"])
    except (msgspec.DecodeError, KeyError) as error:
        raise _unreadable(str(error)) from error
    return msgspec.json.encode(document)


class WatchSieve:
    """Lets the events of a watch through that may be shown; in and out goes the framed body."""

    def __init__(self, shows: Shows) -> None:
        self._shows = shows
        self._lines = ChunkedLines(_MAX_EVENT_BYTES)
        # Those shown in this watch: where one may be seen no longer its end must be told.
        self._shown: set[str] = set()

    def check(self, head: ResponseHead) -> None:
        """Refuse an answer that cannot be sieved.

        Raises:
            UpstreamInvalid: It is one.
        """
        check_json(head)
        if not isinstance(head.body, Chunked):
            raise _unreadable("a watch that is not in chunks")

    def feed(self, data: bytes) -> bytes:
        """Return what of ``data`` may go on, whole events at a time.

        Raises:
            UpstreamInvalid: It is no watch of namespaces in JSON.
        """
        try:
            kept = b"".join([chunk(line + b"\n") for line in self._sieved(self._lines.feed(data))])
        except msgspec.DecodeError as error:
            raise _unreadable(str(error)) from error
        return kept + LAST_CHUNK if self._lines.done else kept

    def _sieved(self, lines: list[bytes]) -> Iterator[bytes]:
        for line in lines:
            event = _EVENTS.decode(line)
            if event.type in ("BOOKMARK", "ERROR"):
                yield line
                continue
            objects = _objects(event.object)
            names = {each.metadata.name for each in objects}
            if all(self._shows(each.metadata.name, _labels(each)) for each in objects):
                self._shown |= names
                yield line
            elif names <= self._shown:
                self._shown -= names
                yield msgspec.json.encode(_Event(type="DELETED", object=event.object))


def check_json(head: ResponseHead) -> None:
    """Refuse an answer that is not plain JSON.

    Raises:
        UpstreamInvalid: It is one.
    """
    types = [each.partition(";")[0].strip().lower() for each in head.values("content-type")]
    if types != [_JSON] or head.values("content-encoding"):
        raise _unreadable(f"it is {', '.join(types)} and not {_JSON}")


def _objects(raw: msgspec.Raw) -> list[_Object]:
    """Return the namespaces of an event: one, or those of the rows of a Table."""
    table = _TABLES.decode(raw)
    if table.rows is None:
        return [_OBJECTS.decode(raw)]
    return [row.object for row in table.rows]


def _labels(found: _Object) -> Labels:
    return tuple(sorted((found.metadata.labels or {}).items()))


def _without_count(metadata: msgspec.Raw) -> msgspec.Raw:
    """Leave out how many remain, which counts those that are not shown."""
    fields = msgspec.json.decode(metadata, type=dict[str, msgspec.Raw])
    fields.pop("remainingItemCount", None)
    return msgspec.Raw(msgspec.json.encode(fields))


def _unreadable(why: str) -> UpstreamInvalid:
    return UpstreamInvalid(
        "kube-apiserver's list of namespaces cannot be read, and so not be shown in part",
        detail=why,
    )
