"""What rules may ask of an object, read from its manifest as kube-apiserver serves or is sent it.

Whatever is not as Kubernetes' types have it is refused, and so is a key that differs from one that
is looked at in case alone: Kubernetes would not see it (sigs.k8s.io/json), but what reads the same
bytes behind it, such as an API server that is aggregated, may.
"""

from collections.abc import Iterator, Mapping

from kzproxy.attributes.api_object import ApiObject, Labels
from kzproxy.attributes.request_info import RequestInfo
from kzproxy.errors.kinds import BadRequest

_DEFAULT_ACCOUNT = "default"
# Where each resource that runs pods keeps the pod's spec, by group and resource; in any version.
_POD_SPECS: Mapping[tuple[str, str], tuple[str, ...]] = {
    ("", "pods"): ("spec",),
    ("", "podtemplates"): ("template", "spec"),
    ("", "replicationcontrollers"): ("spec", "template", "spec"),
    ("apps", "daemonsets"): ("spec", "template", "spec"),
    ("apps", "deployments"): ("spec", "template", "spec"),
    ("apps", "replicasets"): ("spec", "template", "spec"),
    ("apps", "statefulsets"): ("spec", "template", "spec"),
    ("batch", "cronjobs"): ("spec", "jobTemplate", "spec", "template", "spec"),
    ("batch", "jobs"): ("spec", "template", "spec"),
}
# What has no labels gets those of its template (defaults.go of core/v1 and batch/v1 in kubernetes).
_LABELLED_AS_TEMPLATE = frozenset({("", "replicationcontrollers"), ("batch", "jobs")})
_CONTAINERS = ("initContainers", "containers", "ephemeralContainers")
_HOST_NAMESPACES = ("hostNetwork", "hostPID", "hostIPC")

Manifest = dict[str, object]


def object_facts(manifest: object, info: RequestInfo) -> ApiObject:
    """Return the facts of an object of the resource that ``info`` names.

    Raises:
        BadRequest: It is no object, or one that cannot be read in one way.
    """
    found = _mapping(manifest, "the object")
    labels = _labels(_part(found, "metadata"))
    if not labels and (info.api_group, info.resource) in _LABELLED_AS_TEMPLATE:
        labels = _labels(_part(_part(_part(found, "spec"), "template"), "metadata"))
    path = _POD_SPECS.get((info.api_group, info.resource))
    if path is None:
        return ApiObject(labels=labels)
    spec = found
    for name in path:
        spec = _part(spec, name)
    containers = [container for name in _CONTAINERS for container in _containers(spec, name)]
    # Every one is read, so that none goes unread because of what another says.
    privileged = [_is_privileged(holder) for holder in (spec, *containers)]
    host_namespaces = [_flag(spec, name) for name in _HOST_NAMESPACES]
    return ApiObject(
        labels=labels,
        service_account=_account(spec),
        privileged=any(privileged),
        host_namespaces=any(host_namespaces),
        images=(
            *[image for container in containers if (image := _text(container, "image"))],
            *_mounted_images(spec),
        ),
    )


def _account(spec: Manifest) -> str:
    """Return the account's name; the older of the two fields counts where the other is empty."""
    named, older = _text(spec, "serviceAccountName"), _text(spec, "serviceAccount")
    if named and older and named != older:
        raise BadRequest("serviceAccountName and serviceAccount of the object differ")
    return named or older or _DEFAULT_ACCOUNT


def _is_privileged(holder: Manifest) -> bool:
    """Whether a container is; a HostProcess one is Windows' own, and a whole pod may be of them."""
    context = _part(holder, "securityContext")
    on_windows = _flag(_part(context, "windowsOptions"), "hostProcess")
    return _flag(context, "privileged") or on_windows


def _mounted_images(spec: Manifest) -> Iterator[str]:
    """Return the images that containers get as volumes: what is in them can be run as well."""
    for volume in _containers(spec, "volumes"):
        image = _text(_part(volume, "image"), "reference")
        if image:
            yield image


def _containers(spec: Manifest, name: str) -> Iterator[Manifest]:
    items = _field(spec, name)
    if items is None:
        return
    if not isinstance(items, list):
        raise BadRequest(f"{name} of the object is no list")
    for item in items:
        yield _mapping(item, f"an entry of {name}")


def _labels(metadata: Manifest) -> Labels:
    labels = _part(metadata, "labels", is_map=True)
    found: list[tuple[str, str]] = []
    for key, value in labels.items():
        if not isinstance(value, str):
            raise BadRequest("a label of the object is no string")
        found.append((key, value))
    return tuple(sorted(found))


def _part(of: Manifest, name: str, *, is_map: bool = False) -> Manifest:
    value = _field(of, name)
    if value is None:
        return {}
    return _mapping(value, name, is_map=is_map)


def _flag(of: Manifest, name: str) -> bool:
    value = _field(of, name)
    if value is not None and not isinstance(value, bool):
        raise BadRequest(f"{name} of the object is neither true nor false")
    return bool(value)


def _text(of: Manifest, name: str) -> str:
    value = _field(of, name)
    if value is not None and not isinstance(value, str):
        raise BadRequest(f"{name} of the object is no string")
    return value or ""


def _field(of: Manifest, name: str) -> object:
    """Return a field; null and a field that is not there are the same to Kubernetes' types."""
    return of.get(name)


_NAMES = frozenset(
    {
        "metadata",
        "labels",
        "securityContext",
        "privileged",
        "windowsOptions",
        "hostProcess",
        "serviceAccountName",
        "serviceAccount",
        "image",
        "volumes",
        "reference",
        *_CONTAINERS,
        *_HOST_NAMESPACES,
        *(name for path in _POD_SPECS.values() for name in path),
    }
)
_NAMES_FOLDED = frozenset(name.lower() for name in _NAMES)


def _mapping(value: object, what: str, *, is_map: bool = False) -> Manifest:
    """Return ``value`` as an object; one that ``is_map`` has keys of its users' choice."""
    if not isinstance(value, dict):
        raise BadRequest(f"{what} is not as Kubernetes has it")
    if not is_map:
        for key in value:
            if key not in _NAMES and key.casefold() in _NAMES_FOLDED:
                raise BadRequest(f"the object has {key[:60]!r}, which differs in case alone")
    return value
