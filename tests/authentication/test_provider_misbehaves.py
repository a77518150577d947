"""What a provider could say that must not be taken for a sign-in, nor for a no."""

import re
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from kzproxy.authentication.keys import IssuerKeys
from kzproxy.authentication.provider_client import ProviderClient
from kzproxy.authentication.provider_errors import (
    MAX_TOLD_CHARACTERS,
    ProviderRefusal,
    ProviderSilence,
    told,
)
from kzproxy.authentication.provider_settings import ProviderLimits, ProviderSettings, Reverify
from kzproxy.authentication.settings import JwtIssuerSettings, PrefixedClaim, RequiredClaim
from kzproxy.errors.kinds import Unauthenticated
from tests.authentication.provider_scene import Kept
from tests.servers.authority import Authority
from tests.servers.scripted_provider import ScriptedProvider, serving_provider
from tests.servers.tokens import SigningKey

LIMITS = ProviderLimits(answer_bytes=64 * 1024)
HURRIED = replace(LIMITS, answer_timeout=timedelta(seconds=1))
NONCE = "a-nonce"


@pytest.fixture
async def provider(tmp_path, authority):
    async with serving_provider(tmp_path, authority) as served:
        yield served


def settings_of(provider: ScriptedProvider, **changes: object) -> ProviderSettings:
    issuer = JwtIssuerSettings(
        url=provider.url,
        audiences=("kubernetes", "other"),
        certificate_authority_pem=provider.authority.pem.decode(),
        username=PrefixedClaim(claim="name", prefix=""),
        groups=PrefixedClaim(claim="groups", prefix=""),
        required_claims=(RequiredClaim(claim="employed", value="yes"),),
    )
    members: dict[str, object] = {"issuer": issuer, "client_id": "kz", "client_secret": "s"}
    return ProviderSettings(**(members | changes))  # type: ignore[arg-type]


@pytest.fixture
async def client_of(provider, clock):
    made = []

    async def make(limits: ProviderLimits = LIMITS, **changes: object) -> ProviderClient:
        settings = settings_of(provider, **changes)
        keys = IssuerKeys(settings.issuer, clock)
        await keys.fetch()
        made.append(ProviderClient(settings, keys, clock, limits))
        return made[-1]

    yield make
    for client in made:
        await client.close()


@pytest.fixture
async def client(client_of):
    return await client_of()


def claims(clock, **changes: object) -> dict[str, object]:
    now = int(clock.now().timestamp())
    good: dict[str, object] = {
        "sub": "s-1",
        "name": "alice",
        "groups": ["dev"],
        "employed": "yes",
        "aud": "kz",
        "iat": now,
        "exp": now + 300,
        "auth_time": now,
        "nonce": NONCE,
    }
    return {name: value for name, value in (good | changes).items() if value is not None}


def tokens(provider, clock, **changes: object) -> dict[str, object]:
    """A token answer whose ID token has these changes."""
    return {
        "token_type": "Bearer",
        "access_token": "access",
        "refresh_token": "refresh-2",
        "id_token": provider.key.token({"iss": provider.url} | claims(clock, **changes)),
    }


async def redeem(client, **changes: object):
    members: dict[str, object] = {"redirect_uri": "https://kz/cb", "verifier": "v", "nonce": NONCE}
    return await client.redeem_code("code", **(members | changes))


async def confirm(client, kept=None):
    return await client.confirm("refresh-1", "s-1", kept or Kept())


@pytest.mark.usefixtures("strict_python")
async def test_an_authority_without_key_identifiers_vouches_under_every_python(tmp_path, clock):
    async with serving_provider(tmp_path, Authority.bare()) as provider:
        settings = settings_of(provider)
        client = ProviderClient(settings, IssuerKeys(settings.issuer, clock), clock, LIMITS)
        try:
            assert await client.end_session_url() == ""
        finally:
            await client.close()


