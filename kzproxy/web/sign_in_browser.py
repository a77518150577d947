"""The browser's way: to the identity provider, back from it, and on to the client with a code.

RFC 6749 section 4.1, RFC 7636, RFC 9207; towards the provider kzproxy is a client likewise.
"""

import logging
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from urllib.parse import urlencode

import msgspec
from aiohttp import web

from kzproxy.authentication.provider_authorization import AuthorizationWish, FlowSecrets
from kzproxy.authentication.provider_client import ProviderClient, SignedIn
from kzproxy.authentication.provider_errors import ProviderRefusal, ProviderSilence
from kzproxy.errors.kinds import Unauthenticated
from kzproxy.web.browser_cookie import check_browser, remembered_in, value_or_new
from kzproxy.web.oauth_client import CLIENT_ID, is_challenge, is_redirect_uri
from kzproxy.web.oauth_errors import PageRefusal
from kzproxy.web.oauth_parameters import Parameters, page_query
from kzproxy.web.sign_in_desk import SignInDesk, callback_path, remote
from kzproxy.web.sign_in_flows import (
    CODE_LIFE,
    FLOW_LIFE,
    BrowserFlow,
    CodeGrant,
    DeviceFlow,
    Found,
    Person,
    Wish,
    code_key,
    digest,
    flow_key,
    new_secret,
)

log = logging.getLogger(__name__)

_MAX_AGE_SECONDS = 365 * 24 * 3600
_PROMPTS = frozenset({"", "login", "consent", "select_account"})
_GONE = (
    "This sign-in was used already, or it is too old, or it never began here."
    " Run the command again."
)
_NOT_IN = "You are not signed in"
_NOWHERE = "This kzproxy has no identity provider to sign in at now. Ask whoever runs it."
_SILENT = "The identity provider cannot be reached now. Try again in a moment."
_UNUSABLE = (
    "The identity provider gives no answer that kzproxy can use. Ask whoever runs kzproxy: its log"
    " says why."
)


