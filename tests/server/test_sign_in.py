"""People sign in at a real kzproxy, over the demo identity provider, and use what they get."""

import asyncio
import base64
import json
import re
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest
import yaml
from joserfc import jwt
from joserfc.jwk import KeySet

from kzproxy.administrator.session import SessionRecord
from kzproxy.administrator.session_entry import KIND, decoded_session, session_put
from kzproxy.clock.system import SystemClock
from kzproxy.store.sqlite import SqliteStore
from tests.proxy.raw_client import Answer, RawClient
from tests.proxy.sign_in_world import (
    DEVICE_CODE_GRANT,
    REDIRECT_URI,
    Machine,
    SignInWorld,
    error_of,
    next_place,
    running_sign_in_world,
)
from tests.proxy.world import request
from tests.servers.authority import Authority
from tests.servers.scripted_api_server import ScriptedApiServer, scripted_api_server


@dataclass
class Surroundings:
    directory: Path
    authority: Authority
    api_server: ScriptedApiServer


@pytest.fixture(scope="module")
def surroundings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Surroundings]:
    directory, authority = tmp_path_factory.mktemp("sign-in"), Authority.root()
    with scripted_api_server(directory, authority) as server:
        yield Surroundings(directory, authority, server)


@pytest.fixture
def api_server(surroundings: Surroundings) -> ScriptedApiServer:
    return surroundings.api_server


@pytest.fixture(scope="module")
def world(surroundings: Surroundings) -> Iterator[SignInWorld]:
    upstream = surroundings.api_server.upstream()
    with running_sign_in_world(surroundings.directory, surroundings.authority, upstream) as world:
        yield world


def message_of(answer: Answer) -> str:
    return str(json.loads(answer.body)["message"])


def claims_of(token: str) -> dict[str, object]:
    part = token.split(".")[1]
    return dict(json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))))


def test_it_says_what_it_is(world: SignInWorld):
    said = world.get("/.well-known/oauth-authorization-server").json()
    assert said == world.get("/.well-known/openid-configuration").json()
    assert said["issuer"] == world.url
    assert said["code_challenge_methods_supported"] == ["S256"]
    assert said["tls_client_certificate_bound_access_tokens"] is True
    for name, value in said.items():
        if name.endswith("_endpoint"):
            assert value.startswith(f"{world.url}/")


def test_a_person_signs_in_and_asks_the_cluster(world: SignInWorld, api_server: ScriptedApiServer):
    machine = world.machine().signed_in()
    assert machine.answer["username"] == "idp:operator"
    assert machine.answer["token_type"] == "Bearer"
    assert 290 <= machine.answer["expires_in"] <= 300
    assert machine.answer["session_id"] == claims_of(machine.token)["sub"]
    api_server.heads.clear()
    assert machine.ask().status == 200
    [head] = api_server.heads
    assert b"impersonate-user: idp:operator" in head.lower()
    assert machine.session.encode() in head
    [record] = world.events("auth.sign-in")[-1:]
    assert record["user"]["name"] == "idp:operator"
    assert record["session"] == machine.session
    assert record["device"]["key_thumbprint"] == machine.key_thumbprint
    assert record["source"]["address"] == machine.address
    assert record["details"]["certificate"] == machine.thumbprint


def test_the_token_is_a_jws_that_the_published_keys_verify(world: SignInWorld):
    machine = world.machine().signed_in()
    keys = KeySet.import_key_set(world.get("/jwks").json())
    token = jwt.decode(machine.token, keys, algorithms=["ES256"])
    assert token.header["typ"] == "kzproxy-session+jwt"
    assert token.claims["iss"] == world.url
    assert token.claims["aud"] == "kzproxy"
    bound = base64.urlsafe_b64decode(token.claims["cnf"]["x5t#S256"] + "=").hex()
    assert bound == machine.thumbprint


def test_a_stolen_token_is_worth_nothing(world: SignInWorld):
    """With another machine's certificate, or none: 401, and both thumbprints are written down."""
    machine, thief = world.machine().signed_in(), world.machine().signed_in("developer")
    for shown, presented in ((thief, thief.thumbprint), (None, "none")):
        answer = machine.ask(shown=shown, bare=shown is None)
        assert answer.status == 401
        assert "bound to the certificate" in message_of(answer)
        assert "kzproxy login" in message_of(answer)
        assert f"bound to certificate {machine.thumbprint}, presented was {presented}" in (
            world.proxy.diagnostics
        )
        refusals = [one for one in world.proxy.records() if one.get("cause") == "unauthenticated"]
        assert refusals[-1]["user"]["confirmation"] == machine.thumbprint
        assert refusals[-1]["user"]["session"] == machine.session
        assert refusals[-1]["device"].get("thumbprint", "none") == presented
    assert machine.ask().status == 200


