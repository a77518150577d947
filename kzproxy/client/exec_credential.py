"""What kubectl and its plugin say to each other (client.authentication.k8s.io/v1).

Source: client-go pkg/apis/clientauthentication/v1/types.go and
plugin/pkg/client/auth/exec/exec.go. Part of a warm run: see ``plugin_settings``.
"""

import json
import time

from kzproxy.client.failure import ClientFailure

API_VERSION = "client.authentication.k8s.io/v1"
KIND = "ExecCredential"
EXEC_INFO_VARIABLE = "KUBERNETES_EXEC_INFO"

# client-go runs the plugin again only once this time has passed, without a margin of its own, so
# a credential is given up a little before its end.
EARLY_SECONDS = 30


class ExecInfo:
    """What kubectl told the plugin.

    Attributes:
        interactive: Whether stdin is a person's.
        server: The URL of the cluster that kubectl talks to, without a trailing ``/``; empty where
            the kubeconfig does not say ``provideClusterInfo: true``.
    """

    __slots__ = ("interactive", "server")

    def __init__(self, *, interactive: bool = False, server: str = "") -> None:
        self.interactive = interactive
        self.server = server


class Credential:
    """What kubectl may use.

    Attributes:
        token: Bearer token.
        certificate: PEM, or empty.
        key: PEM, or empty; both or neither.
        ends_at: Unix seconds of the first of their ends.
    """

    __slots__ = ("certificate", "ends_at", "key", "token")

    def __init__(self, *, token: str, certificate: str, key: str, ends_at: int) -> None:
        self.token = token
        self.certificate = certificate
        self.key = key
        self.ends_at = ends_at


def read_exec_info(text: str) -> ExecInfo:
    """Read the value of ``KUBERNETES_EXEC_INFO``.

    Raises:
        ClientFailure: It is not an ExecCredential of the one version spoken here.
    """
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        raise ClientFailure(f"{EXEC_INFO_VARIABLE} is not JSON") from None
    if not isinstance(document, dict) or document.get("kind") != KIND:
        raise ClientFailure(f"{EXEC_INFO_VARIABLE} is not of kind {KIND}")
    if document.get("apiVersion") != API_VERSION:
        raise ClientFailure(
            f"{EXEC_INFO_VARIABLE} has apiVersion {document.get('apiVersion')!r};"
            f" write {API_VERSION} into the kubeconfig's exec section"
        )
    spec = _mapping(document, "spec")
    server = _mapping(spec, "cluster").get("server", "")
    interactive = spec.get("interactive", False)
    if not isinstance(server, str) or not isinstance(interactive, bool):
        raise ClientFailure(f"{EXEC_INFO_VARIABLE} has a spec of the wrong shape")
    return ExecInfo(interactive=interactive, server=server.rstrip("/"))


def encode_credential(credential: Credential, now_seconds: float) -> str:
    """Return the ExecCredential for kubectl, one line.

    ``expirationTimestamp`` is ``EARLY_SECONDS`` before the end, or half way to it where that is
    sooner, and never in the past: client-go would run the plugin for every request.
    """
    remaining = credential.ends_at - now_seconds
    early = min(EARLY_SECONDS, max(remaining, 0) / 2)
    expiration = max(credential.ends_at - early, now_seconds + 1)
    status = {
        "token": credential.token,
        "expirationTimestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(expiration)),
    }
    if credential.certificate:
        status["clientCertificateData"] = credential.certificate
        status["clientKeyData"] = credential.key
    document = {"apiVersion": API_VERSION, "kind": KIND, "status": status}
    return json.dumps(document, separators=(",", ":")) + "\n"


def _mapping(document: dict[str, object], name: str) -> dict[str, object]:
    value = document.get(name, {})
    if not isinstance(value, dict):
        raise ClientFailure(f"{EXEC_INFO_VARIABLE} has a {name} of the wrong shape")
    return value
