"""A terminal without a browser (RFC 8628): a code for it, and the pages where a person types it."""

import secrets

import msgspec
from aiohttp import web

from kzproxy.errors.kinds import TooManyRequests
from kzproxy.web.browser_cookie import check_form, form_token, remembered_in, value_or_new
from kzproxy.web.oauth_client import CLIENT_ID, is_challenge
from kzproxy.web.oauth_errors import OAuthError, PageRefusal
from kzproxy.web.oauth_parameters import page_form, page_query, token_form
from kzproxy.web.sign_in_browser import BrowserSignIn, step_up_fault, wish_of
from kzproxy.web.sign_in_desk import SignInDesk, remote
from kzproxy.web.sign_in_flows import (
    DEVICE_LIFE,
    REMEMBERED,
    DeviceFlow,
    Found,
    device_key,
    new_secret,
    user_code_key,
)

# RFC 8628 section 6.1: no vowels, so that no words come out; 20^8 is 34.5 bits.
_ALPHABET = "BCDFGHJKLMNPQRSTVWXZ"
_USER_CODE_CHARACTERS = 8
_MAX_TYPED = 16
_MAX_MACHINE = 64
POLL_SECONDS = 5

_TYPING = "type the code"
_GONE = "The code was used already or is too old. Run the command again."
_NONE_WAITS = "No terminal waits with this code. Look at the code once more."


class UserCode(msgspec.Struct, frozen=True):
    """What a typed code leads to: the key of a device flow."""

    device: str


