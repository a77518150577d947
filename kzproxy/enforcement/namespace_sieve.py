"""Lists and watches of namespaces, of which a caller is shown those that it may see.

Policy judges each namespace as if it was asked for by its name. That takes an answer in JSON, which
kube-apiserver is asked for; what the rest of each object says is passed on as it came.
"""

from collections.abc import Callable, Iterator

import msgspec

from kzproxy.attributes.api_object import Labels
from kzproxy.enforcement.turns import Turns
from kzproxy.errors.kinds import UpstreamInvalid
from kzproxy.http.chunked_lines import ChunkedLines
from kzproxy.http.chunks import LAST_CHUNK, chunk
from kzproxy.http.messages import Chunked, ResponseHead
from kzproxy.http.websocket_frames import Opcode, server_frame
from kzproxy.http.websocket_messages import WebSocketMessages

MAX_LIST_BYTES = 64 * 1024 * 1024
_MAX_EVENT_BYTES = 4 * 1024 * 1024
_JSON = "application/json"
# In a turn of the loop: some 2 ms of judging.
_JUDGED_AT_ONCE = 100

# Whether the namespace of this name and with these labels may be shown.
Shows = Callable[[str, Labels], bool]


class _Metadata(msgspec.Struct):
    name: str
    labels: dict[str, str] | None = None


class _ListMetadata(msgspec.Struct):
    continues: str = msgspec.field(default="", name="continue")


class _Object(msgspec.Struct):
    metadata: _Metadata


class _Row(msgspec.Struct):
    object: _Object


class _Rows(msgspec.Struct):
    rows: list[_Row] | None = None
    columns: msgspec.Raw = msgspec.field(default=msgspec.Raw(b"null"), name="columnDefinitions")
    metadata: msgspec.Raw = msgspec.Raw(b"{}")


class _GoneMetadata(msgspec.Struct, omit_defaults=True):
    name: str
    uid: str = ""
    resource_version: str = msgspec.field(default="", name="resourceVersion")


class _Gone(msgspec.Struct, omit_defaults=True):
    metadata: _GoneMetadata
    kind: str = ""
    api_version: str = msgspec.field(default="", name="apiVersion")


class _GoneRow(msgspec.Struct):
    cells: list[msgspec.Raw]
    object: _Gone


class _GoneRows(msgspec.Struct, omit_defaults=True):
    kind: str = ""
    api_version: str = msgspec.field(default="", name="apiVersion")
    metadata: msgspec.Raw = msgspec.Raw(b"{}")
    rows: list[_GoneRow] | None = None


class _Event(msgspec.Struct):
    type: str
    object: msgspec.Raw


_EVENTS = msgspec.json.Decoder(_Event)
_OBJECTS = msgspec.json.Decoder(_Object)
_ROWS = msgspec.json.Decoder(_Row)
_TABLES = msgspec.json.Decoder(_Rows)
_GONE = msgspec.json.Decoder(_Gone)
_GONE_ROWS = msgspec.json.Decoder(_GoneRows)


async def sieved_list(head: ResponseHead, body: bytes, shows: Shows, turns: Turns) -> bytes:
    """Return a list of namespaces, or the Table of one, with those that may be shown.

    Args:
        head: Of the answer.
        body: Of it.
        shows: Judges each.
        turns: In which it does.

    Raises:
        UpstreamInvalid: It is nothing of the kind, so that nobody can tell what it shows.
    """
    check_json(head)
    try:
        document = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
        key = "rows" if b'"Table"' in bytes(document.get("kind", b"")) else "items"
        entries = msgspec.json.decode(document.get(key, b"null"), type=list[msgspec.Raw] | None)
        decoder = _ROWS if key == "rows" else None
        shown: list[msgspec.Raw] = []
        for number, raw in enumerate(entries or ()):
            if number % _JUDGED_AT_ONCE == 0:
                await turns.take()
            entry = decoder.decode(raw).object if decoder is not None else _OBJECTS.decode(raw)
            if shows(entry.metadata.name, _labels(entry)):
                shown.append(raw)
        _check_whole(document["metadata"])
    except (msgspec.DecodeError, KeyError) as error:
        raise _unreadable(str(error)) from error
    sieved: dict[str, object] = {**document, key: shown}
    return msgspec.json.encode(sieved)