async def test_a_good_answer_is_taken(client, provider, clock):
    provider.answer("token", tokens(provider, clock, sid="sid-1", azp="kz", aud=["kz", "x"]))
    signed_in = await redeem(client, max_age=timedelta(minutes=1))
    assert (signed_in.identity.username, signed_in.identity.groups) == ("alice", ("dev",))
    assert (signed_in.idp_session, signed_in.refresh_token) == ("sid-1", "refresh-2")


@pytest.mark.parametrize(
    ("changes", "email"),
    [
        ({"email": "a@x.example"}, "a@x.example"),
        ({"email": "a@x.example", "email_verified": True}, "a@x.example"),
        ({"email": "a@x.example", "email_verified": False}, ""),
        ({"email": "a@x.example", "email_verified": "true"}, ""),
        ({"email": 7}, ""),
        # No text that could be kept: half of a character, as JSON can say it.
        ({"email": "\ud800@x.example"}, ""),
        ({}, ""),
    ],
)
async def test_an_address_counts_only_where_it_is_verified(client, provider, clock, changes, email):
    provider.answer("token", tokens(provider, clock, **changes))
    assert (await redeem(client)).email == email


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"aud": "kubernetes"}, "another audience"),  # ours, but not of kzproxy as a client
        ({"aud": ["kz", "x"]}, "several audiences"),
        ({"aud": ["kz", "x"], "azp": "x"}, "several audiences"),
        ({"azp": "x"}, "`azp` is another client"),
        ({"azp": None, "aud": None}, "`aud`"),
        ({"iss": "https://evil.example"}, "another issuer's"),
        ({"iss": None}, "another issuer's"),
        ({"nonce": None}, "no `nonce`"),
        ({"nonce": ""}, "another sign-in"),
        ({"nonce": 7}, "no `nonce`"),
        ({"nonce": "other"}, "another sign-in"),
        ({"nonce": "\ud800"}, "another sign-in"),
        ({"exp": 1}, "expired"),
        ({"auth_time": None}, "when you signed in"),
        ({"auth_time": 1}, "did not ask you to sign in again"),
        ({"employed": "no"}, "`employed`"),
        ({"name": None}, "no claim `name`"),
        ({"events": {}}, "logout token"),
    ],
)
async def test_an_id_token_that_is_not_the_answer_to_this_sign_in_is_refused(
    client, provider, clock, changes, why
):
    good = {"iss": provider.url} | claims(clock)
    made = {name: value for name, value in (good | changes).items() if value is not None}
    answer = tokens(provider, clock) | {"id_token": provider.key.token(made)}
    provider.answer("token", answer)
    with pytest.raises(Unauthenticated, match=re.escape(why)):
        await redeem(client, max_age=timedelta(minutes=1))


async def test_a_forged_signature_is_refused_and_an_unknown_key_is_no_word(client, provider, clock):
    made = {"iss": provider.url} | claims(clock)
    for forged, expected in (
        (SigningKey.make("key-1").token(made), Unauthenticated),
        (SigningKey.make("key-2").token(made), ProviderSilence),
        ("not.a.token", Unauthenticated),
        ("", ProviderSilence),
    ):
        provider.answer("token", tokens(provider, clock) | {"id_token": forged})
        with pytest.raises(expected):
            await redeem(client)
        with pytest.raises(expected):
            await confirm(client)


async def test_a_clock_that_runs_ahead_is_no_word(client, provider, clock):
    later = int(clock.now().timestamp()) + 3600
    provider.answer("token", tokens(provider, clock, iat=later, exp=later + 300))
    with pytest.raises(ProviderSilence, match="compare the clocks"):
        await confirm(client)


async def test_a_clock_of_ours_that_runs_ahead_is_no_word(client, provider, clock):
    """What is new and has ended already was made by another clock than ours."""
    before = int(clock.now().timestamp()) - 3600
    provider.answer(
        "token", tokens(provider, clock, iat=before, auth_time=before, exp=before + 300)
    )
    kept = Kept()
    with pytest.raises(ProviderSilence, match="compare the clocks"):
        await confirm(client, kept)
    assert kept.tokens == ["refresh-2"]