def test_a_token_of_an_issuer_is_taken_beside_those_of_sessions(world: SignInWorld):
    machine = world.machine().signed_in()
    refused = machine.ask(token=machine.token[:-6] + "AAAAAA")
    assert refused.status == 401
    assert "session token" in message_of(refused)
    foreign = machine.ask(token="eyJhbGciOiJFUzI1NiJ9.e30.AAAA")
    assert foreign.status == 401
    assert "session token" not in message_of(foreign)


def test_a_client_may_call_itself_what_it_likes(world: SignInWorld):
    """What is no text is written down as it can be: no sign-in is in the log that gave nothing."""
    machine = world.machine()
    form = {
        "client_id": "kzproxy-cli",
        "grant_type": "authorization_code",
        "code": machine.code(),
        "redirect_uri": REDIRECT_URI,
        "code_verifier": machine.verifier,
        "csr": machine.csr,
    }
    with world.http() as http:
        agent = {"User-Agent": b"\xff" + b"a" * 300}
        machine.take(http.post(f"{world.url}/token", data=form, headers=agent))
    shown = json.loads(machine.ask("/kzproxy.dev/v1/sessions").body)
    [mine] = [one for one in shown["sessions"] if one["id"] == machine.session]
    assert mine["userAgent"].startswith("\\udcffaaa")
    assert mine["userAgent"].endswith("more]")


def test_a_code_is_good_once_and_a_second_use_ends_the_session(world: SignInWorld):
    machine = world.machine()
    code = machine.code()
    machine.take(machine.redeem(code))
    assert machine.ask().status == 200
    assert error_of(machine.redeem(code))[0] == "invalid_grant"
    refused = machine.ask()
    assert refused.status == 401
    assert "used a second time" in message_of(refused)
    assert world.events("auth.session-ended")[-1]["session"] == machine.session


def test_a_session_begins_when_its_person_signed_in(world: SignInWorld):
    machine = world.machine()
    code = machine.code()
    # Whoever ends all that began until now must not be outlived by a code that lies somewhere.
    now = datetime.now(UTC)
    machine.take(machine.redeem(code))
    shown = json.loads(machine.ask("/kzproxy.dev/v1/session").body)
    assert datetime.fromisoformat(shown["beganAt"]) <= now


def test_a_code_is_bound_to_its_client(world: SignInWorld):
    for changes in (
        {"code_verifier": "v" * 43},
        {"code_verifier": ""},
        {"redirect_uri": "http://127.0.0.1:39112/callback"},
        {"redirect_uri": f"{world.url}/code"},
    ):
        machine = world.machine()
        code = machine.code()
        error, words = error_of(machine.redeem(code, **changes))
        assert error == "invalid_grant"
        assert "another client" in words
        # It was shown to somebody else, so it is spent for everybody.
        assert error_of(machine.redeem(code))[0] == "invalid_grant"


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"grant_type": "password"}, "unsupported_grant_type"),
        ({"grant_type": ""}, "unsupported_grant_type"),
        ({"client_id": "kzproxy"}, "invalid_client"),
        ({"client_id": ""}, "invalid_client"),
        ({"csr": ""}, "invalid_request"),
        ({"csr": "-----BEGIN CERTIFICATE REQUEST-----"}, "invalid_request"),
        ({"csr": "x" * 9000}, "invalid_request"),
        ({"code": ""}, "invalid_request"),
        ({"code": "unknown"}, "invalid_grant"),
        ({"code": "ü"}, "invalid_grant"),
        ({"posture": "p" * 50_000}, "invalid_request"),
    ],
)
def test_what_the_token_endpoint_refuses_it_says(
    world: SignInWorld, changes: dict[str, str], error: str
):
    response = world.machine().redeem("code", **changes)
    assert error_of(response)[0] == error
    assert response.headers["cache-control"] == "no-store"


def test_a_request_of_another_form_is_refused(world: SignInWorld):
    with world.http() as http:
        token = f"{world.url}/token"
        assert http.get(token).status_code == 405
        assert error_of(http.post(token, json={"grant_type": "x"}))[0] == "invalid_request"
        assert error_of(http.post(f"{token}?code=x", data={"a": "b"}))[0] == "invalid_request"
        twice = "client_id=kzproxy-cli&grant_type=refresh_token&grant_type=refresh_token"
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        assert "more than once" in error_of(http.post(token, content=twice, headers=form))[1]
        many = "&".join(f"p{n}=1" for n in range(40))
        assert "too many" in error_of(http.post(token, content=many, headers=form))[1]
        large = http.post(token, content="a=" + "b" * 70_000, headers=form)
        assert (large.status_code, large.json()["error"]) == (413, "invalid_request")
        secret = http.post(token, data={"client_id": "kzproxy-cli"}, auth=("kzproxy-cli", "s"))
        assert (secret.status_code, secret.json()["error"]) == (401, "invalid_client")


