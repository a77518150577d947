"""How a TLS connection ends that does not end as TLS says, in words."""

import ssl


class StreamBroken(Exception):
    """The connection ended without TLS's own end: reset, truncated or against the protocol."""


def tls_words(error: OSError) -> str:
    """Return what went wrong without OpenSSL's file and line."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"certificate: {error.verify_message}"
    if isinstance(error, ssl.SSLEOFError):
        return "the peer closed the connection in the middle"
    if isinstance(error, ssl.SSLError):
        return (error.reason or "TLS error").replace("_", " ").lower()
    return error.strerror or type(error).__name__