class BrowserSignIn:
    """Serves ``/authorize``, ``/callback`` and ``/code``."""

    def __init__(self, desk: SignInDesk) -> None:
        self._desk = desk

    async def authorize(self, request: web.Request) -> web.Response:
        """Begin a sign-in (RFC 6749 section 4.1.1).

        What is wrong with the client or its redirect URI is shown and sent nowhere; all other
        faults are told to the client.
        """
        query = page_query(request)
        wish = self._wish(query)
        fault = _fault(query)
        if fault is not None:
            return self._answered(wish, {"error": fault[0], "error_description": fault[1]})
        providers = self._desk.providers()
        if not providers:
            raise PageRefusal(_NOWHERE, status=503)
        provider = self._desk.provider(query["provider"])
        if provider is None and len(providers) > 1:
            return self._choice(query, providers)
        return await self.send_to_provider(request, provider or providers[0], wish)

    async def send_to_provider(
        self, request: web.Request, provider: ProviderClient, wish: Wish, device: str = ""
    ) -> web.Response:
        """Remember a flow and send the browser off; ``device`` is the flow that it decides."""
        self._desk.limits.begun.take(remote(request))
        flow, browser = FlowSecrets.generate(), value_or_new(request)
        try:
            url = await provider.authorization_url(
                AuthorizationWish(
                    redirect_uri=self._desk.callback(provider.settings.callback),
                    state=flow.state,
                    nonce=flow.nonce,
                    challenge=flow.challenge,
                    acr_values=tuple(wish.acr_values.split()),
                    max_age=_max_age(wish),
                    prompt=wish.prompt,
                    login_hint=wish.login_hint,
                )
            )
        except ProviderSilence as silence:
            log.warning("nobody can sign in: %s", silence)
            raise PageRefusal(_told_of(silence)[1], status=503) from silence
        begun = BrowserFlow(
            browser=digest(browser),
            provider=provider.settings.issuer.url,
            nonce=flow.nonce,
            verifier=flow.verifier,
            wish=wish,
            device=device,
            callback=provider.settings.callback,
            begun_at=self._desk.clock.now(),
        )
        flows = self._desk.flows
        put = flows.put(flow_key(flow.state), begun, FLOW_LIFE, expected=None)
        await flows.begin(remote(request), FLOW_LIFE, put)
        return remembered_in(
            self._desk.pages.onward("Sign in", "Your browser goes to your identity provider.", url),
            browser,
        )

    async def callback(self, request: web.Request) -> web.Response:
        """Take the browser back from the provider."""
        query = page_query(request)
        flow = await self._desk.flows.find(flow_key(query["state"]), BrowserFlow)
        if flow is None:
            raise PageRefusal(_GONE)
        check_browser(request, flow.value.browser)
        if not await self._desk.flows.spend(flow):
            raise PageRefusal(_GONE)
        try:
            _check_place(request, flow.value)
            person = await self._person(flow.value, query)
        except ProviderRefusal as no:
            return await self._refused(request, flow.value, f"the identity provider says: {no}")
        except Unauthenticated as no:
            return await self._refused(request, flow.value, no.message)
        except ProviderSilence as silence:
            log.warning("somebody could not sign in: %s", silence)
            return await self._silent(request, flow.value, silence)
        if flow.value.device:
            return await self._let_in(flow.value, person)
        return await self._with_code(flow.value, person)

    async def code_page(self, _: web.Request) -> web.Response:
        """Say what this address is, which clients without a browser name as their redirect URI.

        What is shown at the end of a sign-in is never taken from an address: whoever writes a link
        would choose the words that a person reads here.
        """
        return self._desk.pages.message(
            "A code is shown here",
            "At the end of a sign-in that a terminal has asked for, you find a code here to paste"
            " into it. Run `kzproxy login` for one.",
        )

    def _wish(self, query: Parameters) -> Wish:
        if query["client_id"] != CLIENT_ID:
            raise PageRefusal("No client of this name (client_id) is known here.")
        if not is_redirect_uri(query["redirect_uri"], self._desk.code_page):
            raise PageRefusal(
                "The answer is to go to an address (redirect_uri) that is not the client's."
            )
        return wish_of(query)

    def _choice(self, query: Parameters, providers: Sequence[ProviderClient]) -> web.Response:
        urls = [each.settings.issuer.url for each in providers]
        links = [(url, f"/authorize?{urlencode({**query.all(), 'provider': url})}") for url in urls]
        return self._desk.pages.page("providers", {"links": links})

    async def _person(self, flow: BrowserFlow, query: Parameters) -> Person:
        provider = self._desk.provider(flow.provider)
        if provider is None:
            raise ProviderSilence(f"{flow.provider} is configured no longer")
        code = await provider.code_of_answer(query.all(), query["state"])
        signed_in = await provider.redeem_code(
            code,
            redirect_uri=self._desk.callback(flow.callback),
            verifier=flow.verifier,
            nonce=flow.nonce,
            max_age=_max_age(flow.wish),
        )
        return self._as_person(signed_in, flow.begun_at)

    def _as_person(self, signed_in: SignedIn, begun_at: datetime) -> Person:
        identity = signed_in.identity
        return Person(
            username=identity.username,
            groups=identity.groups,
            uid=identity.uid,
            extra=identity.extra,
            issuer=identity.issuer,
            subject=identity.subject,
            email=signed_in.email,
            idp_session=signed_in.idp_session,
            vouched_by=identity.vouched_by,
            authenticated_at=identity.authenticated_at,
            authentication_class=identity.authentication_class,
            authentication_methods=identity.authentication_methods,
            refresh_token=signed_in.refresh_token,
            begun_at=begun_at,
            signed_in_at=self._desk.clock.now(),
        )

    async def _with_code(self, flow: BrowserFlow, person: Person) -> web.Response:
        code = new_secret()
        await self._desk.flows.keep(
            code_key(code), CodeGrant(person=person, wish=flow.wish), CODE_LIFE
        )
        return self._answered(flow.wish, {"code": code}, person.username)

    async def _let_in(self, flow: BrowserFlow, person: Person) -> web.Response:
        waiting = await self._desk.flows.find(flow.device, DeviceFlow)
        if waiting is None or not await self._approve(waiting, person):
            raise PageRefusal(_GONE)
        return self._desk.pages.message(
            "You are signed in",
            f"The terminal goes on as {person.username}. You can close this page.",
            mood="good",
        )

    async def _approve(self, waiting: Found[DeviceFlow], person: Person) -> bool:
        if waiting.value.person is not None or waiting.value.session or waiting.value.denied:
            return False
        return await self._desk.flows.change(
            waiting, msgspec.structs.replace(waiting.value, person=person), FLOW_LIFE
        )

    async def _refused(self, request: web.Request, flow: BrowserFlow, message: str) -> web.Response:
        await self._desk.write_refusal(request, "auth.sign-in", message)
        if flow.device:
            raise PageRefusal(_sentence(message), title=_NOT_IN, status=403)
        return self._answered(flow.wish, {"error": "access_denied", "error_description": message})

    async def _silent(
        self, request: web.Request, flow: BrowserFlow, silence: ProviderSilence
    ) -> web.Response:
        await self._desk.write_refusal(request, "auth.sign-in", "the provider gave no answer")
        error, message = _told_of(silence)
        if flow.device:
            raise PageRefusal(message, status=503)
        return self._answered(flow.wish, {"error": error, "error_description": message})

    def _answered(self, wish: Wish, answer: Mapping[str, str], username: str = "") -> web.Response:
        """Send the browser to the client; ``iss`` says from whom (RFC 9207)."""
        refusal = answer.get("error_description") or answer.get("error", "")
        if wish.redirect_uri == self._desk.code_page:
            return self._shown(answer.get("code", ""), username, refusal)
        members = {**answer, "state": wish.state, "iss": self._desk.url}
        query = urlencode({name: value for name, value in members.items() if value})
        url = f"{wish.redirect_uri}?{query}"
        if refusal:
            return self._desk.pages.onward(_NOT_IN, _sentence(refusal), url, mood="bad")
        text = f"You are {username}. Your terminal goes on by itself."
        return self._desk.pages.onward("You are signed in", text, url, mood="good")

    def _shown(self, code: str, username: str, refusal: str) -> web.Response:
        """Show a person what their client has no other way to come by."""
        if refusal:
            raise PageRefusal(_sentence(refusal), title=_NOT_IN, status=403)
        return self._desk.pages.page("code", {"code": code, "username": username})