FORM = "application/x-www-form-urlencoded"


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({"Content-Type": f"{FORM}; charset=idna"}, b"xn--" + b"a" * 30_000 + b"-" + b"a" * 30_000),
        ({"Content-Type": f"{FORM}; charset=bogus"}, b"a=b"),
        ({"Content-Type": f"{FORM}; charset=zlib"}, b"a=b"),
        ({"Content-Type": f"{FORM}; charset=utf-7"}, b"form_token=+2AA-"),
        ({"Content-Type": FORM}, b"form_token=%ED%A0%80"),
        ({"Content-Type": FORM}, b"form_token=\xff"),
        ({"Content-Type": FORM, "Content-Encoding": "gzip"}, b"a=b"),
        ({"Content-Type": FORM, "Content-Encoding": "br"}, b"a=b"),
    ],
)
def test_a_form_that_cannot_be_read_is_nobodys_bug(
    world: SignInWorld, headers: dict[str, str], body: bytes
):
    """Whoever sends it names neither how it is decoded nor how much of that is done."""
    browser = {"Cookie": f"__Host-kzproxy-sign-in={'b' * 43}"}
    before = len(world.proxy.diagnostics)
    with world.http(address="127.0.0.40") as http:
        for path in ("/token", "/revoke", "/device_authorization", "/devices"):
            refused = http.post(f"{world.url}{path}", content=body, headers=headers)
            assert error_of(refused)[0] == "invalid_request", path
        for path in ("/device", "/device/confirm"):
            page = http.post(f"{world.url}{path}", content=body, headers=headers | browser)
            assert (page.status_code // 100, "text/html" in page.headers["content-type"]) == (4, 1)
            assert "cannot be read" in page.text
    assert "Traceback" not in world.proxy.diagnostics[before:]


def test_forms_that_cannot_be_read_are_counted(world: SignInWorld):
    """One a second is given back, so that on a busy machine a few more are answered 415."""
    headers = {"Content-Type": f"{FORM}; charset=idna"}
    sent: list[int] = []
    with world.http(address="127.0.0.41") as http:
        while 429 not in sent and len(sent) < 600:
            answer = http.post(f"{world.url}/token", content=b"a=b", headers=headers)
            sent.append(answer.status_code)
    assert sent[:60] == [415] * 60
    assert set(sent[60:-1]) <= {415}
    assert sent[-1] == 429


def test_a_session_is_renewed_and_its_token_changes(world: SignInWorld):
    machine = world.machine().signed_in()
    first = dict(machine.answer)
    machine.take(machine.renew())
    assert machine.session == first["session_id"]
    assert machine.token != first["access_token"]
    assert machine.renewal != first["refresh_token"]
    assert "certificate" not in machine.answer
    assert claims_of(machine.token)["cnf"] == claims_of(first["access_token"])["cnf"]
    assert machine.ask().status == 200
    assert machine.ask(token=str(first["access_token"])).status == 200


def test_a_renewal_may_bring_a_new_certificate(world: SignInWorld):
    machine = world.machine().signed_in()
    before = machine.thumbprint
    machine.take(machine.renew(csr=machine.csr))
    assert machine.thumbprint != before
    assert machine.ask().status == 200
    other = world.machine()
    assert error_of(machine.renew(csr=other.csr))[0] == "invalid_request"
    machine.take(machine.renew())


def test_a_lost_answer_costs_nothing(world: SignInWorld):
    machine = world.machine().signed_in()
    used = machine.renewal
    lost = machine.renew().json()
    machine.take(machine.renew(used))
    assert machine.renewal != lost["refresh_token"]
    machine.take(machine.renew())
    assert machine.ask().status == 200


def test_an_old_renewal_token_ends_the_session(world: SignInWorld):
    machine = world.machine().signed_in()
    old = machine.renewal
    machine.take(machine.renew())
    machine.take(machine.renew())
    error, words = error_of(machine.renew(old))
    assert error == "invalid_grant"
    assert "somebody else may have it" in words
    refused = machine.ask()
    assert refused.status == 401
    assert "renewal token was used a second time" in message_of(refused)
    error, words = error_of(machine.renew())
    assert error == "invalid_grant"
    assert "used a second time" in words


def test_another_key_renews_nothing_and_ends_nothing(world: SignInWorld):
    machine, thief = world.machine().signed_in(), world.machine().signed_in("developer")
    thief.answer["refresh_token"] = machine.renewal
    error, words = error_of(thief.renew())
    assert error == "invalid_grant"
    assert "another key" in words
    assert error_of(thief.renew(machine.session + "." + "x" * 43))[0] == "invalid_grant"
    error, words = error_of(machine.renew(shown=False))
    assert error == "invalid_grant"
    assert "not presented" in words
    assert world.events("auth.renewal")[-1]["refused"] is True
    machine.take(machine.renew())


def test_the_log_says_whose_session_somebody_could_not_renew_and_what_they_showed(
    world: SignInWorld,
) -> None:
    machine, thief = world.machine().signed_in(), world.machine().signed_in("developer")
    for shown in (True, False):
        thief.renew(machine.renewal, shown=shown)
        refusal = world.events("auth.renewal")[-1]
        assert refusal["refused"] is True
        assert refusal["session"] == machine.session
        assert refusal["user"]["name"] == "idp:operator"
        assert refusal["source"]["address"] == thief.address
        presented = refusal["details"].get("certificate")
        assert presented == (thief.thumbprint if shown else None)
    thief.renew(f"{'0' * 32}.{'x' * 43}")
    refusal = world.events("auth.renewal")[-1]
    assert refusal["session"] == "0" * 32
    assert "user" not in refusal


def test_an_expired_certificate_is_said_to_be_one(world: SignInWorld):
    machine = world.machine().signed_in()
    machine.certify(not_after=datetime.now(UTC) - timedelta(hours=1))
    error, words = error_of(machine.renew())
    assert error == "invalid_grant"
    assert "the client certificate expired at" in words
    assert "kzproxy login" in words


def test_the_first_renewal_is_written_down_and_no_other(world: SignInWorld):
    machine = world.machine().signed_in()
    for _ in range(3):
        machine.take(machine.renew())
    written = [one for one in world.events("auth.renewal") if one.get("session") == machine.session]
    assert len(written) == 1


def test_signing_out_ends_the_session(world: SignInWorld):
    machine = world.machine().signed_in()
    assert machine.post("/revoke", {"token": machine.renewal}).status_code == 200
    refused = machine.ask()
    assert refused.status == 401
    assert "you signed out" in message_of(refused)
    assert error_of(machine.renew())[0] == "invalid_grant"
    assert world.events("auth.sign-out")[-1]["session"] == machine.session
    for token in ("", "nothing", f"{'0' * 32}.{'x' * 43}", machine.renewal):
        assert machine.post("/revoke", {"token": token}).status_code == 200


def test_the_same_person_on_the_same_client_goes_on_in_the_same_session(world: SignInWorld):
    machine = world.machine().signed_in()
    first = machine.session
    machine.signed_in(acr_values="urn:kzproxy:demo:strong")
    assert machine.session == first
    assert machine.ask().status == 200
    machine.take(machine.renew())


def test_a_stronger_sign_in_that_policy_wants_is_asked_for_at_the_next_renewal(
    world: SignInWorld,
):
    machine = world.machine().signed_in("developer")
    secret, session = "/api/v1/namespaces/default/secrets/one", machine.session
    refused = machine.ask(secret)
    assert refused.status == 401
    assert "kzproxy login --acr urn:kzproxy:demo:strong" in message_of(refused)
    deadline = time.monotonic() + 10
    while (response := machine.renew()).status_code == 200:
        machine.take(response)
        assert time.monotonic() < deadline
    assert response.json()["acr_values"] == "urn:kzproxy:demo:strong"
    error, words = error_of(response)
    assert error == "invalid_grant"
    assert "developers-strongly" in words
    # It is said once; the session goes on as it is, and its renewal token is not used up.
    machine.take(machine.renew())
    machine.signed_in("developer", acr_values="urn:kzproxy:demo:strong")
    assert machine.session == session
    assert machine.ask(secret).status == 200
    machine.take(machine.renew())


def test_another_person_on_the_same_client_ends_the_first_ones_session(world: SignInWorld):
    machine = world.machine().signed_in("developer")
    before = dict(machine.answer)
    machine.signed_in("operator")
    assert machine.session != before["session_id"]
    refused = machine.ask(token=str(before["access_token"]))
    assert refused.status == 401
    assert "somebody else signed in on this client" in message_of(refused)
    record = world.events("auth.session-ended")[-1]
    assert (record["session"], record["user"]["name"]) == (before["session_id"], "idp:developer")
    assert record["message"] == "somebody else signed in on this client"
    assert (record["by"], record["source"]["address"]) == ("sign-in", machine.address)


def test_so_does_it_end_one_whose_provider_is_silent(world: SignInWorld):
    machine, long_ago = world.machine(), datetime.now(UTC) - timedelta(minutes=10)
    before = SessionRecord(
        id=secrets.token_hex(16),
        username="demo:developer",
        issuer="https://silent.example.com",
        subject="developer",
        began_at=long_ago,
        ends_at=long_ago + timedelta(hours=12),
        seen_at=datetime.now(UTC),
        verified_at=long_ago,
        key_thumbprint=machine.key_thumbprint,
    )

    async def keep() -> SessionRecord | None:
        """Have it kept where it is not yet, and return it as it is by now."""
        store = SqliteStore.open(world.directory / "kept.db", SystemClock())
        if await store.get(KIND, before.id) is None:
            await store.write(session_put(before, None))
        entry = await store.get(KIND, before.id)
        await store.close()
        return None if entry is None else decoded_session(entry.value)

    assert asyncio.run(keep()) == before
    machine.signed_in("operator")
    ended = asyncio.run(keep())
    assert ended is not None
    assert ended.end_message == "somebody else signed in on this client"


def test_a_terminal_is_let_in_by_its_code(world: SignInWorld):
    machine = world.machine()
    begun = machine.post(
        "/device_authorization",
        {
            "code_challenge": machine.challenge,
            "code_challenge_method": "S256",
            "machine": "build-7",
        },
    ).json()
    assert begun["verification_uri"] == f"{world.url}/device"
    form = {
        "grant_type": DEVICE_CODE_GRANT,
        "device_code": begun["device_code"],
        "code_verifier": machine.verifier,
        "csr": machine.csr,
    }
    assert error_of(machine.post("/token", form))[0] == "authorization_pending"
    assert error_of(machine.post("/token", form))[0] == "slow_down"
    with world.browser() as browser:
        page = browser.get("/device")
        wrong = browser.submit(page, user_code="BBBB-BBBB")
        assert wrong.status_code == 400
        assert "No terminal waits with this code" in wrong.text
        typed = begun["user_code"].lower().replace("-", " ")
        confirm = browser.submit(wrong, user_code=typed)
        assert begun["user_code"] in confirm.text
        assert "build-7" in confirm.text
        assert machine.address in confirm.text
        end = browser.onward(browser.submit(confirm, provider=world.idp.issuer))
        assert isinstance(end, httpx.Response)
        assert "You are signed in" in end.text
        assert "idp:operator" in end.text
    for verifier in ("", "v" * 43, machine.challenge):
        error, words = error_of(machine.post("/token", form | {"code_verifier": verifier}))
        assert error == "invalid_grant"
        assert "not the terminal's" in words
    machine.take(machine.post("/token", form))
    assert machine.ask().status == 200
    assert error_of(machine.post("/token", form))[0] == "invalid_grant"
    assert machine.ask().status == 401


def test_of_two_browsers_that_typed_a_code_the_first_lets_the_terminal_in(world: SignInWorld):
    machine = world.machine("127.0.0.42")
    begun = machine.post("/device_authorization", {}).json()
    with world.browser("127.0.0.42") as first, world.browser("127.0.0.42") as second:
        sent = []
        for browser in (first, second):
            page = browser.get(f"/device?user_code={begun['user_code']}")
            sent.append(browser.submit(browser.submit(page), provider=world.idp.issuer))
        end = first.onward(sent[0], "operator")
        assert isinstance(end, httpx.Response)
        assert "The terminal goes on as idp:operator" in end.text
        late = second.onward(sent[1], "developer")
        assert isinstance(late, httpx.Response)
        assert "used already" in late.text
    form = {"grant_type": DEVICE_CODE_GRANT, "device_code": begun["device_code"]}
    answer = machine.post("/token", form | {"csr": machine.csr})
    assert answer.json()["username"] == "idp:operator"


@pytest.mark.parametrize(
    ("form", "error"),
    [
        ({"client_id": "another"}, "invalid_client"),
        ({"code_challenge": "c" * 43}, "invalid_request"),
        ({"code_challenge": "c" * 43, "code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge": "short", "code_challenge_method": "S256"}, "invalid_request"),
        ({"code_challenge_method": "S256"}, "invalid_request"),
        ({"prompt": "none"}, "invalid_request"),
        ({"max_age": "soon"}, "invalid_request"),
    ],
)
def test_a_terminal_asks_as_it_should_or_gets_no_code(
    world: SignInWorld, form: dict[str, str], error: str
):
    answer = world.machine("127.0.0.42").post("/device_authorization", form)
    assert error_of(answer)[0] == error


def test_a_terminal_is_turned_away(world: SignInWorld):
    machine = world.machine()
    begun = machine.post("/device_authorization", {}).json()
    with world.browser() as browser:
        page = browser.get(f"/device?user_code={begun['user_code']}")
        assert begun["user_code"] in page.text
        confirm = browser.submit(page)
        ended = browser.submit(confirm, provider="")
        assert "Turned away" in ended.text
    form = {"grant_type": DEVICE_CODE_GRANT, "device_code": begun["device_code"]}
    error, _ = error_of(machine.post("/token", form | {"csr": machine.csr}))
    assert error == "access_denied"
    unknown = form | {"device_code": "unknown", "csr": machine.csr}
    assert error_of(machine.post("/token", unknown))[0] == "expired_token"


def test_a_code_is_pasted_where_the_browser_is_elsewhere(world: SignInWorld):
    machine, page_uri = world.machine(), f"{world.url}/code"
    with world.browser() as browser:
        end = browser.walk(machine.authorization(redirect_uri=page_uri))
    assert isinstance(end, httpx.Response)
    [code] = re.findall(r'class="shown long"[^>]*>([^<]+)<', end.text)
    assert "idp:operator" in end.text
    machine.take(machine.redeem(code, redirect_uri=page_uri))
    assert machine.ask().status == 200


@pytest.mark.parametrize(
    "redirect_uri",
    [
        None,
        "",
        "https://evil.example/callback",
        "http://127.0.0.1/callback",
        "http://127.0.0.1:0/callback",
        "http://127.0.0.1:99999/callback",
        "http://127.0.0.1:39111/callback/",
        "http://127.0.0.1:39111/callback?x=1",
        "http://127.0.0.1:39111/callback#f",
        "http://127.0.0.1:39111/other",
        "http://localhost:39111/callback",
        "http://user@127.0.0.1:39111/callback",
        "http://127.0.0.1:39111@evil.example/callback",
        "https://127.0.0.1:39111/callback",
        "http://127.0.0.1:39111/callback\n",
        "//evil.example",
        "/\\evil.example",
        "javascript:alert(1)",
        "http://127.0.0.1:39111/%63allback",
        "http://0177.0.0.1:39111/callback",
    ],
)
def test_e6_11_an_answer_goes_nowhere_but_to_the_client(
    world: SignInWorld, redirect_uri: str | None
):
    with world.browser() as browser:
        page = browser.get(world.machine().authorization(redirect_uri=redirect_uri))
    assert page.status_code == 400
    assert "http-equiv" not in page.text
    assert "location" not in page.headers


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"response_type": None}, "unsupported_response_type"),
        ({"code_challenge": None}, "invalid_request"),
        ({"code_challenge": "short"}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge_method": None}, "invalid_request"),
        ({"response_mode": "fragment"}, "invalid_request"),
        ({"request": "e30.e30."}, "request_not_supported"),
        ({"max_age": "-1"}, "invalid_request"),
        ({"max_age": "99999999999"}, "invalid_request"),
        ({"prompt": "none"}, "invalid_request"),
    ],
)
def test_e6_10_a_bad_wish_is_told_to_the_client(
    world: SignInWorld, changes: dict[str, str | None], error: str
):
    machine = world.machine()
    with world.browser() as browser:
        end = browser.walk(machine.authorization(**changes))
    assert isinstance(end, str)
    assert end.startswith(f"{REDIRECT_URI}?")
    said = dict(parse_qsl(urlsplit(end).query))
    assert (said["error"], said["state"], said["iss"]) == (error, machine.state, world.url)


