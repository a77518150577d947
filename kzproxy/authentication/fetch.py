"""Fetch a small JSON document from an issuer, trusting nothing about the answer.

Written on httpx's stream instead of PyJWT's ``PyJWKClient``: that one blocks, and followed
redirects until 2.14 (CVE-2026-102267).
"""

import json
import ssl
from collections.abc import Mapping

import httpx


class FetchFailed(Exception):
    """A document that could not be had; the message says why and names the URL."""


def issuer_client(certificate_authority_pem: str, timeout_seconds: float) -> httpx.AsyncClient:
    """Make a client that trusts one CA bundle, or the system's where none is given.

    Redirects are off: a redirect would be followed with the issuer's authority to a place that
    the operator did not name. Proxies and CA paths of the environment are not read.
    """
    trust = ssl.create_default_context(cadata=certificate_authority_pem or None)
    return httpx.AsyncClient(
        verify=trust,
        trust_env=False,
        follow_redirects=False,
        timeout=timeout_seconds,
        limits=httpx.Limits(max_connections=2),
        # A body that is not encoded cannot grow while it is read.
        headers={"accept": "application/json", "accept-encoding": "identity"},
    )


async def fetch_object(
    client: httpx.AsyncClient, url: str, *, limit_bytes: int
) -> Mapping[str, object]:
    """Fetch a JSON object.

    Raises:
        FetchFailed: No answer, another status than 200, more than ``limit_bytes``, or not a JSON
            object.
    """
    try:
        body = await _body(client, url, limit_bytes)
    except (httpx.HTTPError, httpx.InvalidURL, OSError, UnicodeError) as error:
        raise FetchFailed(f"{url}: {type(error).__name__}: {error}".removesuffix(": ")) from error
    try:
        document: object = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise FetchFailed(f"{url}: the answer is not JSON") from error
    if not isinstance(document, dict):
        raise FetchFailed(f"{url}: the answer is not a JSON object")
    return document


async def _body(client: httpx.AsyncClient, url: str, limit_bytes: int) -> bytes:
    async with client.stream("GET", url) as response:
        if response.status_code != httpx.codes.OK:
            raise FetchFailed(f"{url}: the answer is {response.status_code}, not 200")
        if response.headers.get("content-encoding", "identity") != "identity":
            raise FetchFailed(f"{url}: the answer is compressed, which was not asked for")
        body = bytearray()
        async for part in response.aiter_raw():
            body += part
            if len(body) > limit_bytes:
                raise FetchFailed(f"{url}: the answer is longer than {limit_bytes} bytes")
        return bytes(body)
