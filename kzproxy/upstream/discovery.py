"""What the cluster serves, as its aggregated discovery lists it (KEP-3352)."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec

from kzproxy.clock.system import Clock
from kzproxy.errors.kinds import ProxyError, UpstreamInvalid
from kzproxy.policy.rules_review import ServedResource
from kzproxy.policy.scope import CLUSTER_SCOPED
from kzproxy.upstream.api_server import ApiServer
from kzproxy.upstream.own_requests import own_get

log = logging.getLogger(__name__)

_ACCEPT = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
_PATHS = ("/api", "/apis")
_MAX_BYTES = 64 * 1024 * 1024
_KEPT_SECONDS = 60.0
_FAILURE_KEPT_SECONDS = 5.0
_FETCH_SECONDS = 10.0
_OK = 200


class _Subresource(msgspec.Struct):
    subresource: str
    verbs: list[str] = []


class _Resource(msgspec.Struct):
    resource: str
    scope: str = ""
    verbs: list[str] = []
    subresources: list[_Subresource] = []


class _Version(msgspec.Struct):
    version: str
    resources: list[_Resource] = []


class _Metadata(msgspec.Struct):
    name: str = ""


class _Group(msgspec.Struct):
    metadata: _Metadata = msgspec.field(default_factory=_Metadata)
    versions: list[_Version] = []


class _Groups(msgspec.Struct):
    items: list[_Group]


@dataclass(frozen=True, slots=True)
class Served:
    """What is served, each resource once whatever its versions.

    Attributes:
        is_whole: Whether kube-apiserver could be asked.
    """

    served: Sequence[ServedResource] = ()
    is_whole: bool = False
    _clusterwide: frozenset[tuple[str, str]] = field(default=frozenset(), repr=False)

    @classmethod
    def of(cls, served: Sequence[ServedResource]) -> "Served":
        """Take everything there is."""
        without = frozenset(
            (each.group, each.resource) for each in served if not each.is_namespaced
        )
        return cls(served, is_whole=True, _clusterwide=without)

    def is_namespaced(self, group: str, resource: str) -> bool:
        """Whether its objects are in namespaces; true where nobody can tell."""
        kind = (group, resource)
        return kind not in self._clusterwide and kind not in CLUSTER_SCOPED


class Discovery:
    """Asks with kzproxy's own account; keeps the answer for a minute, and a failure for less."""

    def __init__(self, api_server: ApiServer, clock: Clock) -> None:
        self._api_server = api_server
        self._clock = clock
        self._known = Served()
        self._until = 0.0
        self._asking = asyncio.Lock()

    async def served(self) -> Served:
        """Return what is served; what is not known where kube-apiserver does not say."""
        async with self._asking:
            if self._clock.monotonic() >= self._until:
                self._known = await self._asked()
                kept = _KEPT_SECONDS if self._known.is_whole else _FAILURE_KEPT_SECONDS
                self._until = self._clock.monotonic() + kept
        return self._known

    async def _asked(self) -> Served:
        try:
            async with asyncio.timeout(_FETCH_SECONDS):
                bodies = [await self._body(path) for path in _PATHS]
                # With thousands of kinds this takes longer than others may wait.
                return await asyncio.to_thread(_read, bodies)
        except (ProxyError, TimeoutError) as error:
            why = error.message if isinstance(error, ProxyError) else "it takes too long"
            log.warning("kube-apiserver's discovery cannot be read: %s", why)
            return Served()

    async def _body(self, path: str) -> bytes:
        head = own_get(self._api_server, path, user_agent="kzproxy-discovery", accept=_ACCEPT)
        answer, body = await self._api_server.ask(head, max_bytes=_MAX_BYTES)
        if answer.status != _OK:
            raise UpstreamInvalid(f"it answers {answer.status}")
        return body


def _read(bodies: Sequence[bytes]) -> Served:
    try:
        groups = [each for body in bodies for each in msgspec.json.decode(body, type=_Groups).items]
    except msgspec.DecodeError as error:
        raise UpstreamInvalid(f"it has no reading: {error}") from error
    return Served.of(list(_served(groups)))


def _served(groups: Sequence[_Group]) -> Sequence[ServedResource]:
    found: dict[tuple[str, str], ServedResource] = {}
    for group in groups:
        name = group.metadata.name
        for version in group.versions:
            for resource in version.resources:
                is_namespaced = resource.scope != "Cluster"
                _add(found, name, resource.resource, resource.verbs, is_namespaced=is_namespaced)
                for each in resource.subresources:
                    below = f"{resource.resource}/{each.subresource}"
                    _add(found, name, below, each.verbs, is_namespaced=is_namespaced)
    return list(found.values())


def _add(
    found: dict[tuple[str, str], ServedResource],
    group: str,
    resource: str,
    verbs: Sequence[str],
    *,
    is_namespaced: bool,
) -> None:
    known = found.get((group, resource))
    before = known.verbs if known is not None else ()
    found[group, resource] = ServedResource(
        group=group,
        resource=resource,
        is_namespaced=is_namespaced,
        verbs=tuple(dict.fromkeys((*before, *verbs))),
    )