def _told_of(silence: ProviderSilence) -> tuple[str, str]:
    """Return error and description: to try again helps only where it could not be asked."""
    if silence.for_all:
        return "temporarily_unavailable", _SILENT
    return "server_error", _UNUSABLE


def _check_place(request: web.Request, flow: BrowserFlow) -> None:
    """Refuse an answer that came to another provider's address, and so is that one's.

    Else one provider could send browsers on to another one, and have kzproxy bring it the codes
    that they come back with (RFC 9700 section 4.4).
    """
    if request.path != callback_path(flow.callback):
        raise Unauthenticated(
            f"the answer is not from {flow.provider}, which this sign-in was sent to"
        )


def wish_of(query: Parameters) -> Wish:
    """Return what a client asks for, once ``_fault`` has found none."""
    max_age = query["max_age"]
    return Wish(
        redirect_uri=query["redirect_uri"],
        state=query["state"],
        challenge=query["code_challenge"],
        acr_values=query["acr_values"],
        max_age=int(max_age) if max_age.isascii() and max_age.isdigit() else None,
        prompt=query["prompt"],
        login_hint=query["login_hint"],
    )


def step_up_fault(query: Parameters) -> tuple[str, str] | None:
    """Return error and description of what a client asks of the provider; None for no fault."""
    if query["prompt"] not in _PROMPTS:
        return "invalid_request", f"prompt must be one of {', '.join(sorted(_PROMPTS - {''}))}"
    age = query["max_age"]
    if age and not (age.isascii() and age.isdigit() and len(age) < 9):
        return "invalid_request", "max_age must be a number of seconds"
    if age and int(age) > _MAX_AGE_SECONDS:
        return "invalid_request", "max_age is over a year"
    if not query["acr_values"].isprintable() or not query["login_hint"].isprintable():
        return "invalid_request", "acr_values and login_hint must be printable"
    return None


def _fault(query: Parameters) -> tuple[str, str] | None:
    if query["request"] or query["request_uri"]:
        return "request_not_supported", "request objects are not supported"
    if query["response_type"] != "code":
        return "unsupported_response_type", "response_type must be code"
    if query["response_mode"] not in {"", "query"}:
        return "invalid_request", "response_mode must be query"
    # Absent means "plain" (RFC 7636 section 4.3), which protects nothing that is overheard.
    if query["code_challenge_method"] != "S256" or not is_challenge(query["code_challenge"]):
        return "invalid_request", "code_challenge must be one by code_challenge_method S256"
    return step_up_fault(query)


def _max_age(wish: Wish) -> timedelta | None:
    return None if wish.max_age is None else timedelta(seconds=wish.max_age)


def _sentence(message: str) -> str:
    text = message[:1].upper() + message[1:]
    return text if text.endswith(".") else f"{text}."
