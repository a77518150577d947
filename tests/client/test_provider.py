"""Discovery: what is believed of an issuer."""

import pytest

from kzproxy.client.failure import ClientFailure
from kzproxy.client.issuer_http import IssuerHttp, IssuerUnreachable
from kzproxy.client.provider import Provider, discover
from tests.client.rude_issuer import RudeIssuer, Scripted
from tests.servers.foreign_idp.process import ForeignIdp


def provider(scopes: tuple[str, ...] | None) -> Provider:
    return Provider(
        issuer="https://i", authorization_endpoint="x", token_endpoint="x", scopes=scopes
    )


def test_a_real_provider_is_understood(http: IssuerHttp, foreign_idp: ForeignIdp) -> None:
    found = discover(http, foreign_idp.issuer)
    assert found.issuer == foreign_idp.issuer
    assert found.authorization_endpoint == f"{foreign_idp.issuer}/auth"
    assert found.device_authorization_endpoint == f"{foreign_idp.issuer}/device/auth"
    assert found.revocation_endpoint == f"{foreign_idp.issuer}/token/revocation"
    assert found.names_itself
    assert not found.secret_in_form


def test_what_is_optional_may_be_missing(http: IssuerHttp, rude_issuer: RudeIssuer) -> None:
    rude_issuer.discovers(device_authorization_endpoint=None)
    found = discover(http, rude_issuer.issuer)
    assert found.device_authorization_endpoint == ""
    assert found.revocation_endpoint == ""
    assert not found.names_itself
    assert found.scopes is None


def test_a_secret_goes_into_the_form_only_where_the_header_is_not_taken(
    http: IssuerHttp, rude_issuer: RudeIssuer
) -> None:
    for methods, in_form in [
        (None, False),
        (["client_secret_post"], True),
        (["client_secret_basic", "client_secret_post"], False),
    ]:
        rude_issuer.discovers(token_endpoint_auth_methods_supported=methods)
        assert discover(http, rude_issuer.issuer).secret_in_form == in_form


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"issuer": "https://another.test"}, "is the document of issuer"),
        ({"issuer": None}, "is the document of issuer None"),
        ({"token_endpoint": None}, "token_endpoint is not an https URL"),
        ({"token_endpoint": "http://localhost/token"}, "token_endpoint is not an https URL"),
        ({"authorization_endpoint": "javascript:x"}, "authorization_endpoint is not an https URL"),
        ({"authorization_endpoint": "https://x/\x1b[2J"}, "authorization_endpoint is not an https"),
        ({"revocation_endpoint": "http://x"}, "revocation_endpoint is not an https URL"),
        ({"device_authorization_endpoint": 7}, "device_authorization_endpoint is not an https URL"),
        ({"code_challenge_methods_supported": ["plain"]}, "does not support PKCE with S256"),
        ({"code_challenge_methods_supported": []}, "does not support PKCE with S256"),
    ],
)
def test_a_document_that_is_not_safe_to_use_is_refused(
    http: IssuerHttp, rude_issuer: RudeIssuer, changes: dict[str, object], said: str
) -> None:
    rude_issuer.discovers(**changes)
    with pytest.raises(ClientFailure, match=said):
        discover(http, rude_issuer.issuer)


def test_an_issuer_with_another_slash_is_another_issuer(
    http: IssuerHttp, rude_issuer: RudeIssuer
) -> None:
    rude_issuer.discovers()
    with pytest.raises(ClientFailure, match="must be exactly what the issuer calls itself"):
        discover(http, rude_issuer.issuer + "/")


def test_no_document_is_an_issuer_that_is_away(http: IssuerHttp, rude_issuer: RudeIssuer) -> None:
    path = "/.well-known/openid-configuration"
    for answer in (Scripted(status=404), Scripted(body=b"<html>")):
        rude_issuer.answers(path, [answer])
        with pytest.raises(IssuerUnreachable, match="without a discovery document"):
            discover(http, rude_issuer.issuer)


@pytest.mark.parametrize(
    ("supported", "wanted", "asked"),
    [
        (None, (), ("openid", "offline_access")),
        (("openid", "groups", "x"), (), ("openid", "groups")),
        (("openid",), ("email", "openid"), ("openid", "email")),
    ],
)
def test_scopes_are_asked_for_as_wanted_or_as_supported(
    supported: tuple[str, ...] | None, wanted: tuple[str, ...], asked: tuple[str, ...]
) -> None:
    assert provider(supported).scopes_for(wanted) == asked
