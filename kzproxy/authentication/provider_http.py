"""Questions to an identity provider over HTTPS: no redirects, each answer bounded, none stored.

On aiohttp, as the listener that people sign in at is, and not on Authlib: see ARCHITECTURE.md.
"""

import json
import re
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import timedelta

import aiohttp

from kzproxy.authentication.provider_errors import ProviderSilence
from kzproxy.authentication.provider_settings import DEFAULT_PROVIDER_LIMITS, ProviderLimits
from kzproxy.transport.tls import trusting

# Those that say nothing about the question but "not now" (RFC 9110 section 15, RFC 6585 section 4).
_LATER = frozenset({408, 425, 429, 502, 503, 504})
_SECONDS = re.compile(r"[0-9]{1,6}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A status below 500 and the JSON object that came with it; empty where there was none."""

    status: int
    document: Mapping[str, object] = field(repr=False)


class ProviderHttp:
    """The connections to one provider; to be closed by whoever makes it."""

    def __init__(
        self, certificate_authority_pem: str, limits: ProviderLimits = DEFAULT_PROVIDER_LIMITS
    ) -> None:
        self._certificate_authority_pem = certificate_authority_pem
        self._limits = limits
        self._client: aiohttp.ClientSession | None = None

    async def get(self, url: str, authorization: str = "") -> Answer:
        """Fetch ``url``.

        Raises:
            ProviderSilence: There is no answer that can be used.
        """
        headers = {"authorization": authorization} if authorization else None
        return await self._answer(
            url, self._session().get(url, headers=headers, allow_redirects=False)
        )

    async def post(self, url: str, form: Mapping[str, str], authorization: str = "") -> Answer:
        """Send a form to ``url``.

        Raises:
            ProviderSilence: There is no answer that can be used.
        """
        headers = {"authorization": authorization} if authorization else None
        return await self._answer(
            url, self._session().post(url, data=dict(form), headers=headers, allow_redirects=False)
        )

    async def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            await self._client.close()

    def _session(self) -> aiohttp.ClientSession:
        # Made at the first question: it needs a running loop, and reading the trust takes time.
        if self._client is None:
            self._client = _client(self._certificate_authority_pem, self._limits)
        return self._client

    async def _answer(
        self, url: str, asking: AbstractAsyncContextManager[aiohttp.ClientResponse]
    ) -> Answer:
        try:
            async with asking as response:
                _refuse_unusable(url, response)
                body = await self._body(url, response)
                return Answer(status=response.status, document=_document(url, response, body))
        except (aiohttp.ClientError, TimeoutError, ValueError, OSError) as error:
            why = f"{type(error).__name__}: {error}".removesuffix(": ")
            raise ProviderSilence(f"{url}: {why}", for_all=True) from error

    async def _body(self, url: str, response: aiohttp.ClientResponse) -> bytes:
        body = bytearray()
        async for part in response.content.iter_any():
            body += part
            if len(body) > self._limits.answer_bytes:
                limit = self._limits.answer_bytes
                raise ProviderSilence(f"{url}: the answer is longer than {limit} bytes")
        return bytes(body)


def _client(certificate_authority_pem: str, limits: ProviderLimits) -> aiohttp.ClientSession:
    """Make a client that trusts one CA bundle, or the system's where none is given.

    Proxies and CA paths of the environment are not read. To be closed by whoever makes it.
    """
    trust = trusting(certificate_authority_pem)
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=trust, limit=limits.connections),
        trust_env=False,
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=limits.answer_timeout.total_seconds()),
        auto_decompress=False,
        # A body that is not encoded cannot grow while it is read.
        headers={"accept": "application/json", "accept-encoding": "identity"},
    )


def _refuse_unusable(url: str, response: aiohttp.ClientResponse) -> None:
    status = response.status
    if status in _LATER or status >= 500 or not (200 <= status < 300 or status >= 400):
        # A redirect is not followed: it would take the secret to a place nobody named.
        raise ProviderSilence(
            f"{url}: the answer is {status}",
            retry_after=_retry_after(response),
            for_all=status in _LATER,
        )
    if response.headers.get("content-encoding", "identity") != "identity":
        raise ProviderSilence(f"{url}: the answer is compressed, which was not asked for")


def _retry_after(response: aiohttp.ClientResponse) -> timedelta | None:
    # RFC 9110 section 10.2.3; a date is not read, and then nothing is said.
    seconds = response.headers.get("retry-after", "")
    if not _SECONDS.fullmatch(seconds):
        return None
    return timedelta(seconds=int(seconds))


def _document(url: str, response: aiohttp.ClientResponse, body: bytes) -> Mapping[str, object]:
    try:
        document: object = json.loads(body) if body.strip() else {}
    except (ValueError, RecursionError) as error:
        if response.status >= 400:
            return {}
        kind = response.content_type[:64]
        raise ProviderSilence(f"{url}: the answer is {kind} and not JSON") from error
    return document if isinstance(document, dict) else {}
