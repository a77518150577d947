"""kzproxy as a confidential client, at two real providers: the demo's and npm's oidc-provider."""

import re
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import pytest

from kzproxy.authentication.provider_authorization import (
    AuthorizationWish,
    authorization_url,
    code_of_answer,
)
from kzproxy.authentication.provider_errors import ProviderRefusal, ProviderSilence
from kzproxy.authentication.provider_metadata import ProviderMetadata
from kzproxy.authentication.provider_settings import ProviderSettings, Reverify
from kzproxy.authentication.settings import JwtIssuerSettings, PrefixedClaim
from kzproxy.clock.system import SystemClock
from kzproxy.errors.kinds import Unauthenticated
from tests.authentication.provider_scene import (
    Kept,
    RunningProvider,
    Talk,
    running_demo_provider,
    running_foreign_provider,
    talking,
)


@pytest.fixture(scope="module")
def foreign_directory(tmp_path_factory):
    return tmp_path_factory.mktemp("foreign")


@pytest.fixture(scope="module")
def foreign_once(foreign_directory) -> Iterator[list[RunningProvider]]:
    """npm's, started at the first test that wants it."""
    started: list[RunningProvider] = []
    with running_foreign_provider(foreign_directory) as provider:
        started.append(provider)
        yield started


@pytest.fixture(params=["demo", "foreign"])
async def provider(request, tmp_path) -> AsyncIterator[RunningProvider]:
    if request.param == "demo":
        async with running_demo_provider(tmp_path) as demo:
            yield demo
    else:
        foreign = request.getfixturevalue("foreign_once")[0]
        yield foreign
        foreign.move(foreign.groups)


@pytest.fixture
async def talk(provider) -> AsyncIterator[Talk]:
    async with talking(provider) as talk:
        yield talk


async def test_a_sign_in_gives_an_identity_by_the_issuers_mapping(talk):
    signed_in = await talk.signed_in()
    identity = signed_in.identity
    assert identity.username == f"idp:{talk.provider.person}"
    assert identity.groups == tuple(f"idp:{group}" for group in talk.provider.groups)
    assert identity.issuer == talk.provider.issuer
    assert identity.vouched_by == talk.provider.issuer_settings.revision
    assert identity.authenticated_at is not None
    assert bool(signed_in.idp_session) is talk.provider.names_sessions
    assert signed_in.refresh_token
    assert signed_in.email.startswith(talk.provider.person)
    for secret in (signed_in.refresh_token, signed_in.id_token, talk.flow.verifier):
        assert secret not in repr((signed_in, talk.flow, talk.wish()))
    assert talk.provider.client_secret not in repr(talk.client.settings)


async def test_the_authorization_request_says_what_it_must(talk):
    url = await talk.client.authorization_url(
        talk.wish(acr_values=("a", "b"), max_age=timedelta(minutes=5), prompt="login")
    )
    query = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
    assert query.pop("scope").split() == ["openid", "profile", "email", "groups", "offline_access"]
    assert query == {
        "response_type": "code",
        "client_id": talk.provider.client_id,
        "redirect_uri": talk.wish().redirect_uri,
        "state": talk.flow.state,
        "nonce": talk.flow.nonce,
        "code_challenge": talk.flow.challenge,
        "code_challenge_method": "S256",
        "acr_values": "a b",
        "max_age": "300",
        "prompt": "login consent",
    }


async def test_what_the_operator_adds_to_the_request_replaces_nothing(provider):
    added = (("access_type", "offline"), ("state", "x"))
    async with talking(provider, provider.settings(parameters=added)) as talk:
        query = parse_qs(urlsplit(await talk.client.authorization_url(talk.wish())).query)
        assert query["access_type"] == ["offline"]
        assert (query["state"], query["prompt"]) == ([talk.flow.state], ["consent"])


async def test_a_client_that_has_the_person_sign_in_anew_has_a_refresh_token_too(talk):
    """OpenID Connect Core section 11: no consent, no offline access."""
    signed_in = await talk.redeemed(await talk.code(prompt="login"))
    assert await talk.client.confirm(signed_in.refresh_token, signed_in.identity.subject, Kept())


def test_where_answers_of_others_come_too_one_must_say_whose_it_is():
    issuer = JwtIssuerSettings(
        url="https://idp", audiences=("k",), username=PrefixedClaim(claim="sub", prefix="")
    )
    settings = ProviderSettings(
        issuer=issuer, client_id="kz", client_secret="s", shares_callback=True
    )
    metadata = ProviderMetadata(
        authorization_endpoint="https://idp/a", token_endpoint="https://idp/t"
    )
    answer = {"state": "s", "code": "c"}
    with pytest.raises(Unauthenticated, match="not from https://idp"):
        code_of_answer(answer, metadata, settings, "s")
    assert code_of_answer(answer | {"iss": "https://idp"}, metadata, settings, "s") == "c"


