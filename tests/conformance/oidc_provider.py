"""What every OpenID provider that kzproxy's users sign in at must do, driven over HTTP.

The demo provider and a foreign one pass the same checks: the demo provider stands for what is not
ours, so it must behave as those do. Tokens are verified with joserfc, which kzproxy does not use.
"""

import base64
import hashlib
import secrets
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
from joserfc import jwt
from joserfc.jwk import KeySet

DEVICE_CODE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
ALGORITHMS = ["RS256", "ES256", "PS256", "EdDSA"]

PressThrough = Callable[[httpx.AsyncClient, str, str], Awaitable[str]]
"""Sign in by script: (client, address of the first page, user) to the address that the pages lead
to outside the provider, which is not fetched; empty where they end at a page."""


@dataclass(frozen=True, kw_only=True)
class ProviderUnderTest:
    """A running provider, and what it knows.

    Attributes:
        press_through: Signs in at its authorization pages.
        approve_device: The same for its device pages.
        claims: What the ID token of ``user`` must hold.
    """

    issuer: str
    ca_file: Path
    client_id: str
    user: str
    press_through: PressThrough
    approve_device: PressThrough
    claims: Mapping[str, object]
    scope: str = "openid profile email groups offline_access"
    redirect_uri: str = "http://127.0.0.1:39251/callback"


@dataclass(kw_only=True)
class Conversation:
    """One browser and one native client that talk to the provider."""

    provider: ProviderUnderTest
    http: httpx.AsyncClient
    metadata: Mapping[str, Any]
    verifier: str = field(default_factory=lambda: secrets.token_urlsafe(48))
    state: str = field(default_factory=lambda: secrets.token_urlsafe(16))
    nonce: str = field(default_factory=lambda: secrets.token_urlsafe(16))

    def authorization(self, **changes: str | None) -> dict[str, str]:
        """Return the parameters of a good request with ``changes``; None leaves one out."""
        good: dict[str, str | None] = {
            "client_id": self.provider.client_id,
            "response_type": "code",
            "redirect_uri": self.provider.redirect_uri,
            "scope": self.provider.scope,
            "prompt": "consent",
            "state": self.state,
            "nonce": self.nonce,
            "code_challenge": s256(self.verifier),
            "code_challenge_method": "S256",
        }
        return {name: value for name, value in (good | changes).items() if value is not None}

    async def authorize(self, **changes: str | None) -> httpx.Response:
        """Ask the authorization endpoint, and follow nothing."""
        return await self.http.get(
            self.metadata["authorization_endpoint"], params=self.authorization(**changes)
        )

    async def callback(self, **changes: str | None) -> dict[str, str]:
        """Sign in by script; return the parameters that the client is sent."""
        request = self.http.build_request(
            "GET", self.metadata["authorization_endpoint"], params=self.authorization(**changes)
        )
        url = await self.provider.press_through(self.http, str(request.url), self.provider.user)
        redirect_uri = changes.get("redirect_uri") or self.provider.redirect_uri
        assert url.startswith(redirect_uri + "?"), url
        return single(url)

    async def token(self, **parameters: str) -> httpx.Response:
        """Ask the token endpoint."""
        data = {"client_id": self.provider.client_id, **parameters}
        return await self.http.post(self.metadata["token_endpoint"], data=data)

    async def redeem(self, code: str, **changes: str) -> httpx.Response:
        """Ask for the tokens of a code."""
        return await self.token(
            **{
                "grant_type": "authorization_code",
                "code": code,
                "redirect_uri": self.provider.redirect_uri,
                "code_verifier": self.verifier,
                **changes,
            }
        )

    async def refresh(self, refresh_token: str) -> httpx.Response:
        """Ask for new tokens."""
        return await self.token(grant_type="refresh_token", refresh_token=refresh_token)

    async def signed_in(self) -> dict[str, Any]:
        """Return the tokens of a whole sign-in."""
        answer = await self.redeem((await self.callback())["code"])
        assert answer.status_code == 200, answer.text
        tokens: dict[str, Any] = answer.json()
        return tokens

    async def begin_device(self) -> dict[str, Any]:
        """Ask for a device code."""
        answer = await self.http.post(
            self.metadata["device_authorization_endpoint"],
            data={
                "client_id": self.provider.client_id,
                "scope": self.provider.scope,
                "prompt": "consent",
            },
        )
        assert answer.status_code == 200, answer.text
        begun: dict[str, Any] = answer.json()
        return begun

    async def poll(self, device_code: str) -> httpx.Response:
        """Ask whether somebody has approved."""
        return await self.token(grant_type=DEVICE_CODE_GRANT, device_code=device_code)

    async def revoke(self, token: str) -> httpx.Response:
        """Revoke a token."""
        return await self.http.post(
            self.metadata["revocation_endpoint"],
            data={"client_id": self.provider.client_id, "token": token},
        )

    async def userinfo(self, access_token: str) -> httpx.Response:
        """Ask for userinfo."""
        return await self.http.get(
            self.metadata["userinfo_endpoint"],
            headers={"Authorization": f"Bearer {access_token}"},
        )

    async def verified(self, id_token: str) -> dict[str, Any]:
        """Verify a token against the published keys and OpenID Connect Core 3.1.3.7."""
        keys = KeySet.import_key_set((await self.http.get(self.metadata["jwks_uri"])).json())
        token = jwt.decode(id_token, keys, algorithms=ALGORITHMS)
        jwt.JWTClaimsRegistry(
            iss={"essential": True, "value": self.provider.issuer},
            aud={"essential": True, "value": self.provider.client_id},
            sub={"essential": True},
            exp={"essential": True},
            iat={"essential": True},
        ).validate(token.claims)
        assert token.header["kid"]
        return dict(token.claims)


