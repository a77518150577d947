"""Authorization code with PKCE at a real provider; the test is the browser.

The rows of protocol catalogue E6.10 that a client can answer for. One it cannot: an issuer that
drops ``code_challenge`` gives a code that anybody may redeem, and its answers look the same to the
client. What the client does is to send S256 always, to refuse an issuer whose discovery document
does without it, and to demand its own ``nonce`` in the ID token, which an injected code lacks.
"""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from urllib.parse import parse_qs, urlencode, urljoin, urlsplit

import httpx
import pytest

from kzproxy.client.authorization_code import AuthorizationCodeFlow
from kzproxy.client.callback_listener import CallbackListener
from kzproxy.client.failure import ClientFailure
from kzproxy.client.id_token import read_claims
from kzproxy.client.issuer_http import IssuerHttp
from kzproxy.client.plugin_settings import IssuerClient
from kzproxy.client.provider import Provider, discover
from kzproxy.client.token_endpoint import Refused, TokenEndpoint, Tokens
from kzproxy.clock.system import SystemClock
from tests.servers.foreign_idp.page_agent import PageForm, browser
from tests.servers.foreign_idp.process import CLIENT_ID, ForeignIdp

WAIT_SECONDS = 20.0
SCOPES = ("openid", "offline_access", "groups")

Act = Callable[["Browser"], None]


class Browser:
    """What stands between issuer and client, and may be anybody's.

    Attributes:
        url: Where the client sent it.
        pages: What the client's callback answered, in order.
    """

    def __init__(self, idp: ForeignIdp, url: str) -> None:
        self.idp = idp
        self.url = url
        self.asked = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
        self.pages: list[httpx.Response] = []

    def sign_in(self, url: str = "", user: str = "alice") -> dict[str, str]:
        """Sign in; return what the client would be sent, without sending it."""
        with browser(self.idp.ca_file) as client:
            response = client.get(url or self.url)
            while True:
                if response.is_redirect:
                    target = urljoin(str(response.url), response.headers["location"])
                    if target.startswith(self.asked["redirect_uri"]):
                        query = parse_qs(urlsplit(target).query)
                        return {name: values[0] for name, values in query.items()}
                    response = client.get(target)
                    continue
                form = PageForm(response.text)
                assert form.action is not None, response.text
                fields = form.fields | {"login": user, "password": "any"}
                response = client.post(urljoin(str(response.url), form.action), data=fields)

    def come_back(self, parameters: dict[str, str]) -> None:
        """Call the client's redirect URI."""
        with httpx.Client(timeout=WAIT_SECONDS) as client:
            url = f"{self.asked['redirect_uri']}?{urlencode(parameters)}"
            self.pages.append(client.get(url))


class Scene:
    """A client that signs in, in the thread of the test, and a browser in another."""

    def __init__(self, http: IssuerHttp, idp: ForeignIdp) -> None:
        self.idp = idp
        self.provider = discover(http, idp.issuer)
        self.endpoint = TokenEndpoint(
            http, self.provider, IssuerClient(issuer=idp.issuer, client_id=CLIENT_ID)
        )
        self.browsers: list[Browser] = []

    @property
    def pages(self) -> list[httpx.Response]:
        [browser] = self.browsers
        return browser.pages

    def run(
        self, act: Act, *, provider: Provider | None = None, seconds: float = WAIT_SECONDS
    ) -> Tokens:
        flow = AuthorizationCodeFlow(
            provider or self.provider, self.endpoint, CLIENT_ID, prompt="consent"
        )
        clock = SystemClock()
        with self._acting(act) as send_to, CallbackListener((), clock) as listener:
            return flow.run(listener, SCOPES, clock.monotonic() + seconds, send_to)

    @contextmanager
    def _acting(self, act: Act) -> Iterator[Callable[[str], None]]:
        threads: list[threading.Thread] = []

        def send_to(url: str) -> None:
            self.browsers.append(Browser(self.idp, url))
            threads.append(threading.Thread(target=act, args=(self.browsers[-1],)))
            threads[-1].start()

        try:
            yield send_to
        finally:
            for thread in threads:
                thread.join()


@pytest.fixture
def scene(http: IssuerHttp, foreign_idp: ForeignIdp) -> Scene:
    return Scene(http, foreign_idp)


def signs_in(browser: Browser) -> None:
    browser.come_back(browser.sign_in())


def test_a_user_signs_in(scene: Scene) -> None:
    tokens = scene.run(signs_in)
    assert read_claims(tokens.id_token)["sub"] == "alice"
    assert tokens.refresh_token
    [page] = scene.pages
    assert page.status_code == 200
    assert "You are signed in" in page.text
    assert "You can close this tab" in page.text


def test_the_page_holds_neither_code_nor_token(scene: Scene) -> None:
    sent: dict[str, str] = {}

    def act(browser: Browser) -> None:
        sent.update(browser.sign_in())
        browser.come_back(sent)

    tokens = scene.run(act)
    [page] = scene.pages
    for secret in (sent["code"], sent["state"], tokens.id_token, tokens.refresh_token):
        assert secret not in page.text
        assert secret not in str(page.headers)


