"""The object that a request is about, for the rules that ask for it.

A pod that is entered is looked up; what is created or replaced is read from the request's body,
within bounds, and the very bytes that were read are sent on. Nothing is asked for and no body is
read unless a rule needs it. Between the look at a pod and the entering of it a pod of the same name
may have taken its place: kube-apiserver has no way to name the one that was looked at.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import msgspec
from msgspec.structs import replace

from kzproxy.attributes.api_object import ApiObject
from kzproxy.attributes.identity import Identity
from kzproxy.attributes.object_facts import object_facts
from kzproxy.attributes.request_info import RequestInfo
from kzproxy.attributes.strict_document import read_json, read_yaml
from kzproxy.enforcement.held_bodies import HeldBodies
from kzproxy.errors.kinds import BadRequest, UnsupportedMediaType
from kzproxy.http.messages import Length, NoBody, RequestHead
from kzproxy.transport.exchange import Exchange
from kzproxy.upstream.objects import PodObjects

_JSON = "application/json"
_YAML = "application/yaml"
# kube-apiserver takes no more (MaxRequestBodyBytes in its pkg/server/config.go).
MAX_JSON_BYTES = 3 * 1024 * 1024
# Read by Python at 100 KiB a second or so; kubectl never sends any.
MAX_YAML_BYTES = 64 * 1024
MAX_DELETE_OPTIONS_BYTES = 64 * 1024
_WHY_READ = "a kzproxy rule asks for what is in it"
# What takes longer to read than a request may wait is read on a thread.
_THREAD_BYTES = 64 * 1024


class _Format(msgspec.Struct, frozen=True):
    read: Callable[[bytes], object]
    max_bytes: int


_FORMATS = {
    "": _Format(read_json, MAX_JSON_BYTES),  # as kube-apiserver takes a body without a type
    _JSON: _Format(read_json, MAX_JSON_BYTES),
    _YAML: _Format(read_yaml, MAX_YAML_BYTES),
}


@dataclass(frozen=True, slots=True)
class ObjectChecks:
    """Finds out what rules ask of objects."""

    pods: PodObjects
    held: HeldBodies

    async def object_of(
        self, exchange: Exchange, request: RequestHead, info: RequestInfo, whose: Identity
    ) -> ApiObject | None:
        """Return the facts of the object; None where there are none to be had.

        ``whose`` is who sends it.

        Raises:
            BadRequest: The body has no reading, or two.
            UnsupportedMediaType: It is in a format that is not read here.
            PayloadTooLarge: It is over its bound.
            DownstreamClosed: It did not come.
        """
        is_pod = (info.api_group, info.resource) == ("", "pods") and bool(info.name)
        match info.verb, info.subresource:
            case "patch", "" | "ephemeralcontainers":
                return ApiObject(is_patch=True)
            case "create" | "update", "":
                return object_facts(await self._document(exchange, request, whose), info)
            case "update", "ephemeralcontainers" if is_pod:
                return await self._with_ephemeral(exchange, request, info, whose)
            case ("get" | "delete", "") if is_pod:
                return await self.pods.facts(info)
            case _, subresource if is_pod and subresource:
                return await self.pods.facts(info)
            case _:
                return None

    async def _with_ephemeral(
        self, exchange: Exchange, request: RequestHead, info: RequestInfo, whose: Identity
    ) -> ApiObject | None:
        """Return the pod as it is, together with what the body would put into it."""
        pod = await self.pods.facts(info)
        added = object_facts(await self._document(exchange, request, whose), info)
        if pod is None:
            return None
        return replace(
            pod,
            privileged=pod.privileged or added.privileged,
            host_namespaces=pod.host_namespaces or added.host_namespaces,
            images=(*pod.images, *(image for image in added.images if image not in pod.images)),
        )

    async def asks_for_dry_run(
        self, exchange: Exchange, request: RequestHead, whose: Identity
    ) -> bool:
        """Whether the body of a deletion asks for one.

        Raises:
            ProxyError: As ``object_of`` does.
        """
        options = await self._document(exchange, request, whose, MAX_DELETE_OPTIONS_BYTES)
        if not isinstance(options, dict):
            raise BadRequest("the body of the deletion is no object")
        if any(key != "dryRun" and key.casefold() == "dryrun" for key in options):
            raise BadRequest("the body of the deletion has a field like dryRun, but for its case")
        stages = options.get("dryRun")
        return isinstance(stages, list) and bool(stages) and all(each == "All" for each in stages)

    async def _document(
        self,
        exchange: Exchange,
        request: RequestHead,
        whose: Identity,
        max_bytes: int = MAX_JSON_BYTES,
    ) -> object:
        chosen = _format(request)
        limit_bytes = min(max_bytes, chosen.max_bytes)
        body = await self.held.read(exchange, request, limit_bytes, whose, _WHY_READ)
        if len(body) <= _THREAD_BYTES and chosen.read is read_json:
            return chosen.read(body)
        return await asyncio.to_thread(chosen.read, body)


def has_body(request: RequestHead) -> bool:
    """Whether a request has one that is not empty, as far as its head tells."""
    return request.body not in (NoBody(), Length(0))


def _format(request: RequestHead) -> _Format:
    if request.values("content-encoding"):
        raise UnsupportedMediaType(
            "a kzproxy rule asks for what is sent here, which is not read in a Content-Encoding"
        )
    types = request.values("content-type")
    if len(types) > 1:
        raise BadRequest("the request has more than one Content-Type")
    media_type = types[0].partition(";")[0].strip().lower() if types else ""
    found = _FORMATS.get(media_type)
    if found is None:
        raise UnsupportedMediaType(
            f"a kzproxy rule asks for what is sent here, which is read as {_JSON} or {_YAML} and"
            f" not as {media_type[:100]}"
        )
    return found