@asynccontextmanager
async def conversation(provider: ProviderUnderTest) -> AsyncIterator[Conversation]:
    """Begin one, with a browser that has no cookies."""
    tls = ssl.create_default_context(cafile=str(provider.ca_file))
    async with httpx.AsyncClient(verify=tls, timeout=20, trust_env=False) as http:
        discovered = await http.get(f"{provider.issuer}/.well-known/openid-configuration")
        assert discovered.status_code == 200
        yield Conversation(provider=provider, http=http, metadata=discovered.json())


async def discovery_names_what_clients_need(talk: Conversation) -> None:
    """OpenID Connect Discovery section 3; section 4.3: the issuer is exactly the one asked."""
    metadata = talk.metadata
    assert metadata["issuer"] == talk.provider.issuer
    for name in ("authorization", "token", "userinfo", "revocation", "device_authorization"):
        assert metadata[f"{name}_endpoint"].startswith("https://")
    assert metadata["jwks_uri"].startswith("https://")
    assert "code" in metadata["response_types_supported"]
    assert "S256" in metadata["code_challenge_methods_supported"]
    assert set(metadata["id_token_signing_alg_values_supported"]) & set(ALGORITHMS)
    assert {"authorization_code", "refresh_token", DEVICE_CODE_GRANT} <= set(
        metadata["grant_types_supported"]
    )
    assert {"openid", "offline_access"} <= set(metadata["scopes_supported"])


async def the_key_set_holds_public_keys_only(talk: Conversation) -> None:
    """RFC 7517: each key has its own id and says what it is for."""
    keys = (await talk.http.get(talk.metadata["jwks_uri"])).json()["keys"]
    assert keys
    assert len({key["kid"] for key in keys}) == len(keys)
    for key in keys:
        assert key["use"] == "sig"
        assert not {"d", "p", "q", "k"} & set(key)


async def a_sign_in_gives_verifiable_tokens(talk: Conversation) -> None:
    """Code with PKCE, from the first page to a verified ID token."""
    answer = await talk.callback()
    assert answer["state"] == talk.state
    assert answer["iss"] == talk.provider.issuer  # RFC 9207
    redeemed = await talk.redeem(answer["code"])
    assert redeemed.status_code == 200, redeemed.text
    assert "no-store" in redeemed.headers["cache-control"]
    tokens = redeemed.json()
    assert tokens["token_type"].lower() == "bearer"
    claims = await talk.verified(tokens["id_token"])
    assert claims["nonce"] == talk.nonce
    assert claims["exp"] > claims["iat"]
    assert {name: claims.get(name) for name in talk.provider.claims} == dict(talk.provider.claims)
    if "at_hash" in claims:
        assert claims["at_hash"] == half_hash(tokens["access_token"])


