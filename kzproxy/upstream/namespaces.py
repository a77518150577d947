"""The labels of all namespaces, as kube-apiserver has them now: listed once and then watched.

Read with kzproxy's own account, which needs ``get``, ``list`` and ``watch`` on namespaces for it
and has nothing of the kind unless an operator grants it (deploy/rbac/namespaces). Only names and
labels are kept. What cannot be followed any more is not known any more: the policy then finds no
labels, so that nothing is allowed by them and everything is denied that they might deny.
"""

import asyncio
import logging
import math
from collections.abc import Callable
from urllib.parse import quote, urlencode

import msgspec

from kzproxy.attributes.api_object import Labels
from kzproxy.clock.system import Clock
from kzproxy.errors.kinds import ProxyError, ServiceUnavailable, UpstreamInvalid
from kzproxy.http.chunked_lines import ChunkedLines
from kzproxy.transport.broken import StreamBroken
from kzproxy.upstream.api_server import ApiServer
from kzproxy.upstream.connection import UpstreamConnection
from kzproxy.upstream.impersonation import own_request
from kzproxy.upstream.own_requests import own_get

log = logging.getLogger(__name__)

# kube-apiserver may be restarted without anything changing; longer, and nobody knows what is so.
OUTAGE_SECONDS = 60.0
# A request waits so long for a namespace that the watch has not brought yet.
LOOK_UP_SECONDS = 5.0
_PATH = "/api/v1/namespaces"
_AGENT = "kzproxy-namespaces"
# Without spec and status; client-go's metadata client asks in the same way.
_METADATA = "application/json;as={};g=meta.k8s.io;v=v1"
_PAGE = 500
_MAX_PAGE_BYTES = 64 * 1024 * 1024
_MAX_EVENT_BYTES = 4 * 1024 * 1024
_WATCH_SECONDS = 300
# kube-apiserver sends a bookmark a minute (apiserver pkg/storage/cacher, bookmarkFrequency).
_SILENCE_SECONDS = 150.0
_RETRY_SECONDS = (0.2, 1.0, 2.0, 5.0)
_OK, _NOT_FOUND, _GONE, _TOO_MANY, _FAILED = 200, 404, 410, 429, 500


class _Metadata(msgspec.Struct):
    name: str = ""
    labels: dict[str, str] | None = None
    resource_version: str = msgspec.field(default="", name="resourceVersion")


class _Namespace(msgspec.Struct):
    metadata: _Metadata


class _PageMetadata(msgspec.Struct):
    resource_version: str = msgspec.field(name="resourceVersion")
    continues: str = msgspec.field(default="", name="continue")


class _Page(msgspec.Struct):
    metadata: _PageMetadata
    items: list[_Namespace]


class _Event(msgspec.Struct):
    type: str
    object: msgspec.Raw


_PAGES = msgspec.json.Decoder(_Page)
_NAMESPACES = msgspec.json.Decoder(_Namespace)
_EVENTS = msgspec.json.Decoder(_Event)


class _Expired(ServiceUnavailable):
    """The resource version is too old to go on from; list anew."""

    def __init__(self) -> None:
        super().__init__("kube-apiserver wants the namespaces to be listed anew")


class NamespacesRefused(ServiceUnavailable):
    """kube-apiserver does not give them to kzproxy's account, which no waiting changes."""


