"""End exec and attach over SPDY/3.1 in-band: the Status on the error stream, then every stream.

Measured with kubectl 1.32: FIN, RST, GOAWAY and RST_STREAM all exit 0, as if the command had
succeeded. Only data on the error stream exits 1 and prints ``error: <message>``. The error stream
is the first that the client opens (client-go tools/remotecommand/v2.go createStreams).
"""

from kzproxy.http.error_channel import error_channel_text
from kzproxy.http.spdy_frames import FLAG_FIN, FrameType, SpdyFrame, SpdyFrames, data_frame
from kzproxy.http.whole_frames import WholeFrames

# Error, stdin, stdout, stderr and resize: five. Of more, only the first are followed.
_MAX_STREAMS = 16
_CARRIES_FIN = frozenset({FrameType.DATA, FrameType.SYN_REPLY, FrameType.HEADERS})


class SpdyExecCut:
    """Follows both directions: the client's for the streams it opens, the server's for boundaries.

    Each stream's half towards the client is open from the server's SYN_REPLY to its FIN or to a
    reset from either side; nothing is written to it but then.
    """

    __slots__ = ("_begun", "_down", "_open", "_opened", "_protocol", "_up", "_whole")
    must_feed = True

    def __init__(self, protocol: str) -> None:
        """``protocol`` is the one the server chose in ``X-Stream-Protocol-Version``."""
        self._protocol = protocol
        self._up = SpdyFrames()
        self._down = SpdyFrames()
        self._whole = WholeFrames()
        self._begun: SpdyFrame | None = None
        self._opened: list[int] = []
        self._open: set[int] = set()

    def feed(self, data: bytes) -> bytes:
        """Follow bytes for the client, from just after the 101; return those to pass on now."""
        frames = self._down.feed(data)
        if self._begun is not None:
            frames.insert(0, self._begun)
        self._begun = frames.pop() if frames and not self._down.last_is_whole else None
        for frame in frames:
            self._follow(frame)
        return self._whole.let_through(data, self._down.unfinished_bytes)

    def _follow(self, frame: SpdyFrame) -> None:
        """Take in a frame that the client has, or has next, in whole."""
        if frame.type == FrameType.SYN_REPLY and frame.stream_id in self._opened:
            self._open.add(frame.stream_id)
        ended = frame.type in _CARRIES_FIN and frame.flags & FLAG_FIN
        if ended or frame.type == FrameType.RST_STREAM:
            self._open.discard(frame.stream_id)

    def feed_client(self, data: bytes) -> None:
        """Follow bytes that the client sends, before they go upstream."""
        for frame in self._up.feed(data):
            if frame.type == FrameType.SYN_STREAM and len(self._opened) < _MAX_STREAMS:
                self._opened.append(frame.stream_id)
            elif frame.type == FrameType.RST_STREAM:
                self._open.discard(frame.stream_id)

    @property
    def at_boundary(self) -> bool:
        """Whether a farewell may follow now."""
        can_tell = bool(self._opened) and self._opened[0] in self._open
        return can_tell and (self._down.between_frames or bool(self._whole.held))

    def farewell(self, status_body: bytes) -> bytes | None:
        """Return the frames that tell ``status_body`` and end all streams; None: abort instead."""
        if not self.at_boundary:
            return None
        error_stream = self._opened[0]
        reason = error_channel_text(self._protocol, status_body)
        others = sorted(self._open - {error_stream})
        return data_frame(error_stream, reason) + b"".join(
            [data_frame(stream_id, b"") for stream_id in others]
        )