async def a_sign_in_takes_time_and_session_from_the_person(talk: Conversation) -> None:
    """What the decision log joins requests by stays the same over refreshes."""
    tokens = await talk.signed_in()
    first = await talk.verified(tokens["id_token"])
    again = await talk.verified((await talk.refresh(tokens["refresh_token"])).json()["id_token"])
    assert first.get("sid") or first.get("auth_time")
    assert again.get("sid") == first.get("sid")
    assert again.get("auth_time") == first.get("auth_time")
    assert (again["sub"], again["aud"]) == (first["sub"], first["aud"])


async def userinfo_opens_to_its_token_only(talk: Conversation) -> None:
    """Core 5.3.2: ``sub`` is that of the ID token; RFC 6750 section 3: 401 with a challenge."""
    tokens = await talk.signed_in()
    answer = await talk.userinfo(tokens["access_token"])
    assert answer.json()["sub"] == (await talk.verified(tokens["id_token"]))["sub"]
    assert (await talk.userinfo(tokens["id_token"])).status_code == 401
    assert (await talk.http.get(talk.metadata["userinfo_endpoint"])).status_code in {400, 401}
    assert (await talk.userinfo("wrong")).headers["www-authenticate"].startswith("Bearer")


async def a_code_is_good_once(talk: Conversation) -> None:
    """RFC 6749 section 4.1.2: the second use also revokes what the first one gave."""
    code = (await talk.callback())["code"]
    tokens = (await talk.redeem(code)).json()
    assert_refused(await talk.redeem(code), "invalid_grant")
    assert_refused(await talk.refresh(tokens["refresh_token"]), "invalid_grant")
    assert (await talk.userinfo(tokens["access_token"])).status_code == 401


async def a_code_is_bound_to_its_verifier(talk: Conversation) -> None:
    """RFC 7636 section 4.6."""
    for wrong in (secrets.token_urlsafe(48), s256(talk.verifier), talk.verifier[:-1]):
        code = (await talk.callback())["code"]
        assert_refused(await talk.redeem(code, code_verifier=wrong), "invalid_grant")
    code = (await talk.callback())["code"]
    assert_refused(await talk.redeem(code, code_verifier=""), "invalid_grant")


async def a_code_is_bound_to_its_redirect_uri(talk: Conversation) -> None:
    """RFC 6749 section 4.1.3, the port included."""
    code = (await talk.callback())["code"]
    other = "http://127.0.0.1:39252/callback"
    assert_refused(await talk.redeem(code, redirect_uri=other), "invalid_grant")


async def an_unknown_code_gives_nothing(talk: Conversation) -> None:
    """RFC 6749 section 5.2."""
    assert_refused(await talk.redeem("unknown"), "invalid_grant")
    assert_refused(await talk.refresh("unknown"), "invalid_grant")
    assert_refused(await talk.poll("unknown"), "invalid_grant")


async def pkce_cannot_be_left_out(talk: Conversation) -> None:
    """The downgrade: no challenge, or one that is the verifier itself (RFC 9700 section 2.1.1)."""
    without = await talk.authorize(code_challenge=None, code_challenge_method=None)
    assert_redirected(talk, without, "invalid_request")
    plain = await talk.authorize(code_challenge=talk.verifier, code_challenge_method="plain")
    assert_redirected(talk, plain, "invalid_request")
    unnamed = await talk.authorize(code_challenge=talk.verifier, code_challenge_method=None)
    assert_redirected(talk, unnamed, "invalid_request")