class WatchSieve:
    """Lets the events of a watch through that may be shown.

    In and out goes the framed body or, after a 101, what is said on the WebSocket.
    """

    def __init__(self, shows: Shows) -> None:
        self._shows = shows
        self._lines = ChunkedLines(_MAX_EVENT_BYTES)
        self._messages: WebSocketMessages | None = None
        # Those shown in this watch: where one may be seen no longer its end must be told. Those of
        # the list that it goes on from are not known: of others the end would tell the name.
        self._shown: set[str] = set()
        # What a Table's columns are is said with its first event alone, which may not be shown.
        self._columns: msgspec.Raw | None = None

    def check(self, head: ResponseHead) -> None:
        """Refuse an answer that cannot be sieved.

        Raises:
            UpstreamInvalid: It is one.
        """
        if head.upgrade == "websocket":
            self._messages = WebSocketMessages(_MAX_EVENT_BYTES)
            return
        check_json(head)
        if not isinstance(head.body, Chunked):
            raise _unreadable("a watch that is not in chunks")

    def feed(self, data: bytes) -> bytes:
        """Return what of ``data`` may go on, whole events at a time.

        Raises:
            UpstreamInvalid: It is no watch of namespaces in JSON.
        """
        try:
            if self._messages is not None:
                return b"".join(self._sieved_messages(self._messages, data))
            kept = b"".join([chunk(line + b"\n") for line in self._sieved(self._lines.feed(data))])
        except msgspec.DecodeError as error:
            raise _unreadable(str(error)) from error
        return kept + LAST_CHUNK if self._lines.done else kept

    def _sieved_messages(self, messages: WebSocketMessages, data: bytes) -> Iterator[bytes]:
        """Sieve a WebSocket, on which each event is a message."""
        for opcode, payload in messages.feed(data):
            if opcode is Opcode.BINARY:
                raise _unreadable("a watch that is not in text")
            said = self._sieved([payload]) if opcode is Opcode.TEXT else (payload,)
            yield from [server_frame(opcode, each) for each in said]

    def _sieved(self, lines: list[bytes]) -> Iterator[bytes]:
        for line in lines:
            event = _EVENTS.decode(line)
            if event.type in ("BOOKMARK", "ERROR"):
                yield line
                continue
            objects = _objects(event.object)
            names = {each.metadata.name for each in objects}
            if all(self._shows(each.metadata.name, _labels(each)) for each in objects):
                if event.type == "DELETED":
                    self._shown -= names
                else:
                    self._shown |= names
                yield self._with_columns(line, event)
                continue
            self._keep_columns(event)
            if names <= self._shown:
                self._shown -= names
                yield msgspec.json.encode({"type": "DELETED", "object": _gone(event.object)})

    def _keep_columns(self, event: _Event) -> None:
        columns = _TABLES.decode(event.object).columns
        if bytes(columns) != b"null":
            self._columns = columns

    def _with_columns(self, line: bytes, event: _Event) -> bytes:
        """Return an event that may be shown, with the columns that came with one that may not."""
        if self._columns is None:
            return line
        table = msgspec.json.decode(event.object, type=dict[str, msgspec.Raw])
        table["columnDefinitions"], self._columns = self._columns, None
        return msgspec.json.encode({"type": event.type, "object": table})


def check_json(head: ResponseHead) -> None:
    """Refuse an answer that is not plain JSON.

    Raises:
        UpstreamInvalid: It is one.
    """
    types = [each.partition(";")[0].strip().lower() for each in head.values("content-type")]
    if types != [_JSON] or head.values("content-encoding"):
        raise _unreadable(f"it is {', '.join(types)} and not {_JSON}")


def _gone(raw: msgspec.Raw) -> "_Gone | _GoneRows":
    """Return of an object, or a Table, what says which it was, and nothing of what it is now."""
    rows = _GONE_ROWS.decode(raw)
    return _GONE.decode(raw) if rows.rows is None else rows


def _objects(raw: msgspec.Raw) -> list[_Object]:
    """Return the namespaces of an event: one, or those of the rows of a Table."""
    table = _TABLES.decode(raw)
    if table.rows is None:
        return [_OBJECTS.decode(raw)]
    return [row.object for row in table.rows]


def _labels(found: _Object) -> Labels:
    return tuple(sorted((found.metadata.labels or {}).items()))


def _check_whole(metadata: msgspec.Raw) -> None:
    """Refuse a page, which tells by which namespace it ends and how many remain."""
    if msgspec.json.decode(metadata, type=_ListMetadata).continues:
        raise _unreadable("a page of a list that was asked for in one piece")


def _unreadable(why: str) -> UpstreamInvalid:
    return UpstreamInvalid(
        "kube-apiserver's list of namespaces cannot be read, and so not be shown in part",
        detail=why,
    )