def test_an_unknown_client_is_shown_a_page(world: SignInWorld):
    with world.browser() as browser:
        page = browser.get(world.machine().authorization(client_id="evil"))
        twice = browser.get(world.machine().authorization() + "&state=other")
    assert (page.status_code, twice.status_code) == (400, 400)
    assert "cannot be read" in twice.text


def test_a_sign_in_ends_in_the_browser_that_it_began_in(world: SignInWorld):
    """Login CSRF: whoever gets the victim to follow the last link does not sign them in."""
    with world.browser() as attacker, world.browser() as victim:
        response = attacker.get(world.machine().authorization())
        places = []
        for _ in range(6):
            place = next_place(response)
            if place and place.startswith(f"{world.url}/callback"):
                places.append(place)
                break
            response = (
                attacker.http.get(place) if place else attacker.submit(response, user="operator")
            )
        [place] = places
        refused = victim.http.get(place)
        assert refused.status_code == 403
        assert "another browser" in refused.text
        # It is not used up by that.
        end = attacker.onward(attacker.http.get(place))
        assert isinstance(end, str)
        assert "code=" in end
        again = attacker.http.get(place)
        assert again.status_code == 400
        assert "used already" in again.text


def test_forms_are_taken_from_the_browser_that_was_shown_them(world: SignInWorld):
    begun = world.machine().post("/device_authorization", {}).json()
    with world.browser() as one, world.browser() as other:
        page = one.get("/device")
        other.get("/device")
        refused = other.submit(page, user_code=begun["user_code"])
        assert refused.status_code == 403
        bare = httpx.Client(verify=False)
        assert bare.post(f"{world.url}/device", data={"user_code": "x"}).status_code == 403
        bare.close()