@pytest.mark.parametrize("changes", [{"sub": "s-2"}, {"employed": "no"}, {"name": ""}])
async def test_a_refresh_that_names_nobody_who_may_come_in_is_not_accepted(
    client, provider, clock, changes
):
    provider.answer("token", tokens(provider, clock, **changes))
    kept = Kept()
    with pytest.raises(Unauthenticated):
        await confirm(client, kept)
    assert kept.tokens == ["refresh-2"]


async def test_a_refresh_token_that_stays_is_not_kept_anew(client, provider, clock):
    kept = Kept()
    for answer in (
        tokens(provider, clock) | {"refresh_token": "refresh-1"},
        {k: v for k, v in tokens(provider, clock).items() if k != "refresh_token"},
    ):
        provider.answer("token", answer)
        assert await confirm(client, kept)
    assert kept.tokens == []


@pytest.mark.parametrize("name", ["refresh_token", "id_token", "expires_in", "scope"])
async def test_null_in_a_token_answer_is_as_if_it_were_not_there(client_of, provider, clock, name):
    client = await client_of(reverify=Reverify.USERINFO)
    provider.answer("token", tokens(provider, clock) | {name: None})
    person = {"sub": "s-1", "name": "alice", "groups": ["ops"], "employed": "yes"}
    provider.answer("userinfo", person)
    kept = Kept()
    assert await confirm(client, kept)
    assert kept.tokens == ([] if name == "refresh_token" else ["refresh-2"])


@pytest.mark.parametrize(
    "wrong",
    [
        {"token_type": None},
        {"token_type": "DPoP"},
        {"access_token": 7},
        {"id_token": ["x"]},
        {"id_token": "\u00e9"},
    ],
)
async def test_a_new_refresh_token_is_kept_whatever_else_cannot_be_read(
    client, provider, clock, wrong
):
    """The one before is spent: without this one the sign-in would be lost."""
    provider.answer("token", tokens(provider, clock) | wrong)
    kept = Kept()
    with pytest.raises(ProviderSilence):
        await confirm(client, kept)
    assert kept.tokens == ["refresh-2"]


async def test_no_access_token_for_userinfo_is_no_word(client_of, provider, clock):
    """Asked without one, userinfo would say 401, which is a no."""
    client = await client_of(reverify=Reverify.USERINFO)
    provider.answer("userinfo", {"error": "invalid_token"}, 401)
    without = {k: v for k, v in tokens(provider, clock).items() if k != "access_token"}
    for answer in (without, without | {"access_token": None}):
        provider.answer("token", answer)
        with pytest.raises(ProviderSilence, match="gave no access token"):
            await confirm(client)


async def test_no_id_token_at_a_refresh_is_no_word_and_says_what_to_set(client, provider, clock):
    answer = tokens(provider, clock)
    del answer["id_token"]
    provider.answer("token", answer)
    kept = Kept()
    with pytest.raises(ProviderSilence, match="reverify: userinfo"):
        await confirm(client, kept)
    assert kept.tokens == ["refresh-2"]


REFUSALS = ("invalid_grant", "access_denied", "interaction_required", "login_required")


@pytest.mark.parametrize("error", REFUSALS)
@pytest.mark.parametrize("status", [200, 400, 401, 403])
async def test_a_no_about_the_person_is_a_refusal(client, provider, error, status):
    provider.answer("token", {"error": error, "error_description": "Account gone"}, status)
    with pytest.raises(ProviderRefusal, match="Account gone"):
        await confirm(client)


DEX = "clientID kz refresh token (ID abc) is invalid or has already been claimed by another client."


