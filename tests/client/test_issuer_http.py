"""HTTP to an issuer that means no good (protocol catalogue E6.4, from the client's side)."""

import gc
from collections.abc import Iterator
from pathlib import Path

import pytest

from kzproxy.client.failure import ClientFailure
from kzproxy.client.issuer_http import (
    MAX_ANSWER_BYTES,
    AnswerLost,
    IssuerHttp,
    IssuerUnreachable,
)
from tests.client.rude_issuer import RudeIssuer, Scripted, running_rude_issuer
from tests.client.stepping_clock import SteppingClock
from tests.servers.authority import Authority
from tests.servers.outgoing_proxies import running_connect_proxy, running_socks_proxy


def refused(http: IssuerHttp, url: str) -> str:
    with pytest.raises(IssuerUnreachable) as failure:
        http.get(url)
    return str(failure.value)


def test_an_answer_is_a_status_and_an_object(http: IssuerHttp, rude_issuer: RudeIssuer) -> None:
    rude_issuer.answers("/x", [Scripted.json({"a": 1}, status=400)])
    answer = http.get(f"{rude_issuer.issuer}/x")
    assert (answer.status, answer.document) == (400, {"a": 1})


@pytest.mark.usefixtures("strict_python")
def test_an_authority_without_key_identifiers_vouches_under_every_python(
    tmp_path: Path, stepping_clock: SteppingClock
) -> None:
    """As for kubectl: those of companies and of what looks into their TLS often have none."""
    authority = Authority.bare()
    file = tmp_path / "bare.crt"
    file.write_bytes(authority.pem)
    http = IssuerHttp(str(file), stepping_clock)
    with running_rude_issuer(tmp_path, authority) as issuer:
        issuer.answers("/x", [Scripted.json({})])
        assert http.get(f"{issuer.issuer}/x").status == 200
    http.close()


@pytest.mark.parametrize("body", [b"", b"[]", b"<html>", b"[" * 100_000, b"\xff"])
def test_what_is_no_object_is_an_empty_one(
    http: IssuerHttp, rude_issuer: RudeIssuer, body: bytes
) -> None:
    rude_issuer.answers("/x", [Scripted(body=body)])
    assert http.get(f"{rude_issuer.issuer}/x").document == {}


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(http: IssuerHttp, rude_issuer: RudeIssuer, status: int) -> None:
    elsewhere = {"Location": f"{rude_issuer.issuer}/elsewhere"}
    rude_issuer.answers("/x", [Scripted(status=status, headers=elsewhere)])
    rude_issuer.answers("/elsewhere", [Scripted.json({"issuer": "evil"})])
    assert f"answers {status}" in refused(http, f"{rude_issuer.issuer}/x")
    assert len(rude_issuer.headers) == 1


@pytest.mark.parametrize("status", [429, 500, 503])
def test_an_issuer_in_trouble_may_be_asked_later(
    http: IssuerHttp, rude_issuer: RudeIssuer, status: int
) -> None:
    rude_issuer.answers("/x", [Scripted(status=status)])
    assert refused(http, f"{rude_issuer.issuer}/x").endswith(f"/x answers {status}")


def test_an_endless_answer_is_cut_at_its_bound(http: IssuerHttp, rude_issuer: RudeIssuer) -> None:
    sent = 0

    def endless() -> Iterator[bytes]:
        nonlocal sent
        while True:
            sent += 65536
            yield b"x" * 65536

    rude_issuer.answers("/x", [Scripted(body=endless)])
    assert f"more than {MAX_ANSWER_BYTES} bytes" in refused(http, f"{rude_issuer.issuer}/x")
    assert sent < 50 * MAX_ANSWER_BYTES


def test_an_answer_in_drops_is_cut_at_its_time(
    http: IssuerHttp, rude_issuer: RudeIssuer, stepping_clock: SteppingClock
) -> None:
    def drops() -> Iterator[bytes]:
        for _ in range(1000):
            stepping_clock.sleep(1)
            yield b"x"

    rude_issuer.answers("/x", [Scripted(body=drops)])
    assert "answers too slowly" in refused(http, f"{rude_issuer.issuer}/x")


def test_a_compressed_answer_is_not_unpacked(http: IssuerHttp, rude_issuer: RudeIssuer) -> None:
    rude_issuer.answers("/x", [Scripted(headers={"Content-Encoding": "gzip"}, body=b"\x1f\x8b")])
    assert "answers compressed, unasked" in refused(http, f"{rude_issuer.issuer}/x")
    assert rude_issuer.headers[0]["accept-encoding"] == "identity"


def test_plain_http_is_refused_before_anything_is_sent(http: IssuerHttp) -> None:
    assert refused(http, "http://localhost:1/x") == "http://localhost:1/x is not https"


