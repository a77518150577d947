"""Requests as today's clients send them, and what of the answers must be the same."""

import json
import re
from dataclasses import dataclass, field
from typing import Any

JSON = "application/json"
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
METADATA_ONLY = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json"
PROTOBUF = "application/vnd.kubernetes.protobuf"
CBOR = "application/cbor"
AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"

_JSON_PATCH = "application/json-patch+json"
_MERGE_PATCH = "application/merge-patch+json"
_STRATEGIC_PATCH = "application/strategic-merge-patch+json"
_APPLY = "application/apply-patch+yaml"

# What a client reads of an answer's head, beside the status. Dates and ids are of each exchange.
_HEADERS = (
    "allow",
    "cache-control",
    "content-encoding",
    "content-length",
    "content-type",
    "etag",
    "last-modified",
    "location",
    "retry-after",
    "transfer-encoding",
    "vary",
    "warning",
    "x-content-type-options",
)
# What kube-apiserver makes up anew for each request.
_OF_ONE_REQUEST = re.compile(
    rb'"(uid|creationTimestamp|deletionTimestamp|time|resourceVersion)":"[^"]*"'
)

_AGE = re.compile(rb'"(\d+[smhd])+"')  # A column of tables.
_FURTHER_BOOKMARK = re.compile(rb'^\{"type":"BOOKMARK"(?!.*initial-events-end).*\n', re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One request; ``{ns}`` in target and body is the namespace."""

    name: str
    method: str = "GET"
    target: str
    accept: str = JSON
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    sent_as: str = ""
    status: int = 200
    # Whether the body holds what is made up anew for each request.
    is_fresh: bool = False


def compared_head(status: int, headers: dict[str, str], *, is_fresh: bool) -> dict[str, Any]:
    """Return the part of an answer's head that must be the same."""
    kept = {name: headers[name] for name in _HEADERS if name in headers}
    if is_fresh:
        kept.pop("content-length", None)
    return {"status": status, **kept}


def compared_body(body: bytes, *, is_fresh: bool) -> bytes:
    """Return the body without what is made up anew for each request."""
    if not is_fresh:
        return body
    # How many bookmarks come before the end of a watch is a matter of moments.
    kept = _FURTHER_BOOKMARK.sub(b"", body)
    return _AGE.sub(b'""', _OF_ONE_REQUEST.sub(rb'"\1":""', kept))


def _configmap(name: str) -> bytes:
    return json.dumps(
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"k": "v"}}
    ).encode()


_NAMESPACE = "/api/v1/namespaces/{ns}"
_ONE = f"{_NAMESPACE}/configmaps/c-1"
_ALL = f"{_NAMESPACE}/configmaps"
_DRY = "?dryRun=All&fieldManager=kubectl-client-side-apply&fieldValidation=Strict"
_DEPLOYMENT = "/apis/apps/v1/namespaces/{ns}/deployments/d-1"

READS = (
    Asked(name="one", target=_ONE),
    Asked(name="list", target=f"{_ALL}?limit=500"),
    Asked(name="list-gzip", target=f"{_ALL}?limit=500", headers={"Accept-Encoding": "gzip"}),
    Asked(name="table", target=f"{_ALL}?limit=500", accept=TABLE),
    Asked(name="metadata-only", target=_ALL, accept=METADATA_ONLY),
    Asked(name="protobuf", target=_ALL, accept=PROTOBUF),
    Asked(name="cbor", target=_ALL, accept=f"{CBOR},{JSON}"),
    Asked(name="first-page", target=f"{_ALL}?limit=2"),
    Asked(name="label-selector", target=f"{_ALL}?labelSelector=odd%3Dyes"),
    Asked(name="set-selector", target=f"{_ALL}?labelSelector=odd+in+%28yes%29%2C%21even"),
    Asked(name="field-selector", target=f"{_ALL}?fieldSelector=metadata.name%3Dc-1"),
    Asked(name="resource-version-0", target=f"{_ALL}?resourceVersion=0"),
    Asked(name="all-namespaces", target="/api/v1/configmaps?limit=1"),
    Asked(name="scale", target=f"{_DEPLOYMENT}/scale"),
    Asked(name="ten-megabytes", target=f"{_NAMESPACE}/secrets?limit=500"),
    Asked(
        name="ten-megabytes-gzip",
        target=f"{_NAMESPACE}/secrets",
        headers={"Accept-Encoding": "gzip"},
    ),
    Asked(name="version", target="/version"),
    Asked(name="api", target="/api"),
    Asked(name="apis", target="/apis"),
    Asked(name="aggregated-discovery", target="/apis", accept=f"{AGGREGATED},{JSON}"),
    Asked(name="resources", target="/api/v1"),
    # As the Python client and its kin ask.
    Asked(name="versions-slash", target="/api/"),
    Asked(name="resources-slash", target="/api/v1/"),
    Asked(name="group-slash", target="/apis/apps/"),
    Asked(name="resources-of-a-group-slash", target="/apis/apps/v1/"),
    Asked(name="issuer-slash", target="/.well-known/openid-configuration/"),
    Asked(
        name="keys-of-the-issuer-slash",
        target="/openid/v1/jwks/",
        accept="application/jwk-set+json",
    ),
    Asked(name="openapi-v3", target="/openapi/v3"),
    Asked(name="openapi-v3-of-a-group", target="/openapi/v3/apis/apps/v1"),
    # As one whose index is older than that.
    Asked(name="openapi-v3-moved", target="/openapi/v3/apis/apps/v1?hash=OLD", status=301),
    Asked(name="readyz", target="/readyz?verbose"),
    Asked(name="head-readyz", method="HEAD", target="/readyz?verbose"),
)

