"""HTTP/1.1 messages as values. Header names are lower-case, values stripped.

Requests that were read hold ASCII only, answers Latin-1. Headers do not print: they hold tokens.
"""

from dataclasses import dataclass, field

import msgspec

Headers = tuple[tuple[str, str], ...]


class NoBody(msgspec.Struct, frozen=True):
    """The message ends with its head."""


class Unsent(msgspec.Struct, frozen=True):
    """The message ends with its head, which says what length a body would have.

    Only in answers: to HEAD, and with 304 (RFC 9110 section 8.6).
    """

    size_bytes: int


class Length(msgspec.Struct, frozen=True):
    """The body has exactly ``size_bytes`` bytes."""

    size_bytes: int


class Chunked(msgspec.Struct, frozen=True):
    """The body is in chunks (RFC 9112 section 7.1)."""


class UntilClose(msgspec.Struct, frozen=True):
    """The body ends with the connection; only in answers."""


RequestBody = NoBody | Length | Chunked
ResponseBody = NoBody | Unsent | Length | Chunked | UntilClose


# A struct, since one is made for each request, and outside of the garbage collector's rounds: it
# holds texts and values that lead nowhere.
class RequestHead(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A request head that has exactly one reading.

    Attributes:
        method: Exact upper-case token.
        target: Origin form, as received; ``RequestInfo.parse`` reads it.
        headers: In the order received, every one.
        body: How the body is framed.
        expects_continue: The client waits for ``100 Continue``.
        upgrade: ``websocket`` or ``spdy/3.1`` where ``Connection`` has the token ``upgrade`` and
            ``Upgrade`` names one of the two; empty otherwise.
        keep_alive: Whether the client will use the connection again.
    """

    method: str
    target: str
    headers: Headers
    body: RequestBody
    expects_continue: bool = False
    upgrade: str = ""
    keep_alive: bool = True

    def __repr__(self) -> str:
        told = f"{self.method} {self.target}, {self.body}, upgrade={self.upgrade!r}"
        return f"RequestHead({told}, {len(self.headers)} headers)"

    def values(self, name: str) -> list[str]:
        """Return every value of the header ``name`` (lower-case), in order."""
        return [value for key, value in self.headers if key == name]


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseHead:
    """An answer's head.

    Attributes:
        status: 100 to 599.
        reason: May be empty.
        headers: In the order received.
        body: How the body is framed, given the request's method.
        upgrade: As in ``RequestHead``: what a 101 has switched to; empty for every other status.
        keep_alive: Whether the sender will use the connection again.
    """

    status: int
    reason: str
    headers: Headers = field(repr=False)
    body: ResponseBody
    upgrade: str = ""
    keep_alive: bool = True

    def values(self, name: str) -> list[str]:
        """Return every value of the header ``name`` (lower-case), in order."""
        return [value for key, value in self.headers if key == name]
