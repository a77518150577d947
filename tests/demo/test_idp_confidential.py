"""Clients with a secret at the demo provider: only with it, and in one way at a time."""

import base64

import pytest

from kzproxy.demo.idp_clients import Client
from kzproxy.demo.idp_grants import STRONG_CLASS
from kzproxy.demo.idp_settings import IdentityProviderSettings, SigningAlgorithm
from tests.conformance.oidc_provider import conversation

SERVER = Client(
    client_id="server",
    name="a server",
    redirect_uris=("https://server.example/callback",),
    secret="a secret: with/odd+characters%",
)
BASIC = (
    "Basic " + base64.b64encode(b"server:a+secret%3A+with%2Fodd%2Bcharacters%25").decode()
)  # RFC 6749 section 2.3.1: each part form-encoded


@pytest.fixture
def idp_settings() -> IdentityProviderSettings:
    return IdentityProviderSettings(
        algorithm=SigningAlgorithm.ES256, confidential_clients=(SERVER,)
    )


async def ask(talk, path, authorization="", **form):
    headers = {"Authorization": authorization} if authorization else {}
    return await talk.http.post(talk.metadata["issuer"] + path, data=form, headers=headers)


async def test_the_secret_is_taken_in_the_header_or_in_the_form(talk):
    form = {"grant_type": "refresh_token", "refresh_token": "unknown"}
    by_header = await ask(talk, "/token", BASIC, **form)
    assert by_header.json()["error"] == "invalid_grant"
    by_form = await ask(talk, "/token", client_id="server", client_secret=SERVER.secret, **form)
    assert by_form.json()["error"] == "invalid_grant"


@pytest.mark.parametrize(
    ("authorization", "form", "error"),
    [
        ("", {"client_id": "server"}, "invalid_client"),
        ("", {"client_id": "server", "client_secret": "wrong"}, "invalid_client"),
        ("", {"client_id": "kzproxy", "client_secret": SERVER.secret}, "invalid_client"),
        ("", {"client_id": "unknown"}, "invalid_client"),
        ("", {}, "invalid_client"),
        ("Basic !", {}, "invalid_client"),
        ("Basic " + base64.b64encode(b"server").decode(), {}, "invalid_client"),
        ("Basic " + base64.b64encode(b"server:\xff").decode(), {}, "invalid_client"),
        ("Bearer x", {"client_id": "server"}, "invalid_client"),
        (BASIC, {"client_secret": SERVER.secret}, "invalid_request"),
        (BASIC, {"client_id": "kzproxy"}, "invalid_request"),
    ],
)
@pytest.mark.parametrize("path", ["/token", "/revoke", "/introspect", "/device-authorization"])
async def test_no_other_way_is_taken(talk, path, authorization, form, error):
    answer = await ask(talk, path, authorization, token="x", grant_type="refresh_token", **form)
    assert answer.json()["error"] == error
    assert answer.status_code == (401 if error == "invalid_client" else 400)


async def test_a_public_client_cannot_introspect(talk):
    answer = await ask(talk, "/introspect", client_id="kzproxy", token="x")
    assert answer.json()["error"] == "invalid_client"


async def test_introspection_knows_its_own_clients_good_tokens_only(talk, under_test):
    tokens = await talk.signed_in()  # of the public client
    for token in (tokens["access_token"], tokens["refresh_token"], "unknown"):
        assert (await ask(talk, "/introspect", BASIC, token=token)).json() == {"active": False}
    assert (await ask(talk, "/introspect", BASIC)).json()["error"] == "invalid_request"


async def test_introspection_says_whose_a_token_is(talk, idp):
    code = await sign_in_for_server(talk)
    tokens = (await ask(talk, "/token", BASIC, **code)).json()
    for name in ("access_token", "refresh_token"):
        told = (await ask(talk, "/introspect", BASIC, token=tokens[name])).json()
        assert told["active"] is True
        assert (told["sub"], told["username"]) == ("kzproxy-demo|operator", "operator")
    form = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
    assert (await ask(talk, "/token", BASIC, **form)).status_code == 200
    spent = await ask(talk, "/introspect", BASIC, token=tokens["refresh_token"])
    assert spent.json() == {"active": False}
    idp.accounts.disable("operator")
    spent = await ask(talk, "/introspect", BASIC, token=tokens["access_token"])
    assert spent.json() == {"active": False}


async def test_a_code_of_a_server_is_worth_nothing_to_the_public_client(talk):
    code = await sign_in_for_server(talk)
    answer = await ask(talk, "/token", client_id="kzproxy", **code)
    assert answer.json()["error"] == "invalid_grant"


async def sign_in_for_server(talk) -> dict[str, str]:
    redirect_uri = SERVER.redirect_uris[0]
    answer = await talk.callback(client_id="server", redirect_uri=redirect_uri)
    return {
        "grant_type": "authorization_code",
        "code": answer["code"],
        "redirect_uri": redirect_uri,
        "code_verifier": talk.verifier,
    }


async def test_a_stronger_sign_in_is_said_to_be_one_where_it_is_asked_for(talk, under_test):
    plain = await talk.verified((await talk.signed_in())["id_token"])
    assert (plain["acr"], plain["amr"]) == ("0", ["user"])
    async with conversation(under_test) as again:
        code = (await again.callback(acr_values=f"other {STRONG_CLASS}"))["code"]
        tokens = (await again.redeem(code)).json()
        strong = await again.verified(tokens["id_token"])
        assert (strong["acr"], strong["amr"]) == (STRONG_CLASS, ["user", "mfa"])
        renewed = (await again.refresh(tokens["refresh_token"])).json()
        assert (await again.verified(renewed["id_token"]))["acr"] == STRONG_CLASS
