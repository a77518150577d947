"""What holds for every answer of the demo provider."""

import logging
import socket

import pytest

from kzproxy.demo.idp_requests import MAX_BODY_BYTES

PAGES = ["/", "/device", "/accounts", "/authorize", "/end-session", "/nowhere"]


@pytest.mark.parametrize("path", PAGES)
async def test_every_page_says_demo_and_cannot_be_framed_or_stored(talk, idp, path):
    page = await talk.http.get(idp.issuer + path)
    assert "<strong>Demo.</strong>" in page.text
    assert "demo identity provider</title>" in page.text
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert page.headers["cache-control"] == "no-store"
    assert page.headers["x-content-type-options"] == "nosniff"
    assert page.headers["referrer-policy"] == "no-referrer"


@pytest.mark.parametrize(
    ("path", "kind"), [("/style.css", "text/css"), ("/icon.svg", "image/svg+xml")]
)
async def test_what_pages_name_is_served(talk, idp, path, kind):
    answer = await talk.http.get(idp.issuer + path)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith(kind)


async def test_another_host_name_is_refused(talk, idp):
    for host in ("evil.example", "localhost", idp.issuer.removeprefix("https://") + "0"):
        answer = await talk.http.get(f"{idp.issuer}/jwks.json", headers={"Host": host})
        assert answer.status_code == 421


async def test_a_long_body_is_refused(talk):
    answer = await talk.token(grant_type="refresh_token", refresh_token="x" * MAX_BODY_BYTES)
    assert answer.status_code == 413


async def test_a_client_secret_is_refused_rather_than_not_looked_at(talk):
    answer = await talk.token(grant_type="refresh_token", client_secret="x")
    assert answer.json()["error"] == "invalid_client"
    basic = await talk.http.post(
        talk.metadata["token_endpoint"], data={"grant_type": "x"}, auth=("kzproxy", "x")
    )
    assert basic.json()["error"] == "invalid_client"


async def test_no_secret_is_logged(talk, caplog):
    caplog.set_level(logging.DEBUG)
    answer = await talk.callback()
    tokens = (await talk.redeem(answer["code"])).json()
    await talk.refresh(tokens["refresh_token"])
    await talk.userinfo(tokens["access_token"])
    await talk.revoke(tokens["access_token"])
    # httpx is the test's own client, and logs the addresses that it asks for.
    logged = "\n".join(
        record.getMessage() for record in caplog.records if not record.name.startswith("http")
    )
    assert "POST /token 200" in logged
    for secret in (talk.verifier, talk.state, answer["code"], *map(str, tokens.values())):
        assert secret == "Bearer" or len(secret) < 8 or secret not in logged


async def test_a_rotated_key_is_found_by_who_asks_again(talk, idp):
    before = await talk.signed_in()
    idp.keys.rotate()
    after = await talk.signed_in()
    assert (await talk.verified(before["id_token"]))["sid"]
    assert (await talk.verified(after["id_token"]))["sid"]


async def test_it_listens_on_its_loopback_address_only(idp):
    port = int(idp.issuer.rpartition(":")[2])
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.2", port), timeout=5)
