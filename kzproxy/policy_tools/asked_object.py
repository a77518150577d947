"""The object of a request that an operator asks about, from its manifest."""

from pathlib import Path

from kzproxy.attributes.api_object import ApiObject
from kzproxy.attributes.object_facts import object_facts
from kzproxy.attributes.request_info import RequestInfo
from kzproxy.config.document import Mistakes, read_document
from kzproxy.policy.object_requests import has_object

# Of these groups every kind's name tells its resource: Pod, pods.
_BUILT_IN_GROUPS = frozenset({"", "apps", "batch"})


def read_manifest(path: Path, mistakes: Mistakes) -> object:
    """Read the one YAML or JSON document of a file as JSON would hold it."""
    return read_document(path, mistakes).raw()


def asked_object(request: RequestInfo, manifest: object) -> ApiObject | None:
    """Return what kzproxy would know of the object; ``manifest`` is None where none is given.

    Raises:
        ValueError: A request like that has no object, or the manifest is of another kind.
        BadRequest: The manifest cannot be read in one way.
    """
    if request.verb == "patch" and request.subresource in ("", "ephemeralcontainers"):
        return ApiObject(is_patch=True)
    if manifest is None:
        return None
    what = (request.verb, request.api_group, request.resource, request.subresource)
    if not has_object(*what):
        raise ValueError(
            f"kzproxy looks at no object of a request to {request.verb}"
            f" {request.qualified_resource or request.path}; leave --object out"
        )
    kind = str(manifest.get("kind", "")) if isinstance(manifest, dict) else ""
    is_told = kind and request.api_group in _BUILT_IN_GROUPS
    if is_told and not request.resource.startswith(kind.lower().removesuffix("y")):
        raise ValueError(f"--object holds a {kind}, and the request is for {request.resource}")
    return object_facts(manifest, request)