def test_the_provider_or_the_person_may_say_no(world: SignInWorld):
    machine = world.machine()
    with world.browser() as browser:
        response = browser.get(machine.authorization())
        place = next_place(response)
        page = browser.http.get(place)
        end = browser.onward(browser.submit(page, user=""), user="nobody")
    assert isinstance(end, str)
    said = dict(parse_qsl(urlsplit(end).query))
    assert said["error"] == "access_denied"
    assert "turned the sign-in down" in said["error_description"]
    assert world.events("auth.sign-in")[-1]["refused"] is True


def test_an_answer_to_no_question_is_refused(world: SignInWorld):
    with world.browser() as browser:
        for query in ("", "?state=x&code=y", "?code=y", f"?state={'s' * 5000}", "?error=e&state=x"):
            page = browser.get(f"/callback{query}")
            assert page.status_code == 400


def test_every_answer_has_the_headers_that_protect_it(world: SignInWorld):
    for path in ("/", "/device", "/code", "/authorize", "/style.css", "/jwks", "/nothing"):
        headers = world.get(path).headers
        assert headers["cache-control"] == "no-store"
        assert headers["x-frame-options"] == "DENY"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["server"] == "kzproxy"
        # For all ports of a name: never for localhost, where others serve without TLS.
        assert "strict-transport-security" not in headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "script" not in headers["content-security-policy"]
    cookie = world.get("/device").headers["set-cookie"]
    assert cookie.startswith("__Host-kzproxy-sign-in=")
    for part in ("Secure", "HttpOnly", "Path=/", "SameSite=Lax"):
        assert part in cookie
    assert "Domain" not in cookie


