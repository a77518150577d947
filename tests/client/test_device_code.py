"""The device authorization grant (RFC 8628)."""

import base64
import json
import threading

import httpx
import pytest

from kzproxy.client.device_code import DeviceAuthorization, DeviceCodeFlow
from kzproxy.client.failure import ClientFailure
from kzproxy.client.id_token import read_claims
from kzproxy.client.issuer_http import IssuerHttp
from kzproxy.client.plugin_settings import IssuerClient
from kzproxy.client.provider import discover
from kzproxy.client.token_endpoint import DEVICE_CODE_GRANT, Refused, TokenEndpoint, Tokens
from tests.client.plugin_runs import Plugin
from tests.client.rude_issuer import RudeIssuer, Scripted
from tests.client.stepping_clock import SteppingClock
from tests.servers.foreign_idp.page_agent import browser, press_through

PENDING = Scripted.json({"error": "authorization_pending"}, status=400)
SLOW_DOWN = Scripted.json({"error": "slow_down"}, status=400)
DEVICE = {
    "device_code": "secret-device-code",
    "user_code": "WDJB-MJHT",
    "verification_uri": "https://issuer.test/device",
    "expires_in": 600,
}


class Scene:
    """A flow at a scripted issuer, and what the user was shown."""

    def __init__(self, http: IssuerHttp, rude: RudeIssuer, clock: SteppingClock) -> None:
        rude.discovers()
        rude.answers("/device", [Scripted.json(DEVICE)])
        self.rude = rude
        self.clock = clock
        self.shown: list[DeviceAuthorization] = []
        self.provider = discover(http, rude.issuer)
        client = IssuerClient(issuer=rude.issuer, client_id="kzproxy")
        endpoint = TokenEndpoint(http, self.provider, client)
        self.flow = DeviceCodeFlow(self.provider, endpoint, "kzproxy", clock, clock.sleep)

    def run(self, *answers: Scripted, timeout_seconds: float = 180, prompt: str = "") -> Tokens:
        self.rude.answers("/token", answers)
        deadline = self.clock.monotonic() + timeout_seconds
        return self.flow.run(("openid", "offline_access"), prompt, deadline, self.shown.append)

    def tokens(self, **claims: object) -> Scripted:
        found = {"iss": self.rude.issuer, "aud": "kzproxy", "sub": "alice", **claims}
        payload = base64.urlsafe_b64encode(json.dumps(found).encode()).rstrip(b"=").decode()
        return Scripted.json({"id_token": f"e30.{payload}.c2ln", "token_type": "Bearer"})


@pytest.fixture
def scene(http: IssuerHttp, rude_issuer: RudeIssuer, stepping_clock: SteppingClock) -> Scene:
    return Scene(http, rude_issuer, stepping_clock)


def test_it_asks_every_five_seconds_until_the_user_is_done(scene: Scene) -> None:
    tokens = scene.run(PENDING, PENDING, scene.tokens())
    assert read_claims(tokens.id_token)["sub"] == "alice"
    assert scene.clock.sleeps == [5, 5, 5]
    [shown] = scene.shown
    assert (shown.verification_uri, shown.user_code) == (DEVICE["verification_uri"], "WDJB-MJHT")
    asked, *polls = scene.rude.forms
    assert asked["scope"] == "openid offline_access"
    assert {poll["device_code"] for poll in polls} == {"secret-device-code"}
    assert {poll["grant_type"] for poll in polls} == {DEVICE_CODE_GRANT}


def test_a_place_by_the_name_that_google_has_for_it_is_shown(scene: Scene) -> None:
    """It had the grant before RFC 8628 did, with ``verification_url``."""
    google = {name: DEVICE[name] for name in DEVICE if name != "verification_uri"}
    place = {"verification_url": "https://www.google.test/device"}
    scene.rude.answers("/device", [Scripted.json(google | place)])
    scene.run(scene.tokens())
    assert scene.shown[0].verification_uri == "https://www.google.test/device"


def test_the_issuers_interval_counts(scene: Scene) -> None:
    scene.rude.answers("/device", [Scripted.json(DEVICE | {"interval": 7})])
    scene.run(PENDING, scene.tokens())
    assert scene.clock.sleeps == [7, 7]


def test_slow_down_adds_five_seconds_for_good(scene: Scene) -> None:
    scene.run(PENDING, SLOW_DOWN, PENDING, SLOW_DOWN, scene.tokens())
    assert scene.clock.sleeps == [5, 5, 10, 10, 15]


