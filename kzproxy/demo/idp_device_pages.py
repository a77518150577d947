"""The person's side of a device sign-in (RFC 8628 section 3.3): type the code, press a button."""

from collections.abc import Mapping

from aiohttp import web

from kzproxy.demo.idp_accounts import Accounts
from kzproxy.demo.idp_browser import FormGuard
from kzproxy.demo.idp_device import DeviceAuthorization, DeviceAuthorizations
from kzproxy.demo.idp_errors import PageRefusal
from kzproxy.demo.idp_pages import Pages
from kzproxy.demo.idp_requests import page_parameters, query_parameters
from kzproxy.demo.idp_users import demo_user

_TYPING = "type the code"


class DevicePages:
    """Three pages: the code, the person, the end."""

    def __init__(
        self,
        devices: DeviceAuthorizations,
        pages: Pages,
        guard: FormGuard,
        accounts: Accounts,
    ) -> None:
        self._accounts = accounts
        self._devices = devices
        self._pages = pages
        self._guard = guard

    async def ask_for_code(self, request: web.Request) -> web.Response:
        """Answer ``verification_uri``; a code in the link is filled in, never taken as pressed.

        RFC 8628 section 5.4: whoever was sent a link must still look at the code.
        """
        code = query_parameters(request)["user_code"][:16]
        return self._code_page(request, code)

    async def check_code(self, request: web.Request) -> web.Response:
        """Answer the typed code: who is it that lets the terminal in?"""
        parameters = await page_parameters(request)
        self._require_own_form(request, parameters["form_token"], _TYPING)
        waiting = self._devices.waiting_for(parameters["user_code"])
        if waiting is None:
            problem = "No terminal waits with this code. Look at the code once more."
            return self._code_page(request, parameters["user_code"][:16], problem=problem)
        return self._person_page(request, waiting)

    async def decide(self, request: web.Request) -> web.Response:
        """Answer the pressed button."""
        parameters = await page_parameters(request)
        self._require_own_form(request, parameters["form_token"], parameters["user_code"])
        waiting = self._devices.waiting_for(parameters["user_code"])
        if waiting is None:
            raise PageRefusal("The code has been used or is too old. Run the command once more.")
        if parameters["user"] == "":
            self._devices.deny(waiting)
            return self._pages.message("Turned down", "The terminal was not let in.")
        user = demo_user(parameters["user"])
        if user is None:
            raise PageRefusal("There is no such user here.")
        if not self._accounts.is_enabled(user.name):
            raise PageRefusal(f"The account {user.name} is disabled.", status=403)
        self._devices.approve(waiting, user)
        return self._pages.message(
            "You are signed in",
            f"The terminal goes on as {user.name}. You can close this page.",
            mood="good",
        )

    def _code_page(self, request: web.Request, code: str, *, problem: str = "") -> web.Response:
        values = {"user_code": code, "problem": problem}
        return self._form_page(
            request, "device_code", _TYPING, values, status=400 if problem else 200
        )

    def _person_page(self, request: web.Request, waiting: DeviceAuthorization) -> web.Response:
        values = {"user_code": waiting.user_code, "client": waiting.client.name}
        return self._form_page(request, "device_person", waiting.user_code, values)

    def _form_page(
        self,
        request: web.Request,
        template: str,
        purpose: str,
        values: Mapping[str, object],
        *,
        status: int = 200,
    ) -> web.Response:
        browser = self._guard.browser(request)
        token = self._guard.token(browser, purpose)
        response = self._pages.page(template, {**values, "form_token": token}, status=status)
        self._guard.remember(response, browser)
        return response

    def _require_own_form(self, request: web.Request, token: str, purpose: str) -> None:
        if not self._guard.holds(request, token, purpose):
            raise PageRefusal("This form was not made for this browser.", status=403)