def test_it_answers_to_its_own_name_only(world: SignInWorld):
    assert world.get("/", headers={"Host": "evil.example"}).status_code == 421
    port = urlsplit(world.url).port
    with httpx.Client(verify=False) as http:
        assert http.get(f"https://127.0.0.1:{port}/").status_code == 421


def test_codes_are_not_guessed(world: SignInWorld):
    begun = world.machine().post("/device_authorization", {}).json()
    with world.browser(address="127.0.0.9") as browser:
        page = browser.get("/device")
        answers = [browser.submit(page, user_code="CCCC-CCCC").status_code for _ in range(12)]
        assert answers[:10] == [400] * 10
        assert answers[10:] == [429, 429]
        right = browser.submit(page, user_code=begun["user_code"])
        assert right.status_code == 429
        assert "wait a minute" in right.text
    with world.browser() as browser:
        assert browser.submit(browser.get("/device"), user_code=begun["user_code"]).is_success


def test_whoever_guesses_from_many_addresses_keeps_nobody_from_typing(world: SignInWorld):
    waiting = world.machine().post("/device_authorization", {}).json()
    guessed: list[int] = []
    for number in range(20, 28):
        with world.browser(address=f"127.0.0.{number}") as attacker:
            page = attacker.get("/device")
            guessed += [attacker.submit(page, user_code="CCCC-CCCC").status_code for _ in range(10)]
    assert guessed[-1] == 429
    with world.browser() as browser:
        assert browser.submit(browser.get("/device"), user_code=waiting["user_code"]).is_success