def test_the_failure_names_the_place_without_its_query(http: IssuerHttp) -> None:
    said = refused(http, "https://localhost:1/x?code=secret")
    assert said.startswith("https://localhost:1/x cannot be reached")
    assert "secret" not in said


@pytest.mark.parametrize("url", ["https://a:b/x", "https://[::1/x", "https://a..b/x"])
def test_a_url_of_the_issuers_that_leads_nowhere_is_named(http: IssuerHttp, url: str) -> None:
    """As its discovery document may have one."""
    assert refused(http, f"{url}?code=secret") == f"{url} is no URL that can be asked"


def got(ca_file: Path, url: str) -> dict[str, object]:
    """Return what a client of this moment's environment is answered."""
    http = IssuerHttp(str(ca_file), SteppingClock())
    try:
        return http.get(url).document
    finally:
        http.close()


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "ALL_PROXY"])
def test_a_proxy_of_the_environment_leads_to_the_issuer(
    monkeypatch: pytest.MonkeyPatch, ca_file: Path, rude_issuer: RudeIssuer, name: str
) -> None:
    rude_issuer.answers("/x", [Scripted.json({"a": 1})])
    with running_connect_proxy() as proxy:
        monkeypatch.setenv(name, f"http://{proxy.address}")
        assert got(ca_file, f"{rude_issuer.far_away}/x") == {"a": 1}
    assert proxy.asked == [rude_issuer.far_away.removeprefix("https://")]


def test_a_socks_proxy_leads_to_the_issuer(
    monkeypatch: pytest.MonkeyPatch, ca_file: Path, rude_issuer: RudeIssuer
) -> None:
    rude_issuer.answers("/x", [Scripted.json({"a": 1})])
    with running_socks_proxy() as proxy:
        monkeypatch.setenv("ALL_PROXY", f"socks5h://{proxy.address}")
        assert got(ca_file, f"{rude_issuer.far_away}/x") == {"a": 1}
    assert proxy.asked == [rude_issuer.far_away.removeprefix("https://")]


@pytest.mark.parametrize("exceptions", ["fd00::/8", "::1/128", "[", "a/b,::", "far-away.test"])
def test_exceptions_from_the_proxy_of_any_kind_are_no_mistake(
    monkeypatch: pytest.MonkeyPatch, ca_file: Path, rude_issuer: RudeIssuer, exceptions: str
) -> None:
    monkeypatch.setenv("NO_PROXY", exceptions)
    rude_issuer.answers("/x", [Scripted.json({"a": 1})])
    assert got(ca_file, f"{rude_issuer.issuer}/x") == {"a": 1}


@pytest.mark.parametrize("value", ["socks4://proxy.test", "http://u:secret@[::1", "http://a..b"])
def test_a_proxy_that_cannot_be_used_is_told_by_its_variable(
    monkeypatch: pytest.MonkeyPatch, ca_file: Path, value: str
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", value)
    with pytest.raises(IssuerUnreachable) as failure:
        got(ca_file, "https://far-away.test/x")
    said = str(failure.value)
    assert "HTTPS_PROXY names" in said
    assert "secret" not in said


# httpcore leaves the connection of a greeting that fails in SOCKS to the garbage collector.
@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
@pytest.mark.parametrize(
    ("kind", "refusal", "why"),
    [
        ("http", b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", "407 Proxy Auth"),
        ("socks5", b"\x05\xff", "NO ACCEPTABLE METHODS"),
        ("socks5", b"HTTP/1.1 400 Bad Request\r\n\r\n", "speak"),
    ],
)
def test_a_proxy_that_refuses_is_told_from_the_issuer(
    monkeypatch: pytest.MonkeyPatch, ca_file: Path, kind: str, refusal: bytes, why: str
) -> None:
    running = running_connect_proxy if kind == "http" else running_socks_proxy
    with running() as proxy:
        proxy.refusal = refusal
        monkeypatch.setenv("ALL_PROXY", f"{kind}://{proxy.address}")
        with pytest.raises(IssuerUnreachable) as failure:
            got(ca_file, "https://far-away.test/x")
    said, kind_of_failure = str(failure.value), failure.type
    del failure
    gc.collect()
    assert said.startswith("https://far-away.test/x cannot be reached, by way of ALL_PROXY: ")
    assert why in said
    assert kind_of_failure is not AnswerLost, "the issuer cannot have done anything"


@pytest.mark.parametrize("content", [None, b"no certificate"])
def test_authorities_that_cannot_be_read_are_named(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "ca.crt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ClientFailure, match=f"--issuer-ca {path} cannot be used"):
        IssuerHttp(str(path), SteppingClock())


def test_without_authorities_of_its_own_the_systems_count(rude_issuer: RudeIssuer) -> None:
    http = IssuerHttp("", SteppingClock())
    try:
        assert "name that with --issuer-ca" in refused(http, f"{rude_issuer.issuer}/x")
    finally:
        http.close()
