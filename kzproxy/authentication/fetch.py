"""Fetch a small JSON document from an issuer, trusting nothing about the answer.

Not with PyJWT's ``PyJWKClient``: that one blocks, and followed redirects until 2.14
(CVE-2026-102267). With aiohttp, which serves the operators already: another library for the same
costs every worker 8 MiB and 60 ms of its start.
"""

import json
import ssl
from collections.abc import Mapping

import aiohttp

_OK = 200


class FetchFailed(Exception):
    """A document that could not be had; the message says why and names the URL."""


def issuer_client(
    certificate_authority_pem: str, timeout_seconds: float, *, connections: int = 2
) -> aiohttp.ClientSession:
    """Make a client that trusts one CA bundle, or the system's where none is given.

    Proxies and CA paths of the environment are not read. To be closed by whoever makes it.
    """
    trust = ssl.create_default_context(cadata=certificate_authority_pem or None)
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=trust, limit=connections),
        trust_env=False,
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=timeout_seconds),
        auto_decompress=False,
        # A body that is not encoded cannot grow while it is read.
        headers={"accept": "application/json", "accept-encoding": "identity"},
    )


async def fetch_object(
    client: aiohttp.ClientSession, url: str, *, limit_bytes: int
) -> Mapping[str, object]:
    """Fetch a JSON object.

    Raises:
        FetchFailed: No answer, another status than 200, more than ``limit_bytes``, or not a JSON
            object.
    """
    try:
        body = await _body(client, url, limit_bytes)
    except (aiohttp.ClientError, TimeoutError, ValueError, OSError) as error:
        raise FetchFailed(f"{url}: {type(error).__name__}: {error}".removesuffix(": ")) from error
    try:
        document: object = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise FetchFailed(f"{url}: the answer is not JSON") from error
    if not isinstance(document, dict):
        raise FetchFailed(f"{url}: the answer is not a JSON object")
    return document


async def _body(client: aiohttp.ClientSession, url: str, limit_bytes: int) -> bytes:
    # A redirect would be followed with the issuer's authority to a place that the operator did not
    # name.
    async with client.get(url, allow_redirects=False) as response:
        if response.status != _OK:
            raise FetchFailed(f"{url}: the answer is {response.status}, not 200")
        if response.headers.get("content-encoding", "identity") != "identity":
            raise FetchFailed(f"{url}: the answer is compressed, which was not asked for")
        body = bytearray()
        async for part in response.content.iter_any():
            body += part
            if len(body) > limit_bytes:
                raise FetchFailed(f"{url}: the answer is longer than {limit_bytes} bytes")
        return bytes(body)