OFFLINE = ("openid", "offline_access")


@pytest.mark.parametrize(
    ("scopes", "always", "asked", "sent"),
    [
        (OFFLINE, None, "", ["consent"]),
        (OFFLINE, None, "login", ["login consent"]),
        (OFFLINE, None, "consent", ["consent"]),
        (("openid",), None, "", None),
        (("openid",), None, "login", ["login"]),
        # Of a provider that takes one value only, and of one that wants it for another scope.
        (OFFLINE, "", "", None),
        (OFFLINE, "", "login", ["login"]),
        (OFFLINE, "select_account", "", ["select_account"]),
        (("openid",), "consent", "login", ["login consent"]),
    ],
)
def test_the_operator_says_what_is_asked_for_besides_what_the_client_wants(
    scopes, always, asked, sent
):
    issuer = JwtIssuerSettings(
        url="https://idp", audiences=("k",), username=PrefixedClaim(claim="sub", prefix="")
    )
    parameters = () if always is None else (("prompt", always),)
    settings = ProviderSettings(
        issuer=issuer, client_id="kz", client_secret="s", parameters=parameters
    )
    metadata = ProviderMetadata(
        authorization_endpoint="https://idp/a", token_endpoint="https://idp/t", scopes=scopes
    )
    wish = AuthorizationWish(
        redirect_uri="https://kz/cb", state="s", nonce="n", challenge="c", prompt=asked
    )
    url = authorization_url(metadata, settings, wish)
    assert parse_qs(urlsplit(url).query).get("prompt") == sent


async def test_an_answer_with_another_state_is_refused(talk):
    answer = await talk.answer()
    for state in ("", "x", talk.flow.state + "x"):
        with pytest.raises(Unauthenticated, match="does not belong to this sign-in"):
            await talk.client.code_of_answer(answer | {"state": state}, talk.flow.state)
    with pytest.raises(Unauthenticated):
        await talk.client.code_of_answer(answer | {"state": ""}, "")


async def test_an_answer_of_another_issuer_is_refused_before_its_error_is_believed(talk):
    answer = await talk.answer()
    assert answer["iss"] == talk.provider.issuer
    for changes in ({"iss": "https://evil.example"}, {"iss": talk.provider.issuer + "/"}):
        for error in ({}, {"error": "access_denied"}):
            with pytest.raises(Unauthenticated, match="is not from"):
                await talk.client.code_of_answer(answer | changes | error, talk.flow.state)
    without = {name: value for name, value in answer.items() if name != "iss"}
    with pytest.raises(Unauthenticated, match="is not from"):
        await talk.client.code_of_answer(without, talk.flow.state)


async def test_a_person_who_turns_it_down_is_a_refusal(talk):
    answer = {
        "state": talk.flow.state,
        "iss": talk.provider.issuer,
        "error": "access_denied",
        "error_description": "turned\x1b[2J down",
    }
    with pytest.raises(ProviderRefusal) as refused:
        await talk.client.code_of_answer(answer, talk.flow.state)
    assert refused.value.error == "access_denied"
    assert str(refused.value) == "turned [2J down"


async def test_a_code_of_another_sign_in_is_refused_by_its_nonce(talk):
    code = await talk.code()
    with pytest.raises(Unauthenticated, match="`nonce` is that of another sign-in"):
        await talk.redeemed(code, nonce="another")


async def test_a_code_without_its_verifier_is_refused(talk):
    code = await talk.code()
    with pytest.raises(ProviderRefusal, match=r".") as refused:
        await talk.redeemed(code, verifier="v" * 64)
    assert refused.value.error == "invalid_grant"


async def test_a_sign_in_that_is_too_old_is_refused(talk):
    code = await talk.code()
    # As a provider that does not heed max_age: asked for none, and judged by one.
    with pytest.raises(Unauthenticated, match="did not ask you to sign in again"):
        await talk.redeemed(code, max_age=timedelta(minutes=-2))


async def test_each_refresh_gives_a_new_token_and_the_present_groups(talk):
    signed_in = await talk.signed_in()
    kept = Kept()
    subject = signed_in.identity.subject
    token = signed_in.refresh_token
    for groups in (talk.provider.groups, ("guests",), ()):
        talk.provider.move(groups)
        identity = await talk.client.confirm(token, subject, kept)
        assert identity is not None
        assert identity.groups == tuple(f"idp:{group}" for group in groups)
        assert identity.vouched_by == signed_in.identity.vouched_by
        token = kept.tokens[-1]
    assert len({signed_in.refresh_token, *kept.tokens}) == 4


async def test_an_old_refresh_token_ends_the_sign_in(talk):
    signed_in = await talk.signed_in()
    kept, subject = Kept(), signed_in.identity.subject
    await talk.client.confirm(signed_in.refresh_token, subject, kept)
    for token in (signed_in.refresh_token, kept.tokens[0]):
        with pytest.raises(ProviderRefusal) as refused:
            await talk.client.confirm(token, subject, kept)
        assert refused.value.error == "invalid_grant"
    assert len(kept.tokens) == 1


