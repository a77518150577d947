"""Literal addresses need no resolver, and all else is asked of it."""

import asyncio
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kzproxy.transport.resolving import addresses_of

LITERALS = st.ip_addresses().map(str)


@given(LITERALS)
def test_a_literal_is_read_as_the_resolver_reads_it(host: str) -> None:
    found = asyncio.run(addresses_of(host, 443))

    assert found == socket.getaddrinfo(host, 443, type=socket.SOCK_STREAM)


async def test_a_literal_takes_no_thread() -> None:
    for host in ("127.0.0.1", "::1"):
        assert [entry[4][0] for entry in await addresses_of(host, 443)] == [host]

    # Those of the loop's own: others of this process come and go.
    assert asyncio.get_running_loop()._default_executor is None


async def test_a_name_is_resolved() -> None:
    found = {entry[4][:2] for entry in await addresses_of("localhost", 443)}

    assert found & {("127.0.0.1", 443), ("::1", 443)}


@pytest.mark.parametrize(
    "host", ["127.0.0.1\0.example", "256.0.0.1", "no such host", "a..b", "", "::1%no-such"]
)
async def test_what_is_no_address_is_left_to_the_resolver(host: str) -> None:
    try:
        wanted = socket.getaddrinfo(host, 443, type=socket.SOCK_STREAM)
    except (OSError, ValueError):
        with pytest.raises(OSError, match=r".+"):
            await addresses_of(host, 443)
    else:
        assert await addresses_of(host, 443) == wanted
