"""Pods as kube-apiserver has them now, read with kzproxy's own account.

Never as the user: a rule about a pod must hold for users who may enter pods but not read them, and
nobody may learn from it what they could not read. The account needs ``get`` on ``pods`` for it, and
has nothing of the kind unless an operator grants it (deploy/rbac/objects).
"""

import asyncio
import logging
from urllib.parse import quote

import msgspec

from kzproxy.attributes.api_object import ApiObject
from kzproxy.attributes.object_facts import object_facts
from kzproxy.attributes.request_info import RequestInfo
from kzproxy.attributes.strict_document import read_json
from kzproxy.errors.kinds import ProxyError
from kzproxy.upstream.api_server import ApiServer
from kzproxy.upstream.own_requests import own_get

log = logging.getLogger(__name__)

# A pod that takes longer is one that is not known.
FETCH_SECONDS = 5.0
_MAX_READINGS = 1024
_OK = 200


class _Metadata(msgspec.Struct):
    uid: str
    resource_version: str = msgspec.field(name="resourceVersion")


class _Front(msgspec.Struct):
    metadata: _Metadata


class PodObjects:
    """Reads pods. Each is fetched anew; only the reading of it is kept, by uid and version."""

    def __init__(self, api_server: ApiServer) -> None:
        self._api_server = api_server
        self._readings: dict[tuple[str, str], ApiObject] = {}

    async def facts(self, info: RequestInfo) -> ApiObject | None:
        """Return the facts of the pod that ``info`` names.

        None where they could not be had, for whatever reason: the diagnostic log has it.
        """
        path = f"/api/v1/namespaces/{quote(info.namespace)}/pods/{quote(info.name)}"
        try:
            async with asyncio.timeout(FETCH_SECONDS):
                body = await self._fetch(path)
            return None if body is None else self._read(body, info)
        except (ProxyError, TimeoutError, ValueError) as error:
            why = error.message if isinstance(error, ProxyError) else str(error) or "too late"
            log.warning("%s cannot be read for a rule that asks for it: %s", path, why)
            return None

    async def _fetch(self, path: str) -> bytes | None:
        head = own_get(self._api_server, path, user_agent="kzproxy-object-checks")
        answer, body = await self._api_server.ask(head)
        if answer.status == _OK:
            return body
        log.warning("%s cannot be read for a rule that asks for it: %d", path, answer.status)
        return None

    def _read(self, body: bytes, info: RequestInfo) -> ApiObject:
        metadata = msgspec.json.decode(body, type=_Front).metadata
        key = (metadata.uid, metadata.resource_version)
        known = self._readings.get(key)
        if known is None:
            known = object_facts(read_json(body), info)
            if len(self._readings) >= _MAX_READINGS:
                self._readings.clear()
            self._readings[key] = known
        return known
