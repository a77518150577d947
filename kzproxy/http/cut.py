"""How a stream is ended in-band, by how it talks.

A stream that is no longer permitted is cut with a reason that its client shows. The relay feeds
every byte that comes to the stream's cut, where that has to know, and passes on what it gives back;
when the cut falls due it asks once for the farewell, writes it as the last bytes, and closes. Where
there is none, it aborts without a clean end, because clean ends look like success.
"""

from typing import Protocol

from kzproxy.attributes.request_info import StreamKind
from kzproxy.http.chunks import ChunkScanner
from kzproxy.http.messages import Chunked, ResponseHead
from kzproxy.http.spdy_cut import SpdyExecCut
from kzproxy.http.watch_cut import WATCH_MEDIA_TYPES, WatchCut
from kzproxy.http.websocket_cut import WebSocketExecCut, WebSocketWatchCut


class StreamCut(Protocol):
    """Knows where a stream stands, and how to end it there."""

    @property
    def must_feed(self) -> bool:
        """Whether ``feed`` must be called; else what comes may go on as it is without that."""

    def feed(self, data: bytes) -> bytes:
        """Follow bytes for the client, all after the answer's head; return those to pass on now."""

    def feed_client(self, data: bytes) -> None:
        """Follow bytes that the client sends after its head, all of them before they go on."""

    @property
    def at_boundary(self) -> bool:
        """Whether ``farewell`` has something to say now."""

    def farewell(self, status_body: bytes) -> bytes | None:
        """Return the last bytes for the client, or None where only aborting is safe.

        Args:
            status_body: A ``metav1.Status`` in JSON, as ``status_body`` encodes it.
        """


class AbortOnly:
    """A stream that cannot carry a reason.

    Text appended to ``logs`` would forge what was logged, and its clean end looks complete
    (kubectl exits 0). A port-forward's bytes belong to somebody else's protocol. What an answer of
    ``*/proxy`` is, nobody knows.
    """

    __slots__ = ()
    must_feed = False

    def feed(self, data: bytes) -> bytes:
        """Return all of it."""
        return data

    def feed_client(self, data: bytes) -> None:
        """Ignore bytes."""

    @property
    def at_boundary(self) -> bool:
        """Return False: there never is one."""
        return False

    def farewell(self, status_body: bytes) -> None:  # noqa: ARG002 - there is no way to say it
        """Return None: abort."""
        return


def stream_cut(
    kind: StreamKind, answer: ResponseHead, followed: ChunkScanner | None = None
) -> StreamCut:
    """Choose how the stream that ``answer`` begins is cut.

    Args:
        kind: What was asked for.
        answer: Its head.
        followed: What has followed the answer's chunks when they are fed; None where nothing has.
    """
    match kind:
        case StreamKind.WATCH:
            return _watch_cut(answer, followed)
        case StreamKind.EXEC | StreamKind.ATTACH:
            return _exec_cut(answer)
        case StreamKind.NONE | StreamKind.LOG | StreamKind.PORT_FORWARD | StreamKind.PROXY:
            return AbortOnly()


def _watch_cut(answer: ResponseHead, followed: ChunkScanner | None) -> StreamCut:
    if answer.upgrade == "websocket":
        return WebSocketWatchCut()
    media_type = _first(answer, "content-type").partition(";")[0].strip(" \t").lower()
    is_watch = answer.status == 200 and isinstance(answer.body, Chunked)
    if is_watch and media_type in WATCH_MEDIA_TYPES and not answer.values("content-encoding"):
        return WatchCut(media_type, followed)
    return AbortOnly()


def _exec_cut(answer: ResponseHead) -> StreamCut:
    match answer.upgrade:
        case "websocket":
            return WebSocketExecCut(_first(answer, "sec-websocket-protocol"))
        case "spdy/3.1":
            return SpdyExecCut(_first(answer, "x-stream-protocol-version"))
        case _:
            return AbortOnly()


def _first(answer: ResponseHead, name: str) -> str:
    return next(iter(answer.values(name)), "")