ERRORS = (
    Asked(name="not-found", target=f"{_NAMESPACE}/configmaps/none", status=404),
    Asked(name="unknown-resource", target=f"{_NAMESPACE}/nonsense", status=404),
    Asked(name="unknown-path", target="/nonsense", status=404),
    Asked(name="unknown-group-slash", target="/apis/nonsense.example/", status=404),
    Asked(name="logs-slash", target="/logs/", status=404),
    Asked(name="head", method="HEAD", target=_ONE, status=405),
    Asked(name="head-unknown-path", method="HEAD", target="/nonsense", status=404),
    Asked(name="not-acceptable", target=_ONE, accept="text/html", status=406),
    Asked(name="bad-selector", target=f"{_ALL}?labelSelector=%3D%3D", status=400),
    Asked(name="expired", target=f"{_ALL}?limit=1&continue=nonsense", status=400),
    Asked(
        name="unsupported-media-type",
        method="POST",
        target=f"{_ALL}{_DRY}",
        body=b"hello",
        sent_as="text/plain",
        status=415,
    ),
    Asked(
        name="no-object",
        method="POST",
        target=f"{_ALL}{_DRY}",
        body=b"{",
        sent_as=JSON,
        status=400,
    ),
    Asked(
        name="invalid",
        method="POST",
        target=f"{_ALL}{_DRY}",
        body=_configmap("Not-A-Name"),
        sent_as=JSON,
        status=422,
    ),
    Asked(
        name="exists",
        method="POST",
        target=f"{_ALL}{_DRY}",
        body=_configmap("c-1"),
        sent_as=JSON,
        status=409,
    ),
    Asked(
        name="too-large",
        method="POST",
        target=f"{_ALL}{_DRY}",
        body=b" " * (4 * 1024 * 1024),
        sent_as=JSON,
        status=413,
    ),
    Asked(
        name="unknown-field",
        method="POST",
        target=f"{_ALL}{_DRY}",
        body=b'{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"x"},"dta":{}}',
        sent_as=JSON,
        status=400,
    ),
)

WRITES = (
    Asked(
        name="create",
        method="POST",
        target=f"{_ALL}{_DRY}",
        body=_configmap("new"),
        sent_as=JSON,
        status=201,
        is_fresh=True,
    ),
    Asked(
        name="create-with-warning",
        method="POST",
        target="/api/v1/namespaces/{ns}/configmaps?dryRun=All&fieldValidation=Warn",
        body=b'{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"warned"},"nosuch":1}',
        sent_as=JSON,
        status=201,
        is_fresh=True,
    ),
    Asked(
        name="update",
        method="PUT",
        target=f"{_ONE}{_DRY}",
        body=_configmap("c-1"),
        sent_as=JSON,
        is_fresh=True,
    ),
    Asked(
        name="json-patch",
        method="PATCH",
        target=f"{_ONE}{_DRY}",
        body=b'[{"op":"add","path":"/data/more","value":"1"}]',
        sent_as=_JSON_PATCH,
        is_fresh=True,
    ),
    Asked(
        name="merge-patch",
        method="PATCH",
        target=f"{_ONE}{_DRY}",
        body=b'{"data":{"more":"1"}}',
        sent_as=_MERGE_PATCH,
        is_fresh=True,
    ),
    Asked(
        name="strategic-patch",
        method="PATCH",
        target=f"{_DEPLOYMENT}{_DRY}",
        body=b'{"spec":{"replicas":0,"template":{"metadata":{"labels":{"more":"1"}}}}}',
        sent_as=_STRATEGIC_PATCH,
        is_fresh=True,
    ),
    Asked(
        name="apply",
        method="PATCH",
        target=f"{_NAMESPACE}/configmaps/applied?dryRun=All&fieldManager=t&force=true",
        body=b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: applied}\ndata: {a: b}\n",
        sent_as=_APPLY,
        status=201,
        is_fresh=True,
    ),
    Asked(
        name="scale-patch",
        method="PATCH",
        target=f"{_DEPLOYMENT}/scale{_DRY}",
        body=b'{"spec":{"replicas":2}}',
        sent_as=_MERGE_PATCH,
        is_fresh=True,
    ),
    Asked(
        name="delete",
        method="DELETE",
        target=_ONE,
        body=b'{"kind":"DeleteOptions","apiVersion":"v1","dryRun":["All"]}',
        sent_as=JSON,
        is_fresh=True,
    ),
    Asked(
        name="delete-collection",
        method="DELETE",
        target=f"{_ALL}?dryRun=All&labelSelector=odd%3Dyes",
        is_fresh=True,
    ),
)

WATCHES = (
    Asked(name="watch", target=f"{_ALL}?watch=1&resourceVersion={{rv}}&timeoutSeconds=1"),
    Asked(
        name="watch-list",
        target=f"{_ALL}?watch=true&sendInitialEvents=true&allowWatchBookmarks=true"
        "&resourceVersionMatch=NotOlderThan&timeoutSeconds=2",
        is_fresh=True,
    ),
    Asked(
        name="watch-table",
        target=f"{_ALL}?watch=true&sendInitialEvents=true&allowWatchBookmarks=true"
        "&resourceVersionMatch=NotOlderThan&timeoutSeconds=2",
        accept=TABLE,
        is_fresh=True,
    ),
    Asked(
        name="watch-protobuf",
        target=f"{_ALL}?watch=1&resourceVersion={{rv}}&timeoutSeconds=1",
        accept=PROTOBUF,
    ),
)