async def test_a_refresh_token_is_kept_before_its_answer_is_judged(talk):
    signed_in = await talk.signed_in()
    kept = Kept()
    with pytest.raises(Unauthenticated, match="another person"):
        await talk.client.confirm(signed_in.refresh_token, "somebody-else", kept)
    assert len(kept.tokens) == 1
    assert await talk.client.confirm(kept.tokens[0], signed_in.identity.subject, kept)


@pytest.mark.parametrize("way", [Reverify.REFRESH, Reverify.USERINFO])
async def test_a_disabled_account_is_a_refusal(provider, way):
    async with talking(provider, provider.settings(way)) as talk:
        signed_in = await talk.signed_in()
        provider.disable()
        with pytest.raises(ProviderRefusal) as refused:
            await talk.client.confirm(signed_in.refresh_token, signed_in.identity.subject, Kept())
        assert refused.value.error == "invalid_grant"


async def test_a_revoked_sign_in_is_a_refusal_and_can_be_revoked_again(talk):
    signed_in = await talk.signed_in()
    await talk.client.revoke(signed_in.refresh_token)
    with pytest.raises(ProviderRefusal):
        await talk.client.confirm(signed_in.refresh_token, signed_in.identity.subject, Kept())
    await talk.client.revoke(signed_in.refresh_token)
    await talk.client.revoke("never given out")


async def test_userinfo_says_who_the_person_is_by_now(provider):
    async with talking(provider, provider.settings(Reverify.USERINFO)) as talk:
        signed_in = await talk.signed_in()
        assert signed_in.identity.groups == tuple(f"idp:{group}" for group in provider.groups)
        provider.move(("guests",))
        kept = Kept()
        identity = await talk.client.confirm(
            signed_in.refresh_token, signed_in.identity.subject, kept
        )
        assert identity is not None
        assert identity.username == signed_in.identity.username
        assert identity.groups == ("idp:guests",)
        assert len(kept.tokens) == 1
        with pytest.raises(Unauthenticated, match="another person"):
            await talk.client.confirm(kept.tokens[0], "somebody-else", kept)


async def test_introspection_says_that_a_sign_in_holds_and_changes_no_token(provider):
    async with talking(provider, provider.settings(Reverify.INTROSPECTION)) as talk:
        signed_in = await talk.signed_in()
        kept, subject = Kept(), signed_in.identity.subject
        for _ in range(2):
            assert await talk.client.confirm(signed_in.refresh_token, subject, kept) is None
        assert kept.tokens == []
        await talk.client.revoke(signed_in.refresh_token)
        with pytest.raises(ProviderRefusal) as refused:
            await talk.client.confirm(signed_in.refresh_token, subject, kept)
        assert refused.value.error == "inactive"


async def test_a_wrong_secret_says_nothing_about_the_person(provider):
    async with talking(provider) as talk:
        signed_in = await talk.signed_in()
    for way in Reverify:
        async with talking(provider, provider.settings(way, client_secret="wrong")) as other:
            with pytest.raises(ProviderSilence, match="invalid_client"):
                await other.client.confirm(
                    signed_in.refresh_token, signed_in.identity.subject, Kept()
                )
            with pytest.raises(ProviderSilence, match="invalid_client"):
                await other.client.revoke(signed_in.refresh_token)


async def test_a_provider_that_is_down_says_nothing_about_the_person(provider):
    async with talking(provider) as talk:
        signed_in = await talk.signed_in()
    nowhere = re.sub(r":\d+$", ":1", provider.issuer)
    settings = provider.settings(
        issuer=provider.issuer_settings.__class__(
            **{
                name: getattr(provider.issuer_settings, name)
                for name in provider.issuer_settings.__slots__
                if name != "url"
            },
            url=nowhere,
        )
    )
    async with talking(provider, settings) as down:
        with pytest.raises(ProviderSilence, match="ClientConnector"):
            await down.client.confirm(signed_in.refresh_token, "s", Kept())


async def test_no_refresh_token_is_said_at_the_sign_in(provider):
    settings = provider.settings(scopes=("openid", "profile", "groups"))
    async with talking(provider, settings, SystemClock()) as talk:
        with pytest.raises(ProviderSilence, match="gave no refresh token"):
            await talk.signed_in()


async def test_the_browser_can_be_sent_to_sign_out(talk):
    url = await talk.client.end_session_url("a.b.c", back_to="https://kz.example/out", state="s")
    assert parse_qs(urlsplit(url).query) == {
        "id_token_hint": ["a.b.c"],
        "client_id": [talk.provider.client_id],
        "post_logout_redirect_uri": ["https://kz.example/out"],
        "state": ["s"],
    }