@pytest.mark.parametrize(
    ("document", "status"),
    [
        ({"error": "invalid_request", "error_description": "Refresh token expired."}, 400),
        ({"error": "invalid_request", "error_description": DEX}, 400),
        ({"error": "invalid_request", "error_description": 'Invalid "refresh_token".'}, 400),
        ({"error": "invalid_request", "error_description": "Errors.RefreshToken.Invalid"}, 400),
        ({"error": "invalid_token", "error_description": "The token was revoked"}, 401),
        ({"error": "token_inactive"}, 401),
    ],
)
async def test_a_dead_refresh_token_is_a_refusal_in_whatever_words(
    client, provider, document, status
):
    """Else one of them would have its provider be taken for silent, to everybody's cost."""
    provider.answer("token", document, status)
    kept = Kept()
    with pytest.raises(
        ProviderRefusal, match=document.get("error_description", "token_inactive")[:9]
    ):
        await confirm(client, kept)
    assert kept.tokens == []


@pytest.mark.parametrize(
    ("document", "status"),
    [
        ({"error": "invalid_client"}, 401),
        ({"error": "invalid_client", "error_description": "no refresh tokens for you"}, 401),
        ({"error": "invalid_request", "error_description": "AADSTS900144: a parameter"}, 400),
        ({"error": "invalid_request", "error_description": ["refresh token"]}, 400),
        ({"error": "invalid_request", "error_description": "Refresh token expired."}, 500),
        ({"error": "unauthorized_client"}, 400),
        ({"error": "invalid_request"}, 400),
        ({"error": "temporarily_unavailable"}, 400),
        ({"error": "invalid_grant"}, 429),
        ({"error": "invalid_grant"}, 500),
        ({"error": "invalid_grant"}, 503),
        ({"error": ["invalid_grant"]}, 400),
        ({}, 400),
        ({}, 404),
        ([], 400),
        ({"token_type": "DPoP", "access_token": "a", "id_token": "b"}, 200),
        ({"token_type": "Bearer", "access_token": 7}, 200),
        ({"token_type": "Bearer", "refresh_token": "é"}, 200),
        ({"token_type": "Bearer", "id_token": "x" * 65537}, 200),
        ([], 200),
        ("invalid_grant", 200),
    ],
)
async def test_anything_else_is_no_word_about_the_person(client, provider, document, status):
    provider.answer("token", document, status)
    with pytest.raises(ProviderSilence):
        await confirm(client)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed_with_the_secret(client, provider, status):
    provider.answer_with("token", b"", status, location=f"{provider.url}/revoke")
    with pytest.raises(ProviderSilence, match=f"the answer is {status}"):
        await confirm(client)
    assert [place for place, _, _ in provider.asked] == ["token"]


async def test_an_answer_that_does_not_come_is_not_waited_for(client_of, provider):
    client = await client_of(HURRIED)
    provider.hang("token")
    with pytest.raises(ProviderSilence, match="TimeoutError"):
        await confirm(client)


async def test_answers_are_bounded_in_size_and_read_as_they_are(client, provider):
    provider.answer_with("token", b" " * 70_000)
    with pytest.raises(ProviderSilence, match="longer than"):
        await confirm(client)
    provider.answer_with("token", b"x", content_encoding="gzip")
    with pytest.raises(ProviderSilence, match="compressed"):
        await confirm(client)
    provider.answer_with("token", b"<html>")
    with pytest.raises(ProviderSilence, match="not JSON"):
        await confirm(client)
    provider.answer_with("token", b"[" * 30_000)
    with pytest.raises(ProviderSilence, match="not JSON"):
        await confirm(client)


# Discovery


@pytest.mark.parametrize(
    ("member", "value", "why"),
    [
        ("issuer", "https://evil.example", "its `issuer` is not"),
        ("issuer", None, "its `issuer` is not"),
        ("token_endpoint", None, "no `token_endpoint`"),
        ("token_endpoint", "http://127.0.0.1/token", "not a plain https URL"),
        ("token_endpoint", "https://user@127.0.0.1/token", "not a plain https URL"),
        ("token_endpoint", "https://127.0.0.1/token#x", "not a plain https URL"),
        ("token_endpoint", 7, "not a plain https URL"),
        ("token_endpoint", "https://169.254.169.254/token", "link-local"),
        ("introspection_endpoint", "https://[fe80::1]/x", "link-local"),
        ("authorization_endpoint", None, "no `authorization_endpoint`"),
        ("code_challenge_methods_supported", ["plain"], "without S256"),
        ("response_types_supported", ["token"], "without code"),
        ("token_endpoint_auth_methods_supported", ["private_key_jwt"], "by a secret"),
    ],
)
async def test_a_discovery_document_that_is_not_safe_is_not_used(
    client, provider, member, value, why
):
    provider.discovery[member] = value
    with pytest.raises(ProviderSilence, match=re.escape(why)):
        await confirm(client)
    assert provider.asked == []


