"""The addresses of a host."""

import asyncio
import socket
from functools import partial
from ipaddress import ip_address
from typing import Any

from kzproxy.errors.anew import anew

# As ``socket.getaddrinfo`` gives them.
AddressInfo = tuple[Any, Any, int, str, Any]


async def addresses_of(host: str, port: int) -> list[AddressInfo]:
    """Return where TCP reaches a host.

    A literal address is not asked of the resolver: that is a thread's work, and a thread has a
    stack and a heap of its own for as long as the process lives.

    Raises:
        OSError: The name is not known, or is none.
    """
    return await SharedLookups().addresses_of(host, port)


class SharedLookups:
    """Looks each name up once at a time, however many ask for it.

    A resolver that does not answer keeps a thread for half a minute, also from those who have given
    up. There are few: names that are answered for, files that are to be read and much else waits
    for one too.
    """

    def __init__(self) -> None:
        self._under_way: dict[tuple[str, int], asyncio.Future[list[AddressInfo]]] = {}

    async def addresses_of(self, host: str, port: int) -> list[AddressInfo]:
        """Do as the function of this name does.

        Raises:
            OSError: The name is not known, or is none.
        """
        if _is_address(host):
            numeric = socket.AI_NUMERICHOST
            return socket.getaddrinfo(host.encode(), port, type=socket.SOCK_STREAM, flags=numeric)
        lookup = self._under_way.get((host, port)) or self._begun(host, port)
        await asyncio.wait([lookup])  # Which leaves it to others where this one gives up.
        error = lookup.exception()
        if isinstance(error, ValueError):
            # A label that is empty or too long: refused before the resolver is asked.
            raise OSError(f"{host!r} is not the name of a host: {error}")
        if error is not None:
            raise anew(error)
        return lookup.result()

    def _begun(self, host: str, port: int) -> asyncio.Future[list[AddressInfo]]:
        look_up = partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
        lookup = asyncio.get_running_loop().run_in_executor(None, look_up)
        self._under_way[host, port] = lookup
        lookup.add_done_callback(lambda ended: self._end((host, port), ended))
        return lookup

    def _end(self, place: tuple[str, int], lookup: asyncio.Future[list[AddressInfo]]) -> None:
        del self._under_way[place]
        if not lookup.cancelled():
            lookup.exception()  # Nobody may be left who asks for it.


def _is_address(host: str) -> bool:
    try:
        # One with a zone is the resolver's: whether there is such an interface.
        return "%" not in host and bool(ip_address(host).version)
    except ValueError:
        return False
