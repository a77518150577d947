"""The browser's way: authorization endpoint, sign-in page, and back to the client with a code."""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlencode, urlsplit

from aiohttp import web

from kzproxy.clock.system import Clock
from kzproxy.demo.idp_accounts import Accounts
from kzproxy.demo.idp_authorization import AuthorizationRequest, parse_authorization_request
from kzproxy.demo.idp_browser import FormGuard
from kzproxy.demo.idp_clients import Client
from kzproxy.demo.idp_codes import AuthorizationCodes
from kzproxy.demo.idp_errors import PageRefusal, RedirectedError
from kzproxy.demo.idp_pages import Pages
from kzproxy.demo.idp_requests import page_parameters, query_parameters
from kzproxy.demo.idp_settings import Lifetimes
from kzproxy.demo.idp_store import ExpiringStore, digest, new_secret
from kzproxy.demo.idp_users import DemoUser, demo_user

MAX_OPEN_PAGES = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class SignInCollaborators:
    """What the sign-in works with."""

    issuer: str
    clock: Clock
    clients: Mapping[str, Client]
    codes: AuthorizationCodes
    pages: Pages
    guard: FormGuard
    lifetimes: Lifetimes
    accounts: Accounts


class SignIn:
    """Asks who somebody is, and sends the client a code for it."""

    def __init__(self, with_: SignInCollaborators) -> None:
        self._with = with_
        self._open = ExpiringStore[AuthorizationRequest](with_.clock, maximum=MAX_OPEN_PAGES)

    async def authorize(self, request: web.Request) -> web.Response:
        """Answer the authorization endpoint, by GET or POST (Core 3.1.2.1), with the page."""
        parameters = (
            await page_parameters(request)
            if request.method == "POST"
            else query_parameters(request)
        )
        try:
            wish = parse_authorization_request(parameters, self._with.clients)
        except RedirectedError as error:
            return self._refused(error)
        return self._sign_in_page(request, wish)

    async def submit(self, request: web.Request) -> web.Response:
        """Answer the page's form: back to the client with a code, or with a refusal."""
        parameters = await page_parameters(request)
        page = parameters["page"]
        if not self._with.guard.holds(request, parameters["form_token"], page):
            raise PageRefusal("This form was not made for this browser.", status=403)
        # Read before it is spent, so that a press on no button leaves the page good.
        user = _pressed(parameters["user"])
        wish = self._open.take(digest(page))
        if wish is None:
            raise PageRefusal("This page has been used or is too old. Run the command once more.")
        if user is None:
            return self._cancelled(wish)
        if not self._with.accounts.is_enabled(user.name):
            raise PageRefusal(f"The account {user.name} is disabled.", status=403)
        return self._back(
            wish.redirect_uri,
            {"code": self._with.codes.new(wish, user), "state": wish.state},
        )

    def _sign_in_page(self, request: web.Request, wish: AuthorizationRequest) -> web.Response:
        page, browser = new_secret(), self._with.guard.browser(request)
        self._open.put(digest(page), wish, self._with.lifetimes.sign_in)
        response = self._with.pages.page(
            "sign_in",
            {
                "client": wish.client.name,
                "destination": urlsplit(wish.redirect_uri).netloc,
                "expected": wish.login_hint,
                "page": page,
                "form_token": self._with.guard.token(browser, page),
            },
            redirect_uri=wish.redirect_uri,
        )
        self._with.guard.remember(response, browser)
        return response

    def _cancelled(self, wish: AuthorizationRequest) -> web.Response:
        return self._refused(
            RedirectedError(
                "access_denied",
                "the person turned the sign-in down",
                redirect_uri=wish.redirect_uri,
                state=wish.state,
            )
        )

    def _refused(self, error: RedirectedError) -> web.Response:
        return self._back(
            error.redirect_uri,
            {
                "error": error.error,
                "error_description": error.description,
                "state": error.state,
            },
        )

    def _back(self, redirect_uri: str, answer: Mapping[str, str]) -> web.Response:
        """Send the browser to the client; ``iss`` says from whom (RFC 9207).

        303 and never 307: the form must not be sent on (RFC 9700 section 4.12).
        """
        present = {name: value for name, value in answer.items() if value}
        query = urlencode({**present, "iss": self._with.issuer})
        separator = "&" if urlsplit(redirect_uri).query else "?"
        return web.Response(status=303, headers={"Location": f"{redirect_uri}{separator}{query}"})


def _pressed(name: str) -> DemoUser | None:
    """Return the user whose button was pressed, None for the cancel button.

    Raises:
        PageRefusal: No button of ours has this name.
    """
    if name == "":
        return None
    user = demo_user(name)
    if user is None:
        raise PageRefusal("There is no such user here.")
    return user