async def no_answer_goes_to_an_unregistered_address(talk: Conversation) -> None:
    """RFC 9700 section 4.1.3: exact comparison, and no redirect on doubt."""
    for uri in (
        "https://evil.example/callback",
        "http://127.0.0.1.evil.example:39251/callback",
        "http://127.0.0.1:39251@evil.example/callback",
        "http://127.0.0.1:39251/callback/../other",
        "http://127.0.0.1:39251/callback2",
        "http://127.0.0.1:39251/Callback",
        "http://127.0.0.1:39251/callback?next=1",
        "http://127.0.0.1:39251/callback#fragment",
        "http://192.0.2.1:39251/callback",
        "https://127.0.0.1:39251/callback",
        "//127.0.0.1:39251/callback",
        "http://127.0.0.1:99999/callback",
        "javascript:alert(1)",
    ):
        assert_page(await talk.authorize(redirect_uri=uri))
    assert_page(await talk.authorize(client_id="unknown"))
    assert_page(await talk.authorize(client_id=None))


async def the_loopback_port_is_free(talk: Conversation) -> None:
    """RFC 8252 section 7.3: a native client picks its port when it runs."""
    other = "http://127.0.0.1:41999/callback"
    answer = await talk.callback(redirect_uri=other)
    assert (await talk.redeem(answer["code"], redirect_uri=other)).status_code == 200


async def a_faulty_request_is_told_to_the_client(talk: Conversation) -> None:
    """RFC 6749 section 4.1.2.1."""
    assert_redirected(talk, await talk.authorize(response_type="bogus"), "")
    assert_redirected(talk, await talk.authorize(response_type="token"), "")
    assert_redirected(talk, await talk.authorize(prompt="none"), "login_required")


async def a_refresh_token_is_good_once(talk: Conversation) -> None:
    """RFC 9700 section 4.14.2: rotation, and reuse ends the whole grant."""
    first = (await talk.signed_in())["refresh_token"]
    renewed = await talk.refresh(first)
    assert renewed.status_code == 200, renewed.text
    second = renewed.json()["refresh_token"]
    assert second != first
    third = (await talk.refresh(second)).json()["refresh_token"]
    assert_refused(await talk.refresh(first), "invalid_grant")
    assert_refused(await talk.refresh(third), "invalid_grant")


async def no_refresh_without_offline_access(talk: Conversation) -> None:
    """Core 11."""
    code = (await talk.callback(scope="openid profile"))["code"]
    assert "refresh_token" not in (await talk.redeem(code)).json()


async def a_revoked_refresh_token_ends_the_sign_in(talk: Conversation) -> None:
    """RFC 7009 section 2.1 and 2.2."""
    tokens = await talk.signed_in()
    assert (await talk.revoke(tokens["refresh_token"])).status_code == 200
    assert_refused(await talk.refresh(tokens["refresh_token"]), "invalid_grant")
    assert (await talk.userinfo(tokens["access_token"])).status_code == 401
    assert (await talk.revoke("unknown")).status_code == 200


async def a_revoked_access_token_opens_nothing(talk: Conversation) -> None:
    """RFC 7009 section 2.1."""
    tokens = await talk.signed_in()
    assert (await talk.revoke(tokens["access_token"])).status_code == 200
    assert (await talk.userinfo(tokens["access_token"])).status_code == 401


async def a_terminal_is_let_in_by_code(talk: Conversation) -> None:
    """RFC 8628, from the code to a verified ID token; the device code is good once."""
    begun = await talk.begin_device()
    assert begun["expires_in"] > 0
    assert begun["verification_uri"].startswith(talk.provider.issuer)
    assert begun["user_code"] in begun["verification_uri_complete"]
    assert_refused(await talk.poll(begun["device_code"]), "authorization_pending")
    async with conversation(talk.provider) as elsewhere:
        url = begun["verification_uri_complete"]
        assert await talk.provider.approve_device(elsewhere.http, url, talk.provider.user) == ""
    answer = await talk.poll(begun["device_code"])
    assert answer.status_code == 200, answer.text
    claims = await talk.verified(answer.json()["id_token"])
    assert {name: claims.get(name) for name in talk.provider.claims} == dict(talk.provider.claims)
    assert "refresh_token" in answer.json()
    assert_refused(await talk.poll(begun["device_code"]), "invalid_grant")