class DeviceSignIn:
    """Serves ``/device_authorization`` and ``/device``."""

    def __init__(self, desk: SignInDesk, browser: BrowserSignIn) -> None:
        self._desk = desk
        self._browser = browser

    async def begin(self, request: web.Request) -> web.Response:
        """Give a terminal its codes (RFC 8628 section 3.1)."""
        self._desk.limits.begun.take(remote(request))
        form = await token_form(request)
        if form["client_id"] != CLIENT_ID:
            raise OAuthError("invalid_client", "no client of this name is known here", status=401)
        _check_challenge(form["code_challenge"], form["code_challenge_method"])
        fault = step_up_fault(form)
        if fault is not None:
            raise OAuthError(*fault)
        device_code, user_code = new_secret(), _new_user_code()
        now, key = self._desk.clock.now(), device_key(device_code)
        flow = DeviceFlow(
            user_code=user_code,
            wish=msgspec.structs.replace(wish_of(form), redirect_uri="", state=""),
            machine=_machine(form["machine"]),
            address=remote(request),
            begun_at=now,
            ends_at=now + DEVICE_LIFE,
        )
        flows, life = self._desk.flows, DEVICE_LIFE + REMEMBERED
        await flows.begin(
            remote(request),
            life,
            flows.put(key, flow, life, expected=None),
            flows.put(user_code_key(user_code), UserCode(key), DEVICE_LIFE, expected=None),
        )
        return web.json_response(self._begun(device_code, user_code))

    async def ask_for_code(self, request: web.Request) -> web.Response:
        """Answer ``verification_uri``; a code in the link is filled in, never taken as pressed.

        RFC 8628 section 5.4: whoever was sent a link must still look at the code.
        """
        return self._code_page(request, page_query(request)["user_code"][:_MAX_TYPED])

    async def check_code(self, request: web.Request) -> web.Response:
        """Answer the typed code: is this your terminal?"""
        form = await page_form(request)
        check_form(request, form["form_token"], _TYPING)
        typed = form["user_code"][:_MAX_TYPED]
        try:
            waiting = await self._waiting(request, typed)
        except TooManyRequests as error:
            return self._code_page(request, typed, problem=f"{error.message}.", status=429)
        if waiting is None:
            return self._code_page(request, typed, problem=_NONE_WAITS, status=400)
        return self._confirm_page(request, waiting.value)

    async def confirm(self, request: web.Request) -> web.Response:
        """Answer the pressed button: to the provider, or nowhere."""
        form = await page_form(request)
        check_form(request, form["form_token"], form["user_code"])
        try:
            waiting = await self._waiting(request, form["user_code"])
        except TooManyRequests as error:
            raise PageRefusal(f"{error.message}.", status=429) from error
        if waiting is None:
            raise PageRefusal(_GONE)
        if not form["provider"]:
            return await self._turned_away(request, waiting)
        provider = self._desk.provider(form["provider"])
        if provider is None:
            raise PageRefusal("There is no such identity provider here.")
        return await self._browser.send_to_provider(
            request, provider, waiting.value.wish, waiting.key
        )

    async def _turned_away(self, request: web.Request, waiting: Found[DeviceFlow]) -> web.Response:
        await self._desk.write_refusal(
            request, "auth.sign-in", f"the terminal at {waiting.value.address} was turned away"
        )
        denied = msgspec.structs.replace(waiting.value, denied=True)
        if not await self._desk.flows.change(waiting, denied, REMEMBERED):
            raise PageRefusal(_GONE)
        return self._desk.pages.message("Turned away", "The terminal was not let in.")

    async def _waiting(self, request: web.Request, typed: str) -> Found[DeviceFlow] | None:
        """Return the flow whose code was typed, while it is undecided.

        Raises:
            TooManyRequests: Too many wrong ones were.
        """
        # Counted before it is looked up: others are typed while this one is.
        self._desk.limits.codes.take(remote(request))
        found = await self._desk.flows.find(user_code_key(_canonical(typed)), UserCode)
        flow = None
        if found is not None:
            flow = await self._desk.flows.find(found.value.device, DeviceFlow)
        if flow is None or not _is_open(flow.value):
            return None
        self._desk.limits.codes.give_back(remote(request))
        return flow

    def _begun(self, device_code: str, user_code: str) -> dict[str, object]:
        place = f"{self._desk.url}/device"
        return {
            "device_code": device_code,
            "user_code": user_code,
            "verification_uri": place,
            "verification_uri_complete": f"{place}?user_code={user_code}",
            "expires_in": int(DEVICE_LIFE.total_seconds()),
            "interval": POLL_SECONDS,
        }

    def _code_page(
        self, request: web.Request, typed: str, *, problem: str = "", status: int = 200
    ) -> web.Response:
        browser = value_or_new(request)
        values = {
            "user_code": typed,
            "problem": problem,
            "form_token": form_token(browser, _TYPING),
        }
        return remembered_in(self._desk.pages.page("device_code", values, status=status), browser)

    def _confirm_page(self, request: web.Request, flow: DeviceFlow) -> web.Response:
        browser = value_or_new(request)
        values = {
            "user_code": flow.user_code,
            "machine": flow.machine,
            "address": flow.address,
            "begun_at": f"{flow.begun_at:%H:%M:%S}",
            "providers": [each.settings.issuer.url for each in self._desk.providers()],
            "form_token": form_token(browser, flow.user_code),
        }
        return remembered_in(self._desk.pages.page("device_confirm", values), browser)


def _is_open(flow: DeviceFlow) -> bool:
    return not (flow.denied or flow.session or flow.person is not None)


def _check_challenge(challenge: str, method: str) -> None:
    if not challenge and not method:
        return  # the device code alone binds the answer to the terminal (RFC 8628 section 5.2)
    if method != "S256" or not is_challenge(challenge):
        raise OAuthError(
            "invalid_request", "code_challenge must be one by code_challenge_method S256"
        )


def _machine(name: str) -> str:
    return "".join(letter for letter in name if letter.isprintable())[:_MAX_MACHINE]


def _new_user_code() -> str:
    letters = "".join(secrets.choice(_ALPHABET) for _ in range(_USER_CODE_CHARACTERS))
    return f"{letters[:4]}-{letters[4:]}"


def _canonical(typed: str) -> str:
    """Return a code as it was given out: case, blanks and the dash do not matter."""
    letters = "".join(letter for letter in typed.upper() if letter in _ALPHABET)
    return f"{letters[:4]}-{letters[4:]}"
