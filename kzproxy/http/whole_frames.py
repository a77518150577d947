"""Hold back the beginning of a frame until the rest of it has come.

Go's SPDY framer writes a frame's stream, its length and its payload one after the other
(moby/spdystream, spdy/write.go), and over TLS each is a record of its own. A cut that fell between
them could tell nobody anything, since the client would take its words for the payload, and kubectl
exits 0. What is held back has not been forwarded: at a cut it is dropped.
"""

# Servers copy output in pieces of 32 KiB (Go's io.Copy). A longer frame goes on in parts.
_MAX_HELD_BYTES = 64 * 1024


class WholeFrames:
    """Lets the bytes of one direction through, as far as they are whole frames.

    Attributes:
        held: The beginning of a frame, at most 64 KiB.
    """

    __slots__ = ("held",)

    def __init__(self) -> None:
        self.held = b""

    def let_through(self, data: bytes, unfinished_bytes: int) -> bytes:
        """Return what may go on of what was held and of ``data``.

        Args:
            data: What came next.
            unfinished_bytes: How many of all bytes up to its end belong to a frame that is not
                whole; 0 for none.
        """
        if not (self.held or unfinished_bytes):
            return data
        known = self.held + data
        kept = unfinished_bytes if unfinished_bytes <= min(len(known), _MAX_HELD_BYTES) else 0
        self.held = known[len(known) - kept :]
        return known[: len(known) - kept]
