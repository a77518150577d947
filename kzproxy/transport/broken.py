"""How a TLS connection ends that does not end as TLS says, in words."""

import ssl
from typing import Self

from kzproxy.errors.anew import E, anew
from kzproxy.errors.kinds import DownstreamClosed, ProxyError


class StreamBroken(Exception):
    """The connection ended without TLS's own end: reset, truncated or against the protocol."""

    @classmethod
    def by(cls, error: OSError) -> Self:
        """Return it for what the socket said, which becomes its cause.

        Without a traceback, which would hold whoever is told of it: see ``errors.anew``.
        """
        broken = cls(tls_words(error))
        broken.__cause__ = error.with_traceback(None)
        return broken


def handed_over(error: E) -> E:
    """Return what to raise for ``error`` in another task than in that it came up.

    A bug itself, for its traceback says where it is. Of what happens any day another like it, as
    the frames would hold whoever waits for it: see ``errors.anew``.
    """
    return anew(error) if isinstance(error, ProxyError | DownstreamClosed | StreamBroken) else error


def tls_words(error: OSError) -> str:
    """Return what went wrong without OpenSSL's file and line."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"certificate: {error.verify_message}"
    if isinstance(error, ssl.SSLEOFError):
        return "the peer closed the connection in the middle"
    if isinstance(error, ssl.SSLError):
        return (error.reason or "TLS error").replace("_", " ").lower()
    return error.strerror or type(error).__name__
