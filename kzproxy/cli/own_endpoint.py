"""Asking the kzproxy that a kubeconfig context leads to, as whoever is signed in there."""

import os
from pathlib import Path

from kzproxy.client.kubeconfig_files import KubeconfigFiles, kubeconfig_paths
from kzproxy.client.own_request import TIMEOUT_SECONDS, OwnRequests
from kzproxy.client.proxy_server import Document, proxy_server
from kzproxy.client.token_cache import TokenCache, cache_directory


def ask_own_endpoint(
    method: str,
    path: str,
    context: str,
    kubeconfig: Path | None,
    body: Document | None = None,
    *,
    timeout_seconds: float = TIMEOUT_SECONDS,
    interactive: bool = True,
) -> Document:
    """Return the answer of an endpoint below ``/kzproxy.dev/v1/``.

    Raises:
        ClientFailure: It refused, with its reason, or could not be asked.
    """
    paths = (kubeconfig,) if kubeconfig else kubeconfig_paths(os.environ)
    server = proxy_server(KubeconfigFiles(paths), context)
    cache = TokenCache(cache_directory(os.environ))
    requests = OwnRequests(server, cache, os.environ, interactive=interactive)
    return requests.ask(method, path, body, timeout_seconds=timeout_seconds)
