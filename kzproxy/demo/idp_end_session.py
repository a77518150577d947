"""End a sign-in (OpenID Connect RP-Initiated Logout 1.0), after asking the person."""

from aiohttp import web

from kzproxy.demo.idp_browser import FormGuard
from kzproxy.demo.idp_errors import PageRefusal
from kzproxy.demo.idp_forms import Parameters
from kzproxy.demo.idp_grants import Grants
from kzproxy.demo.idp_keys import SigningKeys
from kzproxy.demo.idp_pages import Pages
from kzproxy.demo.idp_requests import page_parameters, query_parameters


class EndSession:
    """The smallest that is useful: names the sign-in by its ID token and leads nowhere after.

    No ``post_logout_redirect_uri`` is registered, so none is followed (section 3).
    """

    def __init__(
        self, *, issuer: str, keys: SigningKeys, grants: Grants, pages: Pages, guard: FormGuard
    ) -> None:
        self._issuer = issuer
        self._keys = keys
        self._grants = grants
        self._pages = pages
        self._guard = guard

    async def ask(self, request: web.Request) -> web.Response:
        """Ask whether to sign out; a link alone must not do it."""
        session = self._session(query_parameters(request))
        browser = self._guard.browser(request)
        token = self._guard.token(browser, f"sign out {session}")
        response = self._pages.page("sign_out", {"session": session, "form_token": token})
        self._guard.remember(response, browser)
        return response

    async def confirm(self, request: web.Request) -> web.Response:
        """End the sign-in."""
        parameters = await page_parameters(request)
        session = parameters["session"]
        if not self._guard.holds(request, parameters["form_token"], f"sign out {session}"):
            raise PageRefusal("This form was not made for this browser.", status=403)
        self._grants.end(session)
        return self._pages.message(
            "You are signed out", "What was signed in cannot be refreshed any more.", mood="good"
        )

    def _session(self, parameters: Parameters) -> str:
        hint = parameters["id_token_hint"]
        claims = self._keys.verified_hint(hint, issuer=self._issuer) if hint else None
        session = None if claims is None else claims.get("sid")
        if not isinstance(session, str):
            raise PageRefusal("Say which sign-in to end: send its ID token as id_token_hint.")
        return session