def test_who_has_too_many_sessions_loses_the_oldest(world: SignInWorld):
    machines: list[Machine] = []
    for _ in range(21):
        machines.append(world.machine().signed_in("guest"))
        time.sleep(0.01)
    refused = machines[0].ask()
    assert refused.status == 401
    assert "signed in more often" in message_of(refused)
    assert machines[1].ask().status == 403
    record = world.events("auth.session-ended")[-1]
    assert (record["session"], record["user"]["name"]) == (machines[0].session, "idp:guest")
    assert "more often than `sessions.perUser` allows" in record["message"]


def test_no_word_of_an_address_is_shown_as_ours(world: SignInWorld):
    """A link could have a person read, on our page, whatever its writer likes."""
    spoof = "Call-us-at-0800"
    for path in ("/", "/code", "/device", "/callback", "/authorize"):
        for name in ("code", "error", "error_description", "state", "user_code", "provider"):
            assert spoof[:16] not in world.get(f"{path}?{name}={spoof}{'x' * 30}").text or (
                (path, name) == ("/device", "user_code")
            )
    assert "<script>" not in world.get("/device?user_code=<script>").text


def test_a_session_outlives_another_mapping_of_its_provider(
    world: SignInWorld, api_server: ScriptedApiServer
):
    """Whoever was mapped by the old one is nobody for the moment that the provider is asked in."""
    machine = world.machine().signed_in()
    assert machine.ask().status == 200
    file = world.directory / "authentication.yaml"
    before = file.read_text()
    document = yaml.safe_load(before)
    document["jwt"][0]["claimMappings"]["uid"] = {"claim": "sub"}
    seen = set()
    try:
        file.write_text(yaml.safe_dump(document))
        deadline = time.monotonic() + 30
        while b"impersonate-uid" not in (api_server.heads or [b""])[-1].lower():
            assert time.monotonic() < deadline, world.proxy.diagnostics
            seen.add(machine.ask().status)
            time.sleep(0.05)
    finally:
        file.write_text(before)
    assert seen <= {200, 503}
    deadline = time.monotonic() + 30
    while b"impersonate-uid" in api_server.heads[-1].lower():
        assert time.monotonic() < deadline, world.proxy.diagnostics
        machine.ask()
        time.sleep(0.05)
    assert machine.ask().status == 200