@pytest.mark.parametrize(
    ("way", "member"),
    [(Reverify.USERINFO, "userinfo_endpoint"), (Reverify.INTROSPECTION, "introspection_endpoint")],
)
async def test_a_provider_without_what_the_way_needs_says_so(client_of, provider, way, member):
    client = await client_of(reverify=way)
    provider.discovery[member] = None
    with pytest.raises(ProviderSilence, match=f"no `{member}`.*reverify: {way}"):
        await confirm(client)


@pytest.mark.parametrize(
    ("methods", "in_form"),
    [
        (None, False),
        (["client_secret_post", "client_secret_basic"], False),
        (["client_secret_post"], True),
    ],
)
async def test_the_secret_goes_where_the_provider_takes_it(
    client, provider, clock, methods, in_form
):
    provider.discovery["token_endpoint_auth_methods_supported"] = methods
    provider.answer("token", tokens(provider, clock))
    await confirm(client)
    _, form, authorization = provider.asked[0]
    assert ("client_secret" in form) is in_form
    assert bool(authorization) is not in_form


async def test_discovery_is_fetched_once_an_hour_and_its_last_good_word_kept(
    client, provider, clock
):
    provider.answer("token", tokens(provider, clock))
    provider.fetched.clear()
    await confirm(client)
    await confirm(client)
    assert len(provider.fetched) == 1
    provider.answer("discovery", {}, 500)
    clock.advance(timedelta(hours=2))
    provider.answer("token", tokens(provider, clock))
    await confirm(client)
    await confirm(client)  # within the cool-down
    assert len(provider.fetched) == 2
    clock.advance(timedelta(hours=11))
    with pytest.raises(ProviderSilence, match="the answer is 500"):
        await confirm(client)


# Userinfo and introspection


async def test_userinfo_that_does_not_open_is_a_no_and_other_answers_are_none(
    client_of, provider, clock
):
    client = await client_of(reverify=Reverify.USERINFO)
    provider.answer("token", tokens(provider, clock))
    provider.answer("userinfo", {"error": "invalid_token"}, 401)
    with pytest.raises(ProviderRefusal):
        await confirm(client)
    for document, status in (({}, 200), ({"error": "insufficient_scope"}, 403), ({}, 404)):
        provider.answer("userinfo", document, status)
        with pytest.raises(ProviderSilence):
            await confirm(client)
    assert provider.asked[1][2] == "Bearer access"


async def test_userinfo_is_mapped_like_a_token(client_of, provider, clock):
    client = await client_of(reverify=Reverify.USERINFO)
    provider.answer("token", tokens(provider, clock))
    person = {"sub": "s-1", "name": "alice", "groups": ["ops"], "employed": "yes", "iss": "evil"}
    provider.answer("userinfo", person)
    identity = await confirm(client)
    assert (identity.issuer, identity.groups) == (provider.url, ("ops",))
    for changes in ({"sub": "s-2"}, {"employed": "no"}, {"name": "system:admin"}):
        provider.answer("userinfo", person | changes)
        with pytest.raises(Unauthenticated):
            await confirm(client)


NAMELESS = {"name": None, "groups": None, "employed": None}
"""An ID token without what the mapping and its rules ask for."""

PERSON = {"sub": "s-1", "name": "alice", "groups": ["ops"], "employed": "yes"}
"""The same person's userinfo, with it."""


