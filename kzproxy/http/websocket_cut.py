"""End a WebSocket in-band: the reason on the channel made for it, then close 1000.

Measured with kubectl 1.32: close 1000 alone exits 0, as if the command had succeeded; a close with
another code hides the reason behind its number; the Status on channel 3, then close 1000, exits 1
and prints ``error: <message>``.
"""

import base64

from kzproxy.http.error_channel import error_channel_text
from kzproxy.http.watch_cut import error_event
from kzproxy.http.websocket_frames import NORMAL_CLOSURE, Opcode, WebSocketFrames, server_frame
from kzproxy.http.whole_frames import WholeFrames

# apimachinery pkg/util/remotecommand/constants.go: stdin 0, stdout 1, stderr 2, error 3.
_ERROR_CHANNEL = 3
_CLOSE = server_frame(Opcode.CLOSE, NORMAL_CLOSURE)
# Text frames: the channel as a digit, then base64 (apimachinery pkg/util/httpstream/wsstream).
_BASE64_PROTOCOLS = frozenset({"base64.channel.k8s.io", "v4.base64.channel.k8s.io"})
_BINARY_PROTOCOLS = frozenset({"", "channel.k8s.io", "v4.channel.k8s.io", "v5.channel.k8s.io"})


class _WebSocketCut:
    """Follows the server's frames; the client's need no following, since none are put in there."""

    __slots__ = ("_frames", "_whole")
    must_feed = True

    def __init__(self) -> None:
        self._frames = WebSocketFrames()
        self._whole = WholeFrames()

    def feed(self, data: bytes) -> bytes:
        """Follow bytes for the client, from just after the 101; return those to pass on now."""
        self._frames.feed(data)
        return self._whole.let_through(data, self._frames.unfinished_bytes)

    def feed_client(self, data: bytes) -> None:
        """Ignore what the client sends."""

    @property
    def at_boundary(self) -> bool:
        """Whether a farewell may follow now."""
        frames = self._frames
        return frames.between_messages_before if self._whole.held else frames.between_messages


class WebSocketExecCut(_WebSocketCut):
    """Ends exec and attach.

    The frame boundary matters twice: bytes put into a frame would be output of the command, and
    bytes after the server's own CLOSE would be a protocol error.
    """

    __slots__ = ("_protocol",)

    def __init__(self, protocol: str) -> None:
        """``protocol`` is the one the server chose in ``Sec-WebSocket-Protocol``; may be empty."""
        super().__init__()
        self._protocol = protocol

    @property
    def at_boundary(self) -> bool:
        """Whether a farewell may follow now; never in a protocol that has no error channel."""
        known = self._protocol in _BINARY_PROTOCOLS or self._protocol in _BASE64_PROTOCOLS
        return known and super().at_boundary

    def farewell(self, status_body: bytes) -> bytes | None:
        """Return the frames that tell ``status_body`` and close, or None: abort instead.

        Never a CLOSE alone, which would look like success.
        """
        if not self.at_boundary:
            return None
        reason = error_channel_text(self._protocol, status_body)
        if self._protocol in _BINARY_PROTOCOLS:
            return server_frame(Opcode.BINARY, bytes([_ERROR_CHANNEL]) + reason) + _CLOSE
        return server_frame(Opcode.TEXT, b"%d" % _ERROR_CHANNEL + base64.b64encode(reason)) + _CLOSE


class WebSocketWatchCut(_WebSocketCut):
    """Ends a watch that was asked for as a WebSocket: one event a message."""

    __slots__ = ()

    def farewell(self, status_body: bytes) -> bytes | None:
        """Return an ERROR event and a close, or None: abort instead.

        Text messages are JSON events (apiserver pkg/endpoints/handlers/watch.go); where none has
        come, or binary ones, the encoding is not known and only the close is sent.
        """
        if not self.at_boundary:
            return None
        if self._frames.last_data_opcode is not Opcode.TEXT:
            return _CLOSE
        return server_frame(Opcode.TEXT, error_event(status_body)) + _CLOSE
