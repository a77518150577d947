"""Tell a stream's lease when something moves on it, where a rule bounds how long nothing may."""

from collections.abc import Callable

from kzproxy.attributes.request_info import StreamKind
from kzproxy.http.cut import StreamCut
from kzproxy.http.messages import ResponseHead
from kzproxy.http.movement import movements


class WatchedCut:
    """A stream's cut that sees, on the way, what moves.

    Attributes:
        inner: The cut itself.
    """

    __slots__ = ("_down", "_moved", "_up", "inner")
    must_feed = True

    def __init__(
        self, inner: StreamCut, kind: StreamKind, answer: ResponseHead, moved: Callable[[], None]
    ) -> None:
        """Follow the stream that ``answer`` begins; call ``moved`` whenever something does."""
        self.inner = inner
        self._down, self._up = movements(kind, answer)
        self._moved = moved

    def feed(self, data: bytes) -> bytes:
        """Follow bytes for the client; return those to pass on now."""
        if self._down.feed(data):
            self._moved()
        return self.inner.feed(data)

    def feed_client(self, data: bytes) -> None:
        """Follow bytes that the client sends."""
        self.inner.feed_client(data)
        if self._up.feed(data):
            self._moved()

    @property
    def at_boundary(self) -> bool:
        """Whether ``farewell`` has something to say now."""
        return self.inner.at_boundary

    def farewell(self, status_body: bytes) -> bytes | None:
        """Return the last bytes for the client, as the cut itself would."""
        return self.inner.farewell(status_body)