async def the_token_endpoint_refuses_what_it_cannot_read(talk: Conversation) -> None:
    """RFC 6749 section 3.2 and 5.2."""
    endpoint = talk.metadata["token_endpoint"]
    assert_refused(await talk.token(grant_type="bogus"), "")
    assert_refused(await talk.token(grant_type="refresh_token", client_id="unknown"), "")
    twice = await talk.http.post(
        endpoint,
        content=f"client_id={talk.provider.client_id}&grant_type=refresh_token"
        "&refresh_token=a&refresh_token=b",
        headers={"Content-Type": "application/x-www-form-urlencoded"},
    )
    assert_refused(twice, "invalid_request")
    json_body = await talk.http.post(endpoint, json={"grant_type": "refresh_token"})
    assert_refused(json_body, "invalid_request")
    assert (await talk.http.get(endpoint)).status_code in {404, 405}


Check = Callable[[Conversation], Awaitable[None]]

CHECKS: tuple[Check, ...] = (
    discovery_names_what_clients_need,
    the_key_set_holds_public_keys_only,
    a_sign_in_gives_verifiable_tokens,
    a_sign_in_takes_time_and_session_from_the_person,
    userinfo_opens_to_its_token_only,
    a_code_is_good_once,
    a_code_is_bound_to_its_verifier,
    a_code_is_bound_to_its_redirect_uri,
    an_unknown_code_gives_nothing,
    pkce_cannot_be_left_out,
    no_answer_goes_to_an_unregistered_address,
    the_loopback_port_is_free,
    a_faulty_request_is_told_to_the_client,
    a_refresh_token_is_good_once,
    no_refresh_without_offline_access,
    a_revoked_refresh_token_ends_the_sign_in,
    a_revoked_access_token_opens_nothing,
    a_terminal_is_let_in_by_code,
    the_token_endpoint_refuses_what_it_cannot_read,
)


async def check_provider(provider: ProviderUnderTest, check: Check) -> None:
    """Run one of ``CHECKS`` in a conversation of its own."""
    async with conversation(provider) as talk:
        await check(talk)


def assert_refused(answer: httpx.Response, error: str) -> None:
    """RFC 6749 section 5.2; an empty ``error`` stands for any."""
    assert answer.status_code in {400, 401}, answer.text
    assert "no-store" in answer.headers["cache-control"]
    assert answer.json()["error"]
    assert answer.json()["error"] == (error or answer.json()["error"])


def assert_redirected(talk: Conversation, answer: httpx.Response, error: str) -> None:
    """The client is told, with its state and by whom; an empty ``error`` stands for any."""
    assert answer.is_redirect, answer.text
    location = answer.headers["location"]
    assert location.startswith(talk.provider.redirect_uri)
    parts = urlsplit(location)
    # Where no code was asked for, the answer may be in the fragment.
    values = single(f"?{parts.query or parts.fragment}")
    assert "code" not in values
    assert values["error"] == (error or values["error"])
    assert values["state"] == talk.state
    assert values["iss"] == talk.provider.issuer


def assert_page(answer: httpx.Response) -> None:
    """Only the person at the browser is told."""
    assert 400 <= answer.status_code < 500
    assert "location" not in answer.headers


def single(url: str) -> dict[str, str]:
    """Return the query of ``url``, in which nothing may come twice."""
    values = parse_qs(urlsplit(url).query, strict_parsing=True)
    assert all(len(found) == 1 for found in values.values())
    return {name: found[0] for name, found in values.items()}


def s256(verifier: str) -> str:
    """RFC 7636 section 4.2."""
    hashed = hashlib.sha256(verifier.encode()).digest()
    return base64.urlsafe_b64encode(hashed).rstrip(b"=").decode()


def half_hash(token: str) -> str:
    """Core 3.1.3.6, for the algorithms with SHA-256."""
    half = hashlib.sha256(token.encode()).digest()[:16]
    return base64.urlsafe_b64encode(half).rstrip(b"=").decode()