class NamespaceLabels:
    """Follows the namespaces of one cluster while ``run`` runs.

    Labels that do not change stay the same object, by which decisions are remembered.
    """

    def __init__(
        self, api_server: ApiServer, clock: Clock, changed: Callable[[frozenset[str]], None]
    ) -> None:
        """Take whom to tell of each set of namespaces whose labels are others than before."""
        self._api_server = api_server
        self._clock = clock
        self._changed = changed
        self._labels: dict[str, Labels] = {}
        self._version = ""
        self._reached_at = -math.inf
        self._problem = "not read yet"
        self._is_lost = False

    @property
    def problem(self) -> str:
        """Why the labels cannot be followed at this moment; empty where they can."""
        return self._problem

    @property
    def is_lost(self) -> bool:
        """Whether they could not be followed for so long that none counts any more."""
        return self._is_lost

    def of(self, namespace: str) -> Labels | None:
        """Return the labels, sorted by key; None where they are not known."""
        return self._labels.get(namespace)

    async def look_up(self, namespace: str) -> Labels | None:
        """Ask kube-apiserver for one namespace that may be newer than what has been seen.

        None while ``is_lost``: whatever began by its labels would not end with them.
        """
        if self._is_lost:
            return None
        head = own_get(
            self._api_server,
            f"{_PATH}/{quote(namespace, safe='')}",
            user_agent=_AGENT,
            accept=_METADATA.format("PartialObjectMetadata"),
        )
        try:
            async with asyncio.timeout(LOOK_UP_SECONDS):
                answer, body = await self._api_server.ask(head)
            if answer.status == _OK:
                return _labels(_NAMESPACES.decode(body))
            if answer.status != _NOT_FOUND:
                log.warning("namespace %s cannot be read: %d", namespace, answer.status)
        except (ProxyError, TimeoutError, msgspec.DecodeError) as error:
            log.warning("namespace %s cannot be read: %s", namespace, _words(error))
        return None

    async def read(self) -> None:
        """List all namespaces.

        Raises:
            ProxyError: They cannot be had, and what to do about it.
        """
        found: dict[str, Labels] = {}
        continues = ""
        while True:
            page = await self._page(continues)
            found |= {each.metadata.name: _labels(each) for each in page.items}
            continues = page.metadata.continues
            if not continues:
                break
        self._version = page.metadata.resource_version
        self._reached()
        self._is_lost = False
        self._replace(found)

    async def run(self) -> None:
        """Follow them until cancelled; begins with ``read`` where that was not done."""
        failures = 0
        while True:
            try:
                if not self._version:
                    await self.read()
                await self._watch()
                failures = 0
                pause = _pause(failures)
            except _Expired:
                # Once is nothing; what says so each time must not be asked without end.
                self._version = ""
                pause = _pause(failures)
                failures += 1
            except (ProxyError, StreamBroken, msgspec.DecodeError) as error:
                if isinstance(error, (UpstreamInvalid, msgspec.DecodeError)):
                    # From the same version the same event would come again.
                    self._version = ""
                self._fail(error)
                failures += 1
                pause = _pause(failures)
            await asyncio.sleep(pause)

    async def _page(self, continues: str) -> _Page:
        asked = {"limit": str(_PAGE)} | ({"continue": continues} if continues else {})
        head = own_get(
            self._api_server,
            f"{_PATH}?{urlencode(asked)}",
            user_agent=_AGENT,
            accept=_METADATA.format("PartialObjectMetadataList"),
        )
        answer, body = await self._api_server.ask(head, max_bytes=_MAX_PAGE_BYTES)
        if answer.status == _GONE:
            raise _Expired
        if answer.status != _OK:
            raise _not_given(answer.status)
        try:
            return _PAGES.decode(body)
        except msgspec.DecodeError as error:
            raise UpstreamInvalid("kube-apiserver's list of namespaces has no reading") from error

    async def _watch(self) -> None:
        """Watch from the last version seen until kube-apiserver ends the watch."""
        asked = {
            "watch": "1",
            "allowWatchBookmarks": "true",
            "resourceVersion": self._version,
            "timeoutSeconds": str(_WATCH_SECONDS),
        }
        head = own_get(
            self._api_server,
            f"{_PATH}?{urlencode(asked)}",
            user_agent=_AGENT,
            accept=_METADATA.format("PartialObjectMetadata"),
        )
        outgoing = own_request(head)
        connection = await self._api_server.begin(outgoing)
        try:
            seconds = self._api_server.timeouts.answer_seconds
            answer = await self._api_server.receive_head(connection, outgoing, seconds)
            if answer.head.status == _GONE:
                raise _Expired
            if answer.head.status != _OK:
                raise _not_given(answer.head.status)
            await self._follow(connection)
        finally:
            self._api_server.end(connection)

    async def _follow(self, connection: UpstreamConnection) -> None:
        lines = ChunkedLines(_MAX_EVENT_BYTES)
        self._reached()
        data = connection.buffered_body()
        while data or not connection.body_done:
            for line in lines.feed(data):
                self._take(_EVENTS.decode(line))
            self._reached()
            data = await connection.receive_body(_SILENCE_SECONDS)

    def _take(self, event: _Event) -> None:
        if event.type == "ERROR":
            raise _Expired
        namespace = _NAMESPACES.decode(event.object)
        name = namespace.metadata.name
        if event.type == "DELETED":
            self._set(name, None)
        elif event.type != "BOOKMARK":
            self._set(name, _labels(namespace))
        self._version = namespace.metadata.resource_version

    def _reached(self) -> None:
        self._reached_at = self._clock.monotonic()
        self._problem = ""

    def _fail(self, error: Exception) -> None:
        why = _words(error)
        if why != self._problem:
            log.warning("the labels of namespaces cannot be followed: %s", why)
        self._problem = why
        if self._clock.monotonic() - self._reached_at > OUTAGE_SECONDS:
            self._version = ""
            self._is_lost = True
            self._replace({})

    def _set(self, name: str, labels: Labels | None) -> None:
        if self._labels.get(name) == labels:
            return
        if labels is None:
            del self._labels[name]
        else:
            self._labels[name] = labels
        self._changed(frozenset((name,)))

    def _replace(self, found: dict[str, Labels]) -> None:
        before = self._labels
        self._labels = {
            name: known if (known := before.get(name)) == labels else labels
            for name, labels in found.items()
        }
        names = before.keys() | found.keys()
        changed = frozenset(name for name in names if before.get(name) != found.get(name))
        if changed:
            self._changed(changed)


def _pause(failures: int) -> float:
    return _RETRY_SECONDS[min(failures, len(_RETRY_SECONDS) - 1)]


def _labels(namespace: _Namespace) -> Labels:
    return tuple(sorted((namespace.metadata.labels or {}).items()))


def _not_given(status: int) -> ServiceUnavailable:
    answers = f"kube-apiserver answers {status} where kzproxy asks for the namespaces"
    if status == _TOO_MANY or status >= _FAILED:
        return ServiceUnavailable(answers)
    return NamespacesRefused(
        f"{answers}; a rule looks at their labels, for which its account needs"
        " deploy/rbac/namespaces"
    )


def _words(error: Exception) -> str:
    return error.message if isinstance(error, ProxyError) else str(error) or "too late"
