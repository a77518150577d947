"""How a TLS connection ends that does not end as TLS says, in words."""

import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from typing import Self, TypeVar

from kzproxy.errors.anew import E, anew
from kzproxy.errors.kinds import DownstreamClosed, ProxyError

Data = TypeVar("Data", bytes, memoryview)


class StreamBroken(Exception):
    """The connection ended without TLS's own end: reset, truncated or against the protocol."""

    @classmethod
    def by(cls, error: OSError) -> Self:
        """Return it for what the socket said, which becomes its cause.

        Without a traceback, which would hold whoever is told of it: see ``errors.anew``. Does
        ``forget_left``.
        """
        forget_left(error)
        broken = cls(tls_words(error))
        broken.__cause__ = error.with_traceback(None)
        return broken


class OtherSideBroken(StreamBroken):
    """What came on a connection could not be passed on: the one that it goes to takes no more."""


def handed_over(error: E) -> E:
    """Return what to raise for ``error`` in another task than in that it came up.

    A bug itself, for its traceback says where it is. Of what happens any day another like it, as
    the frames would hold whoever waits for it: see ``errors.anew``.
    """
    return anew(error) if isinstance(error, ProxyError | DownstreamClosed | StreamBroken) else error


def not_handed_on(error: Exception) -> Exception:
    """Return what to raise, in another task, for what ``Take`` raised."""
    if isinstance(error, StreamBroken | TimeoutError):
        return OtherSideBroken(str(error))
    return handed_over(error)


def hand_on(take: Callable[[Data], bool], data: Data) -> bool:
    """Hand ``data`` to ``take`` as one who receives does.

    Raises:
        OtherSideBroken: ``take`` raised ``StreamBroken`` or ``TimeoutError``.
        Exception: It raised something else.
    """
    with passing_on():
        return take(data)


@contextmanager
def passing_on() -> Iterator[None]:
    """Tell a connection that takes no more from the one whose data it is to take.

    Raises:
        OtherSideBroken: For ``StreamBroken`` or ``TimeoutError``.
    """
    try:
        yield
    except (StreamBroken, TimeoutError) as error:
        raise OtherSideBroken(str(error)) from None


def forget_left(error: Exception) -> None:
    """Empty OpenSSL's queue of errors after a call to it that failed with ``error``.

    There is one for all connections of a thread. CPython leaves in it what it tells as a plain
    ``OSError`` (python/cpython issues 81891 and 148594; seen with 3.13.5 over OpenSSL 3.5), and
    takes that for what became of the next connection that has nothing to read: its peer would be
    cut off because another has gone. No call is for this alone; each that refuses ciphers does it.
    """
    if not isinstance(error, ssl.SSLError):
        with suppress(ssl.SSLError):
            _context().set_ciphers("")


@cache
def _context() -> ssl.SSLContext:
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def tls_words(error: OSError) -> str:
    """Return what went wrong without OpenSSL's file and line."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"certificate: {error.verify_message}"
    if isinstance(error, ssl.SSLEOFError):
        return "the peer closed the connection in the middle"
    if isinstance(error, ssl.SSLError):
        return (error.reason or "TLS error").replace("_", " ").lower()
    return error.strerror or type(error).__name__