@pytest.mark.parametrize(
    ("changes", "email"),
    [
        ({"email": "a@x.example", "email_verified": True}, "a@x.example"),
        ({"email": "a@x.example", "email_verified": False}, ""),
        ({}, ""),
    ],
)
async def test_with_userinfo_the_id_token_need_not_name_the_person(
    client_of, provider, clock, changes, email
):
    client = await client_of(reverify=Reverify.USERINFO)
    more = {"email": "another@x.example", "sid": "sid-1", "amr": ["mfa"]}
    provider.answer("token", tokens(provider, clock, **NAMELESS, **more))
    told = {"sid": "x", "amr": ["x"], "auth_time": 1, "exp": 1}  # of a sign-in it says nothing
    provider.answer("userinfo", PERSON | told | changes)
    signed_in = await redeem(client)
    identity = signed_in.identity
    assert (identity.username, identity.groups, identity.subject) == ("alice", ("ops",), "s-1")
    assert signed_in.email == email
    assert identity.vouched_by == client.settings.issuer.revision
    assert (signed_in.idp_session, identity.sign_in) == ("sid-1", "sid-1")
    assert identity.authentication_methods == ("mfa",)
    assert identity.authenticated_at == clock.now().replace(microsecond=0)
    assert identity.expires_at == identity.authenticated_at + timedelta(minutes=5)


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": "kubernetes"},
        {"azp": "x"},
        {"nonce": "other"},
        {"exp": 1},
        {"auth_time": 1},
        {"sub": None},
        {"sub": "s-2"},
        {"events": {}},
    ],
)
async def test_with_userinfo_all_else_of_the_id_token_is_checked_all_the_same(
    client_of, provider, clock, changes
):
    client = await client_of(reverify=Reverify.USERINFO)
    provider.answer("userinfo", PERSON)
    provider.answer("token", tokens(provider, clock, **changes))
    with pytest.raises(Unauthenticated):
        await redeem(client, max_age=timedelta(minutes=1))


@pytest.mark.parametrize("changes", [{"sub": "s-2"}, {"employed": "no"}, {"name": "system:admin"}])
async def test_with_userinfo_a_person_who_may_not_come_in_is_not_signed_in(
    client_of, provider, clock, changes
):
    """Whatever the ID token says of them."""
    client = await client_of(reverify=Reverify.USERINFO)
    provider.answer("token", tokens(provider, clock))
    provider.answer("userinfo", PERSON | changes)
    with pytest.raises(Unauthenticated):
        await redeem(client)


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"active": False}, ProviderRefusal),
        ({"active": True, "sub": "s-2"}, Unauthenticated),
        ({"active": "true"}, ProviderSilence),
        ({"active": 1}, ProviderSilence),
        ({}, ProviderSilence),
    ],
)
async def test_introspection_is_a_yes_only_where_it_says_so(
    client_of, provider, document, expected
):
    client = await client_of(reverify=Reverify.INTROSPECTION)
    provider.answer("introspect", document)
    with pytest.raises(expected):
        await confirm(client)


async def test_revoking_minds_no_no_but_a_silence(client, provider):
    provider.answer_with("revoke", b"")
    await client.revoke("r")
    provider.answer("revoke", {"error": "invalid_grant"}, 400)
    await client.revoke("r")
    # So Keycloak says that the token was over already.
    provider.answer("revoke", {"error": "invalid_token", "error_description": "Invalid token"})
    await client.revoke("r")
    provider.answer("revoke", {"error": "unsupported_token_type"}, 400)
    with pytest.raises(ProviderSilence):
        await client.revoke("r")


async def test_a_provider_that_takes_nothing_back_is_not_asked_to(client, provider):
    provider.discovery["revocation_endpoint"] = None
    await client.revoke("r")
    assert await client.end_session_url() == ""
    assert provider.asked == []


@given(st.text())
def test_what_a_provider_says_is_shown_on_one_short_line(text):
    shown = told(text)
    assert shown.isprintable()
    assert len(shown) <= MAX_TOLD_CHARACTERS + 3
