"""Requests to kzproxy's own endpoints, at a server that answers what a test scripted."""

import base64
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from kzproxy.client.failure import ClientFailure
from kzproxy.client.kubeconfig_files import KubeconfigFiles
from kzproxy.client.outgoing_proxy import OutgoingProxy
from kzproxy.client.plugin_arguments import parse_arguments
from kzproxy.client.proxy_server import ProxyServer, ask, proxy_server
from tests.client.rude_issuer import RudeIssuer, Scripted, running_rude_issuer
from tests.servers.authority import Authority
from tests.servers.outgoing_proxies import RunningProxy, running_connect_proxy

SESSION = "/kzproxy.dev/v1/session"


def server_at(url: str, authority: Authority | None = None) -> ProxyServer:
    arguments = ["--issuer=https://issuer.test", "--client-id=kzproxy", f"--server={url}"]
    return ProxyServer(
        settings=parse_arguments(arguments),
        authorities=authority.pem.decode() if authority else None,
        server_name="",
    )


@pytest.fixture
def far_away(rude_issuer: RudeIssuer, authority: Authority) -> ProxyServer:
    """A kzproxy that only a proxy leads to."""
    rude_issuer.answers(SESSION, [Scripted.json({"id": "s"})])
    return server_at(rude_issuer.far_away, authority)


