"""Have the addresses that the configuration names, or say which cannot be had."""

import logging
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from kzproxy.config.addresses import Address
from kzproxy.errors.configuration import ConfigurationError, Mistake
from kzproxy.transport.listener import listening_socket
from kzproxy.web.ops import serving

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
async def ops_listening(address: Address, application: web.Application) -> AsyncIterator[None]:
    """Serve operators while the body runs.

    Raises:
        ConfigurationError: The address cannot be had.
    """
    context = serving(application, address.host, address.port)
    try:
        port = await context.__aenter__()
    except OSError as error:
        raise _cannot_listen("ops", address, error) from error
    log.info("health and metrics on http://%s:%d", address.host, port)
    try:
        yield
    finally:
        await context.__aexit__(None, None, None)


def _cannot_listen(field: str, address: Address, error: OSError) -> ConfigurationError:
    message = f"cannot listen on {address.host}:{address.port}: {error.strerror or error}"
    return ConfigurationError([Mistake(source=f"{field}.address", message=message)])
