"""The token endpoint where it answers oddly; where it answers well, see the sign-in tests."""

from pathlib import Path

import pytest

from kzproxy.client.failure import ClientFailure
from kzproxy.client.issuer_http import IssuerHttp, IssuerUnreachable
from kzproxy.client.plugin_settings import IssuerClient
from kzproxy.client.provider import discover
from kzproxy.client.token_endpoint import Refused, TokenEndpoint
from tests.client.rude_issuer import RudeIssuer, Scripted

GOOD = {"id_token": "e30.e30.c2ln", "token_type": "Bearer"}


def endpoint(
    http: IssuerHttp, rude: RudeIssuer, *, secret_file: str = "", **discovered: object
) -> TokenEndpoint:
    rude.discovers(**discovered)
    client = IssuerClient(issuer=rude.issuer, client_id="kz proxy", client_secret_file=secret_file)
    return TokenEndpoint(http, discover(http, rude.issuer), client)


def secret(tmp_path: Path, text: str = "p:ss wörd\n") -> str:
    path = tmp_path / "secret"
    path.write_text(text)
    return str(path)


def test_a_refresh_without_a_new_refresh_token_keeps_the_old(
    http: IssuerHttp, rude_issuer: RudeIssuer
) -> None:
    rude_issuer.answers("/token", [Scripted.json(GOOD)])
    tokens = endpoint(http, rude_issuer).refresh("old")
    assert tokens.refresh_token == "old"
    assert rude_issuer.forms == [
        {"grant_type": "refresh_token", "refresh_token": "old", "client_id": "kz proxy"}
    ]


@pytest.mark.parametrize("nothing", [None, ""])
def test_a_refresh_token_that_is_null_or_empty_is_as_if_it_were_not_there(
    http: IssuerHttp, rude_issuer: RudeIssuer, nothing: str | None
) -> None:
    """Some issuers write every member, of what they do not give too."""
    rude_issuer.answers("/token", [Scripted.json(GOOD | {"refresh_token": nothing})])
    asked = endpoint(http, rude_issuer)
    assert asked.refresh("old").refresh_token == "old"
    assert asked.redeem_code("code", "http://127.0.0.1:1/callback", "v").refresh_token == ""


def test_a_secret_goes_into_the_header_encoded(
    http: IssuerHttp, rude_issuer: RudeIssuer, tmp_path: Path
) -> None:
    """RFC 6749 section 2.3.1: both parts form-encoded, then in base64."""
    rude_issuer.answers("/token", [Scripted.json(GOOD)])
    endpoint(http, rude_issuer, secret_file=secret(tmp_path)).refresh("old")
    assert rude_issuer.headers[-1]["authorization"] == "Basic a3orcHJveHk6cCUzQXNzK3clQzMlQjZyZA=="
    assert "client_secret" not in rude_issuer.forms[-1]


def test_a_secret_goes_into_the_form_where_the_issuer_wants_it_there(
    http: IssuerHttp, rude_issuer: RudeIssuer, tmp_path: Path
) -> None:
    rude_issuer.answers("/token", [Scripted.json(GOOD)])
    methods = ["client_secret_post"]
    asked = endpoint(
        http,
        rude_issuer,
        secret_file=secret(tmp_path),
        token_endpoint_auth_methods_supported=methods,
    )
    asked.refresh("old")
    assert rude_issuer.forms[-1]["client_secret"] == "p:ss wörd"
    assert "authorization" not in rude_issuer.headers[-1]


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({"token_type": "Bearer"}, "gave no ID token; is `openid` among the scopes"),
        (GOOD | {"id_token": 7}, "gave no ID token"),
        (GOOD | {"token_type": "mac"}, "gave a 'mac' token"),
        (GOOD | {"refresh_token": ["x"]}, "a refresh token that is not text"),
    ],
)
def test_an_answer_of_the_wrong_shape_is_refused(
    http: IssuerHttp, rude_issuer: RudeIssuer, document: dict[str, object], said: str
) -> None:
    rude_issuer.answers("/token", [Scripted.json(document)])
    with pytest.raises(ClientFailure, match=said):
        endpoint(http, rude_issuer).refresh("old")


def test_the_issuers_no_is_told_with_its_code(http: IssuerHttp, rude_issuer: RudeIssuer) -> None:
    rude_issuer.answers("/token", [Scripted.json({"error": "invalid_grant"}, status=400)])
    with pytest.raises(Refused, match="the issuer refused: invalid_grant") as refused:
        endpoint(http, rude_issuer).refresh("old")
    assert refused.value.error == "invalid_grant"


@pytest.mark.parametrize(
    "answer", [Scripted(status=400, body=b"<html>"), Scripted(status=200, body=b"")]
)
def test_an_answer_that_says_nothing_is_an_issuer_that_is_away(
    http: IssuerHttp, rude_issuer: RudeIssuer, answer: Scripted
) -> None:
    rude_issuer.answers("/token", [answer])
    with pytest.raises(IssuerUnreachable, match="without saying why"):
        endpoint(http, rude_issuer).refresh("old")


def test_a_revocation_answers_200_with_nothing(http: IssuerHttp, rude_issuer: RudeIssuer) -> None:
    """RFC 7009 section 2.2: also for a token that is not known."""
    rude_issuer.answers("/revoke", [Scripted(body=b"")])
    asked = endpoint(http, rude_issuer, revocation_endpoint=f"{rude_issuer.issuer}/revoke")
    asked.revoke("old")
    assert rude_issuer.forms[-1]["token"] == "old"


def test_an_empty_secret_is_refused(
    http: IssuerHttp, rude_issuer: RudeIssuer, tmp_path: Path
) -> None:
    with pytest.raises(ClientFailure, match="is empty"):
        endpoint(http, rude_issuer, secret_file=secret(tmp_path, " \n"))