def test_the_request_has_state_nonce_and_an_s256_challenge(scene: Scene) -> None:
    scene.run(signs_in)
    scene.run(signs_in)
    first, second = (browser.asked for browser in scene.browsers)
    assert first["response_type"] == "code"
    assert first["code_challenge_method"] == "S256"
    assert first["scope"] == " ".join(SCOPES)
    assert first["redirect_uri"].startswith("http://127.0.0.1:")
    for name in ("state", "nonce", "code_challenge"):
        assert len(first[name]) >= 43
        assert first[name] != second[name]


def test_a_foreign_state_is_refused_and_waited_past(scene: Scene) -> None:
    def act(browser: Browser) -> None:
        browser.come_back({"code": "injected", "state": "foreign", "iss": scene.idp.issuer})
        browser.come_back({"code": "injected", "iss": scene.idp.issuer})
        browser.come_back({"error": "access_denied", "state": ""})
        signs_in(browser)

    assert read_claims(scene.run(act).id_token)["sub"] == "alice"
    assert [page.status_code for page in scene.pages] == [400, 400, 400, 200]
    assert "does not belong to this sign-in" in scene.pages[0].text


def test_the_callback_works_once(scene: Scene) -> None:
    scene.run(signs_in)
    [browser] = scene.browsers
    with pytest.raises(httpx.ConnectError):
        signs_in(browser)


def test_an_answer_that_does_not_name_its_issuer_is_refused(scene: Scene) -> None:
    """RFC 9207: this issuer says that it names itself, so one that does not is another."""

    def act(browser: Browser) -> None:
        parameters = browser.sign_in()
        assert parameters.pop("iss") == scene.idp.issuer
        browser.come_back(parameters)

    with pytest.raises(ClientFailure, match="does not name its issuer"):
        scene.run(act)
    [page] = scene.pages
    assert page.status_code == 400


def test_an_issuer_that_never_names_itself_need_not(scene: Scene) -> None:
    def act(browser: Browser) -> None:
        parameters = browser.sign_in()
        del parameters["iss"]
        browser.come_back(parameters)

    silent = replace(scene.provider, names_itself=False)
    assert scene.run(act, provider=silent).id_token


@pytest.mark.parametrize("names_itself", [True, False])
def test_another_issuers_answer_is_refused(scene: Scene, *, names_itself: bool) -> None:
    def act(browser: Browser) -> None:
        browser.come_back(browser.sign_in() | {"iss": "https://evil.test"})

    provider = replace(scene.provider, names_itself=names_itself)
    with pytest.raises(ClientFailure, match=r"is from issuer 'https://evil.test'"):
        scene.run(act, provider=provider)


def test_a_code_that_was_asked_for_with_another_challenge_is_refused(scene: Scene) -> None:
    """Somebody else's code, injected with the right state: PKCE at the issuer stops it."""

    def act(browser: Browser) -> None:
        theirs = browser.url.replace(browser.asked["code_challenge"], "A" * 43)
        browser.come_back(browser.sign_in(theirs, user="bob"))

    with pytest.raises(Refused, match="the issuer refused"):
        scene.run(act)


def test_a_code_that_was_asked_for_with_another_nonce_is_refused(scene: Scene) -> None:
    """The same, by somebody who saw the challenge: the nonce stops it here."""

    def act(browser: Browser) -> None:
        theirs = browser.url.replace(browser.asked["nonce"], "A" * 43)
        browser.come_back(browser.sign_in(theirs, user="bob"))

    with pytest.raises(ClientFailure, match="does not belong to this sign-in"):
        scene.run(act)


def test_the_issuers_error_is_told_and_shown_as_text(scene: Scene) -> None:
    def act(browser: Browser) -> None:
        said = {"error": "access_denied", "error_description": "<b>no</b>"}
        browser.come_back({**said, "state": browser.asked["state"], "iss": scene.idp.issuer})

    with pytest.raises(Refused, match="the issuer refused: <b>no</b>"):
        scene.run(act)
    [page] = scene.pages
    assert "&lt;b&gt;no&lt;/b&gt;" in page.text
    assert "<b>" not in page.text


def test_an_answer_without_code_is_refused(scene: Scene) -> None:
    def act(browser: Browser) -> None:
        browser.come_back({"state": browser.asked["state"], "iss": scene.idp.issuer})

    with pytest.raises(ClientFailure, match="without a code"):
        scene.run(act)


def test_a_user_who_does_not_come_back_is_not_waited_for_for_ever(scene: Scene) -> None:
    with pytest.raises(ClientFailure, match="nobody signed in in the browser in time"):
        scene.run(lambda browser: None, seconds=0.1)


def test_who_only_connects_does_not_hold_the_sign_in_up(scene: Scene) -> None:
    def act(browser: Browser) -> None:
        address = urlsplit(browser.asked["redirect_uri"])
        with socket.create_connection((address.hostname, address.port)):
            signs_in(browser)

    assert scene.run(act).id_token
