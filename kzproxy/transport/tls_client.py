"""The side of TLS that connects: what all who connect do alike.

A socket is first connected over TCP, to the first of several addresses that answers, and then made
a stream here; the handshake is the stream's.
"""

import asyncio
import socket
import ssl

from kzproxy.transport.tls_stream import TlsStream

# RFC 8305 section 5, "Connection Attempt Delay": how long one address is waited for alone.
NEXT_ATTEMPT_SECONDS = 0.25


def client_stream(sock: socket.socket, context: ssl.SSLContext, server_name: str) -> TlsStream:
    """Return a connected socket as a stream whose handshake is still to come.

    The socket is the stream's from then on, and closed where there is none.

    Raises:
        OSError: The connection is gone already.
        ValueError: No certificate can be for ``server_name``.
    """
    try:
        tls = context.wrap_socket(
            sock,
            server_hostname=server_name,
            do_handshake_on_connect=False,
            suppress_ragged_eofs=False,
        )
    except (OSError, ValueError):
        sock.close()
        raise
    return TlsStream(tls, asyncio.get_running_loop())