@pytest.fixture
def way_out(monkeypatch: pytest.MonkeyPatch) -> Iterator[RunningProxy]:
    for name in ("HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    with running_connect_proxy() as proxy:
        yield proxy


def refused(server: ProxyServer) -> str:
    with pytest.raises(ClientFailure) as failure:
        ask(server, "token", "GET", "session")
    return str(failure.value)


@pytest.mark.parametrize(
    "url", ["https://[::1", "https://a:abc", "http://a", "https://a/path", "https://a..b"]
)
def test_a_context_that_leads_nowhere_is_named(url: str) -> None:
    assert refused(server_at(url)) == f"{url} is not https://HOST:PORT"


@pytest.mark.usefixtures("strict_python")
def test_an_authority_without_key_identifiers_vouches_under_every_python(tmp_path: Path) -> None:
    with running_rude_issuer(tmp_path, authority := Authority.bare()) as issuer:
        issuer.answers(SESSION, [Scripted.json({"id": "s"})])
        assert ask(server_at(issuer.issuer, authority), "token", "GET", "session") == {"id": "s"}


def test_a_proxy_of_the_environment_leads_there(
    monkeypatch: pytest.MonkeyPatch,
    rude_issuer: RudeIssuer,
    far_away: ProxyServer,
    way_out: RunningProxy,
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", f"http://{way_out.address}")
    assert ask(far_away, "token", "GET", "session") == {"id": "s"}
    place = rude_issuer.far_away.removeprefix("https://")
    assert way_out.asked == [place]
    assert "token" not in way_out.heads[0]
    [headers] = rude_issuer.headers
    assert (headers["host"], headers["authorization"]) == (place, "Bearer token")


def test_a_host_without_a_proxy_is_asked_straight(
    monkeypatch: pytest.MonkeyPatch, far_away: ProxyServer, way_out: RunningProxy
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", f"http://{way_out.address}")
    monkeypatch.setenv("NO_PROXY", "far-away.test")
    assert "cannot be asked" in refused(far_away)
    assert way_out.asked == []


def test_the_proxy_of_the_kubeconfig_counts_before_that_of_the_environment(
    monkeypatch: pytest.MonkeyPatch, far_away: ProxyServer, way_out: RunningProxy
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("NO_PROXY", "*")
    named = OutgoingProxy.parse(f"http://{way_out.address}", "proxy-url")
    assert ask(replace(far_away, proxy=named), "token", "GET", "session") == {"id": "s"}


def test_the_certificate_must_be_the_servers_beyond_the_proxy_too(
    monkeypatch: pytest.MonkeyPatch,
    rude_issuer: RudeIssuer,
    authority: Authority,
    way_out: RunningProxy,
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", f"http://{way_out.address}")
    port = rude_issuer.issuer.rpartition(":")[2]
    other = server_at(f"https://other.test:{port}", authority)
    assert "CERTIFICATE_VERIFY_FAILED" in refused(other)
    rude_issuer.answers(SESSION, [Scripted.json({"id": "s"})])
    named = replace(other, server_name="far-away.test")
    assert ask(named, "token", "GET", "session") == {"id": "s"}


def test_an_address_is_written_in_brackets(
    monkeypatch: pytest.MonkeyPatch,
    rude_issuer: RudeIssuer,
    authority: Authority,
    way_out: RunningProxy,
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", f"http://{way_out.address}")
    place = f"[2001:db8::1]:{rude_issuer.issuer.rpartition(':')[2]}"
    rude_issuer.answers(SESSION, [Scripted.json({"id": "s"})])
    server = replace(server_at(f"https://{place}", authority), server_name="far-away.test")
    assert ask(server, "token", "GET", "session") == {"id": "s"}
    assert way_out.asked == [place]
    assert rude_issuer.headers[0]["host"] == place


def test_a_proxy_is_told_the_name_and_password_that_it_asks_for(
    monkeypatch: pytest.MonkeyPatch, far_away: ProxyServer, way_out: RunningProxy
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", f"http://ann%40x:p%C3%BC:w@{way_out.address}")
    ask(far_away, "token", "GET", "session")
    told = base64.b64encode("ann@x:pü:w".encode()).decode()
    assert f"\r\nProxy-Authorization: Basic {told}\r\n" in way_out.heads[0]


@pytest.mark.parametrize(
    ("refusal", "why"),
    [
        (b"HTTP/1.1 407 Who \x1bare you\r\n\r\n", "answers 407 Who ?are you"),
        (b"nothing of the kind\r\n\r\n", "cannot be asked"),
        (b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 200 + b"\r\n", "cannot be asked"),
        (b"HTTP/1.1 200 OK\r\nx: " + b"y" * 100_000, "cannot be asked"),
    ],
)
def test_a_proxy_that_refuses_is_told_from_kzproxy(
    monkeypatch: pytest.MonkeyPatch,
    far_away: ProxyServer,
    way_out: RunningProxy,
    refusal: bytes,
    why: str,
) -> None:
    way_out.refusal = refusal
    monkeypatch.setenv("HTTPS_PROXY", f"http://user:secret@{way_out.address}")
    said = refused(far_away)
    assert said.startswith(f"the proxy that HTTPS_PROXY names {why}")
    assert "secret" not in said


def test_a_proxy_that_is_not_there_is_told_from_kzproxy(
    monkeypatch: pytest.MonkeyPatch, far_away: ProxyServer, way_out: RunningProxy
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    assert refused(far_away).startswith("the proxy that HTTPS_PROXY names cannot be asked: ")


@pytest.mark.parametrize("kind", ["socks5", "https"])
def test_a_proxy_of_another_kind_is_told_to_be_of_no_use_here(
    monkeypatch: pytest.MonkeyPatch, far_away: ProxyServer, way_out: RunningProxy, kind: str
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", f"{kind}://{way_out.address}")
    assert refused(far_away) == (
        f"HTTPS_PROXY names a proxy of the kind {kind}://, which kzproxy's own commands cannot go"
        " through; name one of the kind http://"
    )


def test_a_context_says_which_proxy_leads_to_its_cluster(tmp_path: Path) -> None:
    server = "https://kz.test:8443"
    plugin = ["credential", "--issuer=https://issuer.test", "--client-id=kzproxy"]
    document = {
        "clusters": [
            {"name": "c", "cluster": {"server": server, "proxy-url": "http://proxy.test:3128"}}
        ],
        "users": [{"name": "u", "user": {"exec": {"args": plugin}}}],
        "contexts": [{"name": "kz", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "kz",
    }
    (tmp_path / "config").write_text(yaml.safe_dump(document))
    found = proxy_server(KubeconfigFiles([tmp_path / "config"]), "").proxy
    assert found is not None
    assert found.url.geturl() == "http://proxy.test:3128"
    document["clusters"][0]["cluster"]["proxy-url"] = "gopher://x"  # type: ignore[index]
    (tmp_path / "config").write_text(yaml.safe_dump(document))
    with pytest.raises(ClientFailure, match="proxy-url of the cluster 'c' names no proxy"):
        proxy_server(KubeconfigFiles([tmp_path / "config"]), "kz")