def test_an_issuer_that_is_away_is_asked_less_often(scene: Scene) -> None:
    away = Scripted(status=503)
    scene.run(away, away, PENDING, scene.tokens())
    assert scene.clock.sleeps == [5, 10, 20, 20]


@pytest.mark.parametrize(
    ("error", "said"),
    [
        ("expired_token", "the code has ended before it was entered"),
        ("access_denied", "signing in was refused at the issuer"),
    ],
)
def test_an_end_is_an_end(scene: Scene, error: str, said: str) -> None:
    with pytest.raises(ClientFailure, match=said):
        scene.run(PENDING, Scripted.json({"error": error}, status=400))
    assert scene.clock.sleeps == [5, 5]


def test_another_error_is_told_as_the_issuer_put_it(scene: Scene) -> None:
    error = {"error": "invalid_client", "error_description": "not you"}
    with pytest.raises(Refused, match="the issuer refused: not you"):
        scene.run(Scripted.json(error, status=401))


def test_it_ends_with_the_code(scene: Scene) -> None:
    scene.rude.answers("/device", [Scripted.json(DEVICE | {"expires_in": 12})])
    with pytest.raises(ClientFailure, match="nobody entered the code in time"):
        scene.run(PENDING)
    assert scene.clock.sleeps == [5, 5]


def test_it_ends_with_the_users_patience(scene: Scene) -> None:
    with pytest.raises(ClientFailure, match="nobody entered the code in time"):
        scene.run(PENDING, timeout_seconds=22)
    assert scene.clock.sleeps == [5, 5, 5, 5]


@pytest.mark.parametrize(
    "changes",
    [
        {"device_code": None},
        {"user_code": 5},
        {"verification_uri": None},
        {"verification_uri": "http://issuer.test"},
        {"verification_uri": "http://issuer.test", "verification_url": "https://issuer.test"},
        {"verification_uri_complete": "javascript:x"},
        {"expires_in": None},
        {"expires_in": -1},
        {"expires_in": float("nan")},
        {"interval": 0},
        {"interval": "5"},
        {"interval": True},
        {"interval": 10**400},
        {"expires_in": 10**400},
        {"expires_in": float("inf")},
    ],
)
def test_an_answer_of_the_wrong_shape_is_refused(scene: Scene, changes: dict[str, object]) -> None:
    scene.rude.answers("/device", [Scripted.json(DEVICE | changes)])
    with pytest.raises(ClientFailure, match="the issuer's"):
        scene.run(scene.tokens())
    assert scene.clock.sleeps == []


def test_a_token_of_somebody_elses_client_is_refused(scene: Scene) -> None:
    with pytest.raises(ClientFailure, match="is for 'other', not for client 'kzproxy'"):
        scene.run(scene.tokens(aud="other"))


def test_consent_is_asked_for_only_with_a_refresh_token(scene: Scene) -> None:
    scene.run(scene.tokens(), prompt="consent")
    assert scene.rude.forms[0]["prompt"] == "consent"
    scene.flow.run(("openid",), "consent", scene.clock.monotonic() + 60, scene.shown.append)
    assert "prompt" not in scene.rude.forms[2]


def test_the_code_proves_the_client_as_in_the_browser(scene: Scene) -> None:
    scene.run(scene.tokens())
    asked, poll = scene.rude.forms
    assert asked["code_challenge_method"] == "S256"
    assert len(poll["code_verifier"]) == 64


def test_the_secret_code_does_not_print() -> None:
    assert "secret" not in repr(DeviceAuthorization.parse(dict(DEVICE)))


def test_a_user_enters_the_code_at_a_real_provider(plugin: Plugin) -> None:
    process = plugin.start("--flow=device-code")
    assert process.stderr
    lines: list[str] = []
    for line in process.stderr:
        lines.append(line)
        if "or open this" in line:
            lines.append(process.stderr.readline())
            break
    uri = lines[1].split()[-1]
    code = lines[2].split()[-1]

    def enter() -> None:
        with browser(plugin.idp.ca_file) as client:
            press_through(client, uri, "bob", user_code=code)

    thread = threading.Thread(target=enter)
    thread.start()
    out, _ = process.communicate(timeout=60)
    thread.join()
    claims = read_claims(json.loads(out)["status"]["token"])
    assert claims["sub"] == "bob"
    assert claims["groups"] == ["operators", "on,call"]
    assert lines[3].startswith("kzproxy: or open this, and compare the code:")
    assert isinstance(httpx.URL(lines[4].split()[-1]).params["user_code"], str)
    assert plugin.tabs == 0
    plugin.change_entry(refresh_at=0)
    assert read_claims(plugin.token())["sub"] == "bob"
