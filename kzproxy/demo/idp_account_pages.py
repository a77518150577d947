"""The page where accounts are disabled and moved between groups, to see what kzproxy does then."""

from aiohttp import web

from kzproxy.demo.idp_accounts import Accounts
from kzproxy.demo.idp_browser import FormGuard
from kzproxy.demo.idp_errors import PageRefusal
from kzproxy.demo.idp_pages import Pages
from kzproxy.demo.idp_requests import page_parameters
from kzproxy.demo.idp_users import DEMO_USERS, demo_user

_CHANGING = "change an account"


class AccountPages:
    """One page, and the forms on it."""

    def __init__(self, accounts: Accounts, pages: Pages, guard: FormGuard) -> None:
        self._accounts = accounts
        self._pages = pages
        self._guard = guard

    async def show(self, request: web.Request) -> web.Response:
        """Answer with everybody's account as it is."""
        browser = self._guard.browser(request)
        accounts = [
            {
                "user": self._accounts.present(user),
                "enabled": self._accounts.is_enabled(user.name),
            }
            for user in DEMO_USERS
        ]
        values = {"accounts": accounts, "form_token": self._guard.token(browser, _CHANGING)}
        response = self._pages.page("accounts", values)
        self._guard.remember(response, browser)
        return response

    async def change(self, request: web.Request) -> web.Response:
        """Do what the pressed button says, and show the page again."""
        parameters = await page_parameters(request)
        if not self._guard.holds(request, parameters["form_token"], _CHANGING):
            raise PageRefusal("This form was not made for this browser.", status=403)
        user = demo_user(parameters["name"])
        if user is None:
            raise PageRefusal("There is no such user here.")
        match parameters["change"]:
            case "disable":
                self._accounts.disable(user.name)
            case "enable":
                self._accounts.enable(user.name)
            case "move":
                self._move(user.name, parameters["groups"])
            case _:
                raise PageRefusal("There is no such change.")
        return web.Response(status=303, headers={"Location": "/accounts"})

    def _move(self, name: str, written: str) -> None:
        groups = tuple(dict.fromkeys(written.replace(",", " ").split()))
        try:
            self._accounts.move(name, groups)
        except ValueError as error:
            raise PageRefusal(f"These groups cannot be: {error}.") from error
