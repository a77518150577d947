"""Fetch a small JSON document from an issuer, trusting nothing about the answer.

Not with PyJWT's ``PyJWKClient``: that one blocks, and followed redirects until 2.14
(CVE-2026-102267). And not with aiohttp, which people's sign-in is served with: it weighs 11 MiB in
each worker, and takes a tenth of a second of its start. What reads kube-apiserver's answers is
there already, and reads them more strictly.
"""

import json
from collections.abc import Mapping
from urllib.parse import quote, urlsplit

from aiohappyeyeballs import start_connection

from kzproxy.http.encode import encode_request_head
from kzproxy.http.messages import NoBody, RequestHead, ResponseHead
from kzproxy.http.whole_answer import AnswerRefused, WholeAnswer
from kzproxy.transport.broken import StreamBroken
from kzproxy.transport.resolving import addresses_of
from kzproxy.transport.tls import trusting
from kzproxy.transport.tls_client import NEXT_ATTEMPT_SECONDS, client_stream
from kzproxy.transport.tls_stream import TlsStream

_OK = 200
_HTTPS_PORT = 443
# What a target may hold as it is (RFC 3986 section 3.3 and 3.4); all else is escaped.
_IN_TARGET = "/?%:@!$&'()*+,;="


class FetchFailed(Exception):
    """A document that could not be had; the message says why and names the URL."""


class Documents:
    """Fetches documents over HTTPS, a connection each.

    Proxies of the environment are not used, and redirects are not followed: that would take the
    issuer's authority to a place that the operator did not name.

    Args:
        certificate_authority_pem: Who is trusted; empty for the system's trust.
    """

    def __init__(self, certificate_authority_pem: str) -> None:
        self._trust = trusting(certificate_authority_pem)

    async def fetch_object(self, url: str, *, limit_bytes: int) -> Mapping[str, object]:
        """Fetch a JSON object; the caller bounds the time.

        Raises:
            FetchFailed: No answer, another status than 200, more than ``limit_bytes``, or not a
                JSON object.
        """
        try:
            body = await self._body(url, limit_bytes)
        except (AnswerRefused, StreamBroken) as error:
            raise FetchFailed(f"{url}: {error}") from error
        except (OSError, ValueError) as error:
            why = f"{type(error).__name__}: {error}".removesuffix(": ")
            raise FetchFailed(f"{url}: {why}") from error
        try:
            document: object = json.loads(body)
        except (ValueError, RecursionError) as error:
            raise FetchFailed(f"{url}: the answer is not JSON") from error
        if not isinstance(document, dict):
            raise FetchFailed(f"{url}: the answer is not a JSON object")
        return document

    async def _body(self, url: str, limit_bytes: int) -> bytes:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or _HTTPS_PORT
        stream = await self._connect(host, port)
        try:
            await stream.handshake()
            await stream.send(_request(host, port, parts.path, parts.query))
            return await _received(stream, limit_bytes)
        finally:
            stream.close()

    async def _connect(self, host: str, port: int) -> TlsStream:
        addresses = await addresses_of(host, port)
        sock = await start_connection(addresses, happy_eyeballs_delay=NEXT_ATTEMPT_SECONDS)
        return client_stream(sock, self._trust, host)


def _request(host: str, port: int, path: str, query: str) -> bytes:
    authority = f"[{host}]" if ":" in host else host
    target = f"{path or '/'}?{query}" if query else path or "/"
    head = RequestHead(
        method="GET",
        target=quote(target, safe=_IN_TARGET),
        headers=(
            ("host", authority if port == _HTTPS_PORT else f"{authority}:{port}"),
            ("accept", "application/json"),
            # A body that is not encoded cannot grow while it is read.
            ("accept-encoding", "identity"),
            ("user-agent", "kzproxy"),
        ),
        body=NoBody(),
        keep_alive=False,
    )
    return encode_request_head(head)


async def _received(stream: TlsStream, limit_bytes: int) -> bytes:
    answer = WholeAnswer(max_bytes=limit_bytes)
    while not answer.done:
        if data := await stream.receive():
            answer.feed(data)
        else:
            answer.end_of_stream()
        if answer.head is not None:
            _refuse_other(answer.head)
    return answer.body


def _refuse_other(head: ResponseHead) -> None:
    if head.status != _OK:
        raise AnswerRefused(f"the answer is {head.status}, not 200")
    if any(coding.lower() != "identity" for coding in head.values("content-encoding")):
        raise AnswerRefused("the answer is compressed, which was not asked for")
