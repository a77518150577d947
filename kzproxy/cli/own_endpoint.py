"""Asking the kzproxy that a kubeconfig context leads to, as whoever is signed in there."""

import os
from pathlib import Path

from kzproxy.cli.chosen_sign_in import at_terminal
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
) -> Document:
    """Return the answer of an endpoint below ``/kzproxy.dev/v1/``.

    Raises:
        ClientFailure: It refused, with its reason, or could not be asked.
    """
    requests = _requests(context, kubeconfig)
    return requests.ask(method, path, body, timeout_seconds=timeout_seconds)


def completing_answer(
    path: str, context: str, kubeconfig: Path | None, *, timeout_seconds: float
) -> Document:
    """Return the same while a shell completes a word: nothing is shown or asked then.

    Raises:
        ClientFailure: Nobody is signed in at this moment, or there is no answer.
    """
    requests = _requests(context, kubeconfig)
    return requests.ask_as_held(path, timeout_seconds=timeout_seconds)


def _requests(context: str, kubeconfig: Path | None) -> OwnRequests:
    paths = (kubeconfig,) if kubeconfig else kubeconfig_paths(os.environ)
    server = proxy_server(KubeconfigFiles(paths), context)
    cache = TokenCache(cache_directory(os.environ))
    return OwnRequests(server, cache, os.environ, interactive=at_terminal())
