"""Which streams can be told why they end."""

import pytest

from kzproxy.attributes.request_info import StreamKind
from kzproxy.http.cut import AbortOnly, StreamCut, stream_cut
from kzproxy.http.messages import Chunked, Length, NoBody, ResponseHead
from kzproxy.http.spdy_cut import SpdyExecCut
from kzproxy.http.watch_cut import WatchCut
from kzproxy.http.websocket_cut import WebSocketExecCut, WebSocketWatchCut

STATUS = b'{"kind":"Status","message":"m"}\n'


def watch(*headers: tuple[str, str], **changes: object) -> ResponseHead:
    values = {"status": 200, "reason": "OK", "headers": headers, "body": Chunked(), **changes}
    return ResponseHead(**values)


def switched(protocol: str, *headers: tuple[str, str]) -> ResponseHead:
    return ResponseHead(status=101, reason="S", headers=headers, body=NoBody(), upgrade=protocol)


PLAIN = watch(("content-type", "application/json"))


@pytest.mark.parametrize(
    ("kind", "answer", "cut"),
    [
        (StreamKind.WATCH, PLAIN, WatchCut),
        (StreamKind.WATCH, watch(("content-type", "Application/JSON; charset=utf-8")), WatchCut),
        (
            StreamKind.WATCH,
            watch(("content-type", "application/vnd.kubernetes.protobuf;stream=watch")),
            WatchCut,
        ),
        (StreamKind.WATCH, watch(("content-type", "application/cbor-seq")), WatchCut),
        (StreamKind.WATCH, watch(("content-type", "text/plain")), AbortOnly),
        (StreamKind.WATCH, watch(), AbortOnly),
        (
            StreamKind.WATCH,
            watch(("content-type", "application/json"), ("content-encoding", "gzip")),
            AbortOnly,
        ),
        (
            StreamKind.WATCH,
            watch(("content-type", "application/json"), body=Length(9)),
            AbortOnly,
        ),
        (StreamKind.WATCH, watch(("content-type", "application/json"), status=410), AbortOnly),
        (StreamKind.WATCH, switched("websocket"), WebSocketWatchCut),
        (StreamKind.EXEC, switched("websocket"), WebSocketExecCut),
        (StreamKind.ATTACH, switched("websocket"), WebSocketExecCut),
        (StreamKind.EXEC, switched("spdy/3.1"), SpdyExecCut),
        (StreamKind.ATTACH, switched("spdy/3.1"), SpdyExecCut),
        (StreamKind.EXEC, PLAIN, AbortOnly),
        (StreamKind.LOG, PLAIN, AbortOnly),
        (StreamKind.LOG, switched("websocket"), AbortOnly),
        (StreamKind.PORT_FORWARD, switched("websocket"), AbortOnly),
        (StreamKind.PORT_FORWARD, switched("spdy/3.1"), AbortOnly),
        (StreamKind.PROXY, switched("websocket"), AbortOnly),
        (StreamKind.NONE, PLAIN, AbortOnly),
    ],
)
def test_a_stream_is_cut_by_how_it_talks(kind, answer, cut):
    assert type(stream_cut(kind, answer)) is cut


def test_the_protocol_that_the_server_chose_decides_how_exec_is_told():
    spoken = switched("websocket", ("sec-websocket-protocol", "v5.channel.k8s.io"))
    assert STATUS.strip() in stream_cut(StreamKind.EXEC, spoken).farewell(STATUS)
    older = switched("websocket", ("sec-websocket-protocol", "channel.k8s.io"))
    assert b"\x03m" in stream_cut(StreamKind.EXEC, older).farewell(STATUS)


def test_what_can_only_be_aborted_never_has_a_farewell():
    """``kubectl logs -f`` exits 0 after a clean end, as if the log were complete."""
    cut: StreamCut = AbortOnly()
    cut.feed(b"line\n")
    cut.feed_client(b"")
    assert not cut.at_boundary
    assert cut.farewell(STATUS) is None
