"""``signIn.providers``: what is taken, and every mistake at its place."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from kzproxy.authentication.provider_settings import ProviderSettings, Reverify
from kzproxy.authentication.settings import JwtIssuerSettings, PrefixedClaim
from kzproxy.config.document import Mistakes, read_document
from kzproxy.config.sign_in_providers import load_providers
from tests.servers.authority import Authority

ISSUER = JwtIssuerSettings(
    url="https://idp.example.com",
    audiences=("kubernetes",),
    username=PrefixedClaim(claim="sub", prefix=""),
)
LEAST = "- {issuer: https://idp.example.com, clientID: kzproxy, clientSecretFile: idp.secret"


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "idp.secret").write_text("the secret\n")
    (tmp_path / "ca.crt").write_bytes(Authority.root().pem)
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "binary").write_text("a\x00b")
    return tmp_path


def load(
    directory: Path, text: str, issuers: tuple[JwtIssuerSettings, ...] = (ISSUER,)
) -> tuple[tuple[ProviderSettings, ...], list[str]]:
    file = directory / "providers.yaml"
    file.write_text(text)
    mistakes = Mistakes()
    found = load_providers(read_document(file, mistakes), issuers, directory)
    return found, [str(mistake) for mistake in mistakes.found]


def test_the_least(directory):
    found, mistakes = load(directory, LEAST + "}")
    assert mistakes == []
    assert found == (
        ProviderSettings(issuer=ISSUER, client_id="kzproxy", client_secret="the secret"),
    )
    assert found[0].reverify is Reverify.REFRESH
    assert found[0].own_issuer.audiences == ("kzproxy",)
    assert "the secret" not in repr(found)


def test_everything(directory):
    found, mistakes = load(
        directory,
        LEAST
        + ", scopes: [openid, groups, openid], certificateAuthorityFile: ca.crt,"
        + " reverify: introspection, parameters: {b: x y, a: '1'}}",
    )
    assert mistakes == []
    assert found[0].scopes == ("openid", "groups")
    assert found[0].certificate_authority_pem == (directory / "ca.crt").read_text()
    assert found[0].reverify is Reverify.INTROSPECTION
    assert found[0].parameters == (("a", "1"), ("b", "x y"))


@pytest.mark.parametrize("prompt", ["", "consent", "login", "select_account"])
def test_a_provider_may_be_asked_for_something_else_than_consent(directory, prompt):
    found, mistakes = load(directory, LEAST + f", parameters: {{prompt: '{prompt}'}}}}")
    assert mistakes == []
    assert found[0].parameters == (("prompt", prompt),)


def test_the_names_between_certificates_may_be_in_any_language(directory):
    pem = Authority.root().pem.decode()
    (directory / "ca.crt").write_text(f"# F\u0151tan\u00fas\u00edtv\u00e1ny\n{pem}", "utf-8")
    found, mistakes = load(directory, LEAST + ", certificateAuthorityFile: ca.crt}")
    assert mistakes == []
    assert found[0].certificate_authority_pem.endswith(pem)


OTHER = replace(ISSUER, url="https://other.example.com")
ANOTHER = LEAST.replace("idp.example", "other.example")


@pytest.mark.parametrize(
    ("callbacks", "shares"),
    [
        (("", ""), True),
        (("", ", callback: other"), False),
        ((", callback: idp", ", callback: other"), False),
        ((", callback: same", ", callback: same"), True),
    ],
)
def test_it_is_known_whose_answers_come_to_the_same_address(directory, callbacks, shares):
    text = f"{LEAST}{callbacks[0]}}}\n{ANOTHER}{callbacks[1]}}}"
    found, mistakes = load(directory, text, issuers=(ISSUER, OTHER))
    assert mistakes == []
    assert [each.shares_callback for each in found] == [shares, shares]


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("[]", "at least one provider"),
        ("{}", "a list"),
        ("- {}", "issuer, clientID, clientSecretFile must be set"),
        (LEAST + ", colour: blue}", "colour"),
        (LEAST + ", scopes: [groups]}", "must have openid"),
        (LEAST + ", scopes: [openid, a b]}", "one word"),
        (LEAST + ", parameters: {state: x}}", "state is set by kzproxy"),
        (LEAST + ", parameters: {a: [x]}}", "must be a string"),
        (LEAST + ", parameters: {a: ''}}", "must not be empty"),
        (LEAST + ", parameters: {prompt: none}}", '"none" is not one of'),
        (LEAST + ", scopes: []}", "must not be empty"),
        (LEAST + ", callback: ''}", "must not be empty"),
        (LEAST + ", callback: a/b}", "small letters, digits and hyphens"),
        (LEAST + ", callback: Idp}", "small letters, digits and hyphens"),
        (LEAST + ", reverify: never}", "refresh, userinfo, introspection"),
        (LEAST + ", certificateAuthorityFile: none.crt}", "is not a file"),
        (LEAST + ", certificateAuthorityFile: idp.secret}", "is not a bundle of CA certificates"),
        (LEAST.replace("idp.secret", "none") + "}", "is not a file"),
        (LEAST.replace("idp.secret", "empty") + "}", "is empty"),
        (LEAST.replace("idp.secret", "binary") + "}", "one client secret"),
        (LEAST.replace("idp.example", "other.example") + "}", "no issuer of the authentication"),
        (LEAST + "}\n" + LEAST + "}", "there twice"),
    ],
)
def test_mistakes_are_told_at_their_place(directory, text, part):
    _, mistakes = load(directory, text)
    assert any(part in mistake for mistake in mistakes), mistakes
    assert all(mistake.startswith(f"{directory}/providers.yaml:") for mistake in mistakes)


def test_issuers_that_could_not_be_read_are_told_once(directory):
    found, mistakes = load(directory, LEAST + "}", issuers=())
    assert (found, mistakes) == ((), [])
