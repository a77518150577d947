"""Have the addresses that the configuration names, or say which cannot be had."""

import logging
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from kzproxy.config.addresses import Address
from kzproxy.errors.configuration import ConfigurationError, Mistake
from kzproxy.transport.accepting import listening_socket
from kzproxy.transport.alongside import alongside
from kzproxy.web.ops_server import OpsServer, Show

log = logging.getLogger(__name__)


def listening(address: Address, *, shared: bool = False, field: str = "listen") -> socket.socket:
    """Listen for what ``field`` of the configuration says; ``shared`` with other workers.

    Raises:
        ConfigurationError: The address cannot be had.
    """
    try:
        return listening_socket(address.host, address.port, shared=shared)
    except OSError as error:
        raise _cannot_listen(field, address, error) from error


@asynccontextmanager
async def ops_listening(address: Address, documents: Mapping[str, Show]) -> AsyncIterator[None]:
    """Serve operators while the body runs.

    Raises:
        ConfigurationError: The address cannot be had.
    """
    sock = listening(address, field="ops")
    log.info("health and metrics on http://%s:%d", address.host, sock.getsockname()[1])
    async with alongside(OpsServer(sock, documents).run()):
        yield


@asynccontextmanager
async def ops_listening_privately(path: Path, documents: Mapping[str, Show]) -> AsyncIterator[None]:
    """Serve the supervisor while the body runs, on a Unix socket.

    Raises:
        OSError: It cannot be had.
    """
    async with alongside(OpsServer(private_socket(path), documents).run()):
        yield


def private_socket(path: Path) -> socket.socket:
    """Listen where this user's processes alone can connect, in a directory of theirs.

    Raises:
        OSError: It cannot be had.
    """
    path.unlink(missing_ok=True)  # of a worker that was killed
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.bind(str(path))
        sock.listen()
        sock.setblocking(False)  # noqa: FBT003 - the socket's own signature
    except OSError:
        sock.close()
        raise
    return sock


def _cannot_listen(field: str, address: Address, error: OSError) -> ConfigurationError:
    message = f"cannot listen on {address.host}:{address.port}: {error.strerror or error}"
    return ConfigurationError([Mistake(source=f"{field}.address", message=message)])
