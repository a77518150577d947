"""Where kube-apiserver is and what speaks for kzproxy there, from one of three sources."""

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import msgspec

from kzproxy.config.document import Mistakes, Node
from kzproxy.config.files import authority_text, file_fault, file_text, living_file, named_file
from kzproxy.config.kubeconfig import https_address, upstream_from_kubeconfig
from kzproxy.upstream.account import Endpoint, UpstreamSettings

# Where the kubelet puts them (client-go rest/config.go InClusterConfig).
_SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_SOURCES = ("inCluster", "kubeconfig", "server")
_NOWHERE = UpstreamSettings(host="", port=0, server_name="")


class Upstream(msgspec.Struct, frozen=True, kw_only=True):
    """What ``upstream`` says.

    Attributes:
        settings: kube-apiserver and our account there.
        send_uid: Whether ``Impersonate-Uid`` is sent.
        send_decision_id: Whether each decision's id is sent as an extra.
    """

    settings: UpstreamSettings
    send_uid: bool
    send_decision_id: bool


def load_upstream(node: Node, base: Path, mistakes: Mistakes) -> Upstream:
    """Read ``upstream``, which names exactly one source; files are relative to ``base``."""
    fields = node.mapping(optional=(*_SOURCES, "impersonation", "otherURLs"))
    sent: dict[str, Node] = {}
    if "impersonation" in fields:
        sent = fields["impersonation"].mapping(optional=("uid", "decisionID"))
    return Upstream(
        settings=_settings(node, fields, base, mistakes),
        send_uid=sent["uid"].boolean() if "uid" in sent else True,
        send_decision_id=sent["decisionID"].boolean() if "decisionID" in sent else False,
    )


def _settings(
    node: Node, fields: dict[str, Node], base: Path, mistakes: Mistakes
) -> UpstreamSettings:
    named = [name for name in _SOURCES if name in fields]
    if len(named) != 1:
        node.mistake("exactly one of inCluster, kubeconfig and server must be set here")
        return _NOWHERE
    settings = _from_source(named[0], fields[named[0]], base, mistakes)
    if "otherURLs" not in fields:
        return settings
    return replace(settings, others=_others(fields["otherURLs"], settings))


def _from_source(name: str, node: Node, base: Path, mistakes: Mistakes) -> UpstreamSettings:
    match name:
        case "inCluster":
            return _in_cluster(node, os.environ)
        case "kubeconfig":
            return _kubeconfig(node, base, mistakes)
        case _:
            return _server(node, base)


def _others(node: Node, first: UpstreamSettings) -> tuple[Endpoint, ...]:
    found: list[Endpoint] = []
    for item in node.sequence():
        endpoint = _address(item)
        if endpoint in (*first.endpoints, *found):
            item.mistake("this endpoint is named already")
        found.append(endpoint)
    return tuple(found)


def _in_cluster(node: Node, environment: Mapping[str, str]) -> UpstreamSettings:
    node.mapping()
    host = environment.get("KUBERNETES_SERVICE_HOST", "")
    port = environment.get("KUBERNETES_SERVICE_PORT", "")
    authority = _SERVICE_ACCOUNT / "ca.crt"
    node.look_at(authority)
    if not host or not port.isdecimal() or file_fault(authority):
        node.mistake("kzproxy does not run in a pod with a service account; use kubeconfig")
        return _NOWHERE
    return UpstreamSettings(
        host=host,
        port=int(port),
        server_name=host,
        authority_pem=authority.read_text(encoding="utf-8"),
        token_file=_SERVICE_ACCOUNT / "token",
    )


def _kubeconfig(node: Node, base: Path, mistakes: Mistakes) -> UpstreamSettings:
    fields = node.mapping(required=("file",), optional=("context",))
    path = named_file(fields["file"], base)
    context = fields["context"].string() if "context" in fields else ""
    if file_fault(path):
        return _NOWHERE
    return upstream_from_kubeconfig(path, context, mistakes) or _NOWHERE


def _server(node: Node, base: Path) -> UpstreamSettings:
    fields = node.mapping(
        required=("url",),
        optional=(
            "certificateAuthorityFile",
            "clientCertificateFile",
            "clientKeyFile",
            "tlsServerName",
            "tokenFile",
        ),
    )
    has_token, has_certificate = "tokenFile" in fields, "clientCertificateFile" in fields
    if has_token == has_certificate or has_certificate != ("clientKeyFile" in fields):
        node.mistake("set either tokenFile, or clientCertificateFile and clientKeyFile")
    pem = [
        file_text(fields[name], base)
        for name in ("clientCertificateFile", "clientKeyFile")
        if name in fields
    ]
    host, port = _address(fields["url"])
    authority = fields.get("certificateAuthorityFile")
    return UpstreamSettings(
        host=host,
        port=port,
        server_name=fields["tlsServerName"].string() if "tlsServerName" in fields else host,
        authority_pem=authority_text(authority, base) if authority is not None else "",
        token_file=living_file(fields["tokenFile"], base) if has_token else None,
        client_pem="\n".join(pem),
    )


def _address(node: Node) -> tuple[str, int]:
    try:
        return https_address(node.string())
    except ValueError as error:
        node.mistake(str(error))
        return "", 0