def test_a_kzproxy_that_issues_nothing_takes_the_devices_own_certificate(
    surroundings: Surroundings, tmp_path: Path
):
    with (
        scripted_api_server(tmp_path, surroundings.authority) as server,
        running_sign_in_world(
            tmp_path,
            surroundings.authority,
            server.upstream(),
            devices={"certificateAuthorityFile": "device-ca.crt"},
        ) as world,
    ):
        machine = world.machine()
        error, words = error_of(machine.redeem(machine.code()))
        assert error == "invalid_grant"
        assert "issues no certificates" in words
        machine.certify(not_after=datetime.now(UTC) + timedelta(days=300))
        form = {
            "grant_type": "authorization_code",
            "code": machine.code(),
            "redirect_uri": REDIRECT_URI,
            "code_verifier": machine.verifier,
            "csr": machine.csr,
        }
        machine.take(machine.post("/token", form, shown=True))
        assert "certificate" not in machine.answer
        assert machine.ask().status == 200
        machine.take(machine.renew(csr=machine.csr))
        assert machine.ask(bare=True).status == 401


def test_who_is_asked_for_nothing_is_told_where_to_begin(world: SignInWorld):
    page = world.get("/")
    assert "kzproxy login" in page.text


def revoked(world: SignInWorld, by: Machine, user: str) -> Answer:
    """End everything of a user, as an administrator."""
    with RawClient(world.proxy.port, world.ca_file, certificate=by.files()) as client:
        target = f"/kzproxy.dev/v1/sessions?user={user}&message=laptop%20lost"
        return client.ask(request("DELETE", target, by.token))


def test_an_administrator_who_ends_their_own_sessions_is_told_which(world: SignInWorld):
    administrator, other = world.machine().signed_in(), world.machine().signed_in()
    told = revoked(world, administrator, "idp:operator")
    assert told.status == 200
    assert len(told.json["ended"]) >= 2
    assert (administrator.ask().status, other.ask().status) == (401, 401)


def test_a_sign_in_that_was_begun_before_a_revocation_gives_no_session(world: SignInWorld):
    administrator, machine = world.machine().signed_in(), world.machine()
    with world.browser() as browser:
        at_the_provider = browser.get(machine.authorization())
        terminal = world.machine()
        waiting = terminal.post("/device_authorization", {}).json()
        code = machine.code("developer")
        assert revoked(world, administrator, "idp:developer").status == 200
        refused = machine.redeem(code)
        assert error_of(refused)[0] == "invalid_grant"
        assert "laptop lost; sign in again with `kzproxy login`" in refused.text
        end = browser.onward(at_the_provider, "developer")
        assert isinstance(end, str)
        later = machine.redeem(dict(parse_qsl(urlsplit(end).query))["code"])
        assert "laptop lost; sign in again" in later.text
        [*_, record] = world.events("auth.sign-in")
        assert record["refused"] is True, record
        assert "laptop lost" in record["message"]
        page = browser.submit(browser.get("/device"), user_code=waiting["user_code"])
        answer = browser.onward(browser.submit(page, provider=world.idp.issuer), "developer")
        assert not isinstance(answer, str)
        form = {"grant_type": DEVICE_CODE_GRANT, "device_code": waiting["device_code"]}
        assert terminal.post("/token", form | {"csr": terminal.csr}).status_code == 200
    assert machine.signed_in("developer").session
