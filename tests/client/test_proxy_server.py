"""Requests to kzproxy's own endpoints, at a server that answers what a test scripted."""

import pytest

from kzproxy.client.failure import ClientFailure
from kzproxy.client.plugin_arguments import parse_arguments
from kzproxy.client.proxy_server import ProxyServer, ask


def server_at(url: str) -> ProxyServer:
    arguments = ["--issuer=https://issuer.test", "--client-id=kzproxy", f"--server={url}"]
    return ProxyServer(settings=parse_arguments(arguments), authorities=None, server_name="")


@pytest.mark.parametrize(
    "url", ["https://[::1", "https://a:abc", "http://a", "https://a/path", "https://a..b"]
)
def test_a_context_that_leads_nowhere_is_named(url: str) -> None:
    with pytest.raises(ClientFailure) as failure:
        ask(server_at(url), "token", "GET", "session")
    assert str(failure.value) == f"{url} is not https://HOST:PORT"
