"""The addresses of a host."""

import asyncio
import socket
from ipaddress import ip_address
from typing import Any

# As ``socket.getaddrinfo`` gives them.
AddressInfo = tuple[Any, Any, int, str, Any]


async def addresses_of(host: str, port: int) -> list[AddressInfo]:
    """Return where TCP reaches a host.

    A literal address is not asked of the resolver: that is a thread's work, and a thread has a
    stack and a heap of its own for as long as the process lives.

    Raises:
        OSError: The name is not known, or is none.
    """
    if _is_address(host):
        numeric = socket.AI_NUMERICHOST
        return socket.getaddrinfo(host.encode(), port, type=socket.SOCK_STREAM, flags=numeric)
    loop = asyncio.get_running_loop()
    try:
        return await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except ValueError as error:
        # A label that is empty or too long: refused before the resolver is asked.
        raise OSError(f"{host!r} is not the name of a host: {error}") from error


def _is_address(host: str) -> bool:
    try:
        # One with a zone is the resolver's: whether there is such an interface.
        return "%" not in host and bool(ip_address(host).version)
    except ValueError:
        return False
