"""Asking a provider over HTTPS, trusting nothing about the form of its answer."""

from urllib.parse import quote

import aiohttp
import msgspec

from kzproxy.posture.settings import ProviderSettings
from kzproxy.transport.tls import trusting

MAX_ANSWER_BYTES = 256 * 1024
TIMEOUT_SECONDS = 10.0

_MAX_HEADERS_BYTES = 16 * 1024
_OK, _NOT_FOUND = 200, 404
# Of a URL's path; there is no way to write them as names (RFC 3986 section 6.2.2.3).
_STEPS = frozenset({".", ".."})


class NotAnswered(Exception):
    """Nothing can be made of it; the message says why, without what was sent."""


class NotKnownThere(Exception):
    """The provider says that it does not know the device."""


class NotAsked(Exception):
    """There is no way to ask about the device, and nobody has."""


class ProviderHttp:
    """The way to one provider. Used on one event loop; ended by ``close``."""

    def __init__(self, settings: ProviderSettings) -> None:
        self._settings = settings
        self._headers: dict[str, str] = {}
        self._client: aiohttp.ClientSession | None = None

    def renew_headers(self) -> str:
        """Read the file of headers anew; return why it cannot be, without what is in it."""
        file = self._settings.headers_file
        if file is None:
            return ""
        try:
            with file.open(encoding="utf-8") as opened:
                self._headers = read_headers(opened.read(_MAX_HEADERS_BYTES))
        except (OSError, ValueError) as error:
            return f"{file} cannot be read: {error}"
        return ""

    async def ask(self, device_id: str, serial: str) -> object:
        """Return what the provider says of a device, as JSON.

        Raises:
            NotAnswered: It does not say anything that could be read.
            NotKnownThere: It does not know the device.
            NotAsked: It has no way to.
        """
        if not serial and "{serial}" in self._settings.url:
            raise NotAsked
        if {device_id, serial} & _STEPS:  # would be asked for somewhere else than the operator says
            raise NotAsked
        url = self._settings.url.replace("{id}", quote(device_id, safe="")).replace(
            "{serial}", quote(serial, safe="")
        )
        try:
            body = await self._body(url)
        except (aiohttp.ClientError, TimeoutError, ValueError, OSError) as error:
            raise NotAnswered(f"{type(error).__name__}: {error}".removesuffix(": ")) from error
        try:
            return msgspec.json.decode(body)
        except (msgspec.MsgspecError, RecursionError) as error:
            raise NotAnswered("the answer is not JSON") from error

    async def _body(self, url: str) -> bytes:
        # A redirect would take the headers, which are secrets, to where the operator did not say.
        async with self._opened().get(
            url, headers=self._headers, allow_redirects=False
        ) as response:
            if response.status == _NOT_FOUND:
                raise NotKnownThere
            if response.status != _OK:
                raise NotAnswered(f"the answer is {response.status}, not 200")
            if response.headers.get("content-encoding", "identity") != "identity":
                raise NotAnswered("the answer is compressed, which was not asked for")
            body = bytearray()
            async for part in response.content.iter_any():
                body += part
                if len(body) > MAX_ANSWER_BYTES:
                    raise NotAnswered(f"the answer is longer than {MAX_ANSWER_BYTES} bytes")
            return bytes(body)

    def _opened(self) -> aiohttp.ClientSession:
        if self._client is None:
            trust = trusting(self._settings.authority_pem)
            self._client = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(ssl=trust, limit=4),
                trust_env=False,
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=TIMEOUT_SECONDS),
                auto_decompress=False,
                headers={"accept": "application/json", "accept-encoding": "identity"},
            )
        return self._client

    async def close(self) -> None:
        """End."""
        if self._client is not None:
            await self._client.close()


def read_headers(text: str) -> dict[str, str]:
    """Read headers, ``Name: value``, one a line; empty lines and comments (``#``) are none.

    Raises:
        ValueError: A line is not a header; says which, and nothing of it.
    """
    headers: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, colon, value = line.partition(":")
        if not colon or not name.strip() or not name.strip().replace("-", "").isalnum():
            raise ValueError(f"line {number} is no header, such as Authorization: Bearer ...")
        headers[name.strip()] = value.strip()
    return headers
