"""The request of a test case, made into the request line that kzproxy would read.

Written in the words of a rule or as method and path, it goes through ``RequestInfo.parse`` like
any other, so that a case can never ask what nobody can send.
"""

from urllib.parse import quote, urlencode

from kzproxy.attributes.request_info import RequestInfo
from kzproxy.config.document import Node
from kzproxy.errors.kinds import BadRequest, NotServed
from kzproxy.policy.vocabulary import COLLECTION_VERBS, RESOURCE_VERBS

_METHODS = {
    "get": "GET",
    "list": "GET",
    "watch": "GET",
    "create": "POST",
    "update": "PUT",
    "patch": "PATCH",
    "delete": "DELETE",
    "deletecollection": "DELETE",
    "connect": "POST",
    "proxy": "GET",
}
_NAMED = frozenset({"get", "update", "patch", "delete", "connect", "proxy"})


def read_request(fields: dict[str, Node], where: Node) -> RequestInfo | None:
    """Read ``request``; None where a mistake was recorded, at ``where`` if nothing is written."""
    if "path" in fields or "method" in fields:
        return _by_path(fields)
    if "verb" not in fields or "resource" not in fields:
        where.mistake("request must have verb and resource, or method and path")
        return None
    return _by_resource(fields)


def resource_target(
    verb: str,
    resource: str,
    *,
    group_version: tuple[str, str] = ("", "v1"),
    namespace: str = "",
    name: str = "",
    query: tuple[tuple[str, str], ...] = (),
) -> tuple[str, str]:
    """Return the method and target that ask for ``verb`` on ``resource``.

    Args:
        verb: Of a rule.
        resource: ``pods`` or ``pods/log``.
        group_version: The group, empty for the core group, and its version.
        namespace: Empty for none or all.
        name: Of the object; a verb on many takes it as a field selector.
        query: Further parameters.
    """
    kind, _, subresource = resource.partition("/")
    group, version = group_version
    parts = ["apis", group, version] if group else ["api", version]
    if namespace:
        parts += ["namespaces", namespace]
    parts.append(kind)
    pairs = list(query)
    if name and verb in COLLECTION_VERBS:
        pairs.append(("fieldSelector", f"metadata.name={name}"))
    elif name:
        parts.append(name)
    if subresource:
        parts.append(subresource)
    if verb == "watch":
        pairs.append(("watch", "true"))
    path = "/" + "/".join(quote(part, safe="") for part in parts)
    return _METHODS[verb], f"{path}?{urlencode(pairs, quote_via=quote)}" if pairs else path


def _by_path(fields: dict[str, Node]) -> RequestInfo | None:
    others = [name for name in fields if name not in ("method", "path")]
    for name in others:
        fields[name].mistake(f"{name} does not go with method and path; the path says it all")
    for name in ("method", "path"):
        if name not in fields:
            next(iter(fields.values())).mistake(f"{name} must be set too")
            return None
    method, path = fields["method"].string(), fields["path"].string()
    return _parsed(method, path, fields["path"]) if method and path else None


def _by_resource(fields: dict[str, Node]) -> RequestInfo | None:
    def text(name: str) -> str:
        return fields[name].string(may_be_empty=True) if name in fields else ""

    verb, resource = fields["verb"].choice(RESOURCE_VERBS), fields["resource"].string()
    name = text("name")
    if not verb or not resource:
        return None
    if verb in _NAMED and not name:
        fields["verb"].mistake(f"{verb} needs the name of an object")
        return None
    if verb == "create" and name and "/" not in resource:
        fields["name"].mistake("the path of a create has no name; leave it out")
        return None
    method, target = resource_target(
        verb,
        resource,
        group_version=(text("apiGroup"), text("apiVersion") or "v1"),
        namespace=text("namespace"),
        name=name,
        query=tuple(_query(fields)),
    )
    request = _parsed(method, target, fields["verb"])
    if request is not None and request.verb != verb:
        fields["verb"].mistake(f"a request for {resource} has the verb {request.verb}, not {verb}")
        return None
    return request


def _query(fields: dict[str, Node]) -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = [
        (name, fields[name].string())
        for name in ("fieldSelector", "labelSelector", "container")
        if name in fields
    ]
    if "dryRun" in fields and fields["dryRun"].boolean():
        pairs.append(("dryRun", "All"))
    if "command" in fields:
        pairs += [("command", word) for word in fields["command"].strings()]
    return pairs


def _parsed(method: str, target: str, node: Node) -> RequestInfo | None:
    try:
        return RequestInfo.parse(method, target)
    except (BadRequest, NotServed) as error:
        node.mistake(f"{method} {target} is refused before any rule: {error}")
        return None
