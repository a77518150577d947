"""The token endpoint (RFC 6749 section 3.2), and revocation (RFC 7009)."""

from collections.abc import Awaitable, Callable, Mapping

import msgspec
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec

from kzproxy.devices.signing_request import requested_key
from kzproxy.errors.kinds import BadRequest, Forbidden, Unauthenticated
from kzproxy.store.store import Conflict, Put
from kzproxy.web.client_certificates import has_certificate
from kzproxy.web.granted import Granted
from kzproxy.web.oauth_client import CLIENT_ID, answers
from kzproxy.web.oauth_errors import OAuthError
from kzproxy.web.oauth_parameters import Parameters, token_form
from kzproxy.web.renewal_token import RenewalToken, Replayed
from kzproxy.web.session_grants import RevokedMeanwhile, SessionGrants
from kzproxy.web.sign_in_desk import SignInDesk, remote
from kzproxy.web.sign_in_device import POLL_SECONDS
from kzproxy.web.sign_in_flows import (
    REMEMBERED,
    CodeGrant,
    DeviceFlow,
    Found,
    Person,
    code_key,
    device_key,
)

DEVICE_CODE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"

# As metrics call them.
_GRANTS = {
    "authorization_code": "authorization_code",
    DEVICE_CODE_GRANT: "device_code",
    "refresh_token": "refresh_token",
}
_AGAIN = "run the command again, or `kzproxy login`"
_MAX_POLLING = 10_000
_WAITING = frozenset({"authorization_pending", "slow_down"})

Serve = Callable[[web.Request, Parameters], Awaitable[Granted]]


class TokenEndpoint:
    """Serves ``/token`` and ``/revoke``."""

    def __init__(self, desk: SignInDesk, grants: SessionGrants) -> None:
        self._desk = desk
        self._grants = grants
        self._polled: dict[str, float] = {}
        self._kinds: Mapping[str, Serve] = {
            "authorization_code": self._by_code,
            DEVICE_CODE_GRANT: self._by_device_code,
            "refresh_token": self._by_renewal,
        }

    async def token(self, request: web.Request) -> web.Response:
        """Give a session, or renew one."""
        # Who renews has a certificate, which strangers have not.
        self._desk.limits.refused.check(remote(request), is_known=has_certificate(request))
        grant = "other"
        try:
            form = await _client_form(request)
            grant = _GRANTS.get(form["grant_type"], grant)
            granted = await self._granted(request, form)
        except OAuthError as error:
            if error.error not in _WAITING:
                self._refused(request, grant)
            raise
        except (Unauthenticated, Forbidden, BadRequest):
            self._refused(request, grant)
            raise
        self._desk.metrics.token_requests.labels(grant, "success").inc()
        return web.json_response(await self._grants.answer(granted, form["posture"]))

    def _refused(self, request: web.Request, grant: str) -> None:
        self._desk.limits.refused.count(remote(request))
        self._desk.metrics.token_requests.labels(grant, "refused").inc()

    async def _granted(self, request: web.Request, form: Parameters) -> Granted:
        serve = self._kinds.get(form["grant_type"])
        if serve is None:
            raise OAuthError(
                "unsupported_grant_type", f"grant_type must be one of {', '.join(self._kinds)}"
            )
        return await serve(request, form)

    async def revoke(self, request: web.Request) -> web.Response:
        """End the session that a renewal token is of; a token that is none is no error."""
        self._desk.limits.refused.take(remote(request))
        form = await _client_form(request)
        token = RenewalToken.read(form["token"])
        if token is not None:
            await self._grants.sign_out(request, token)
        return web.Response()

    async def _by_code(self, request: web.Request, form: Parameters) -> Granted:
        key = requested_key(_required(form, "csr"))
        found = await self._desk.flows.find(code_key(_required(form, "code")), CodeGrant)
        if found is None:
            raise await self._refusal(request, f"the code is unknown or too old; {_AGAIN}")
        if found.value.session:
            await self._used_again(request, found.value.session)
        wish = found.value.wish
        if form["redirect_uri"] != wish.redirect_uri or not answers(
            form["code_verifier"], wish.challenge
        ):
            # It is in wrong hands, whoever's those are.
            await self._desk.flows.spend(found)
            raise await self._refusal(
                request,
                f"the code was given to another client (redirect_uri or code_verifier); {_AGAIN}",
                found.value.person,
            )
        return await self._begun(
            request,
            found,
            found.value.person,
            key,
            lambda session: self._desk.flows.put(
                found.key,
                CodeGrant(wish=wish, session=session),
                REMEMBERED,
                expected=found.revision,
            ),
        )

    async def _by_device_code(self, request: web.Request, form: Parameters) -> Granted:
        key = requested_key(_required(form, "csr"))
        found = await self._desk.flows.find(device_key(_required(form, "device_code")), DeviceFlow)
        if found is None:
            raise OAuthError("expired_token", f"the device code is unknown or too old; {_AGAIN}")
        flow = found.value
        if flow.session:
            await self._used_again(request, flow.session)
        if flow.denied:
            await self._desk.flows.spend(found)
            raise OAuthError("access_denied", "the sign-in was turned away in the browser")
        if flow.person is None:
            raise self._not_yet(found)
        if flow.wish.challenge and not answers(form["code_verifier"], flow.wish.challenge):
            raise await self._refusal(
                request, f"the code_verifier is not the terminal's; {_AGAIN}", flow.person
            )
        return await self._begun(
            request,
            found,
            flow.person,
            key,
            lambda session: self._desk.flows.put(
                found.key,
                msgspec.structs.replace(flow, person=None, session=session),
                REMEMBERED,
                expected=found.revision,
            ),
        )

    async def _by_renewal(self, request: web.Request, form: Parameters) -> Granted:
        token = RenewalToken.read(_required(form, "refresh_token"))
        if token is None:
            raise OAuthError("invalid_grant", f"the renewal token is none; {_AGAIN}")
        key = requested_key(form["csr"]) if form["csr"] else None
        try:
            return await self._grants.renewal.renew(request, token, key)
        except Replayed as replay:
            await self._grants.end_replayed(request, token.session_id, "its renewal token")
            raise OAuthError(
                "invalid_grant",
                "the renewal token was used before, so the session was ended: somebody else may"
                " have it; sign in again with `kzproxy login`",
            ) from replay
        except (Unauthenticated, Forbidden) as error:
            await self._grants.renewal.write_refusal(request, token, error.message)
            raise

    async def _begun(
        self,
        request: web.Request,
        found: Found[CodeGrant] | Found[DeviceFlow],
        person: Person | None,
        key: ec.EllipticCurvePublicKey,
        used: Callable[[str], Put],
    ) -> Granted:
        if person is None:
            raise OAuthError("invalid_grant", f"the code gives nobody; {_AGAIN}")
        try:
            return await self._grants.begin(request, person, key, used)
        except RevokedMeanwhile as revoked:
            raise await self._refusal(request, str(revoked), person) from revoked
        except Conflict as conflict:
            if conflict.key != found.key:
                raise
            now = await self._desk.flows.find(found.key, type(found.value))
            if now is not None and now.value.session:
                await self._used_again(request, now.value.session)
            raise await self._refusal(
                request, f"the code was used meanwhile; {_AGAIN}", person
            ) from conflict

    async def _used_again(self, request: web.Request, session_id: str) -> None:
        """End what a code gave that is used a second time (RFC 6749 section 4.1.2)."""
        await self._grants.end_replayed(request, session_id, "the code it began with")
        raise OAuthError(
            "invalid_grant",
            "the code was used before, so the session that it gave was ended;"
            " sign in again with `kzproxy login`",
        )

    async def _refusal(
        self, request: web.Request, message: str, person: Person | None = None
    ) -> OAuthError:
        await self._desk.write_refusal(request, "auth.sign-in", message, person)
        return OAuthError("invalid_grant", message)

    def _not_yet(self, found: Found[DeviceFlow]) -> OAuthError:
        if self._desk.clock.now() >= found.value.ends_at:
            return OAuthError("expired_token", f"nobody entered the code in time; {_AGAIN}")
        now = self._desk.clock.monotonic()
        last = self._polled.pop(found.key, None)
        if len(self._polled) >= _MAX_POLLING:
            del self._polled[next(iter(self._polled))]
        self._polled[found.key] = now
        # A worker knows of its own polls alone, which is enough to slow down who never waits.
        if last is not None and now - last < POLL_SECONDS - 1:
            return OAuthError("slow_down", f"wait at least {POLL_SECONDS} s between two polls")
        return OAuthError("authorization_pending", "nobody has entered the code yet")


async def _client_form(request: web.Request) -> Parameters:
    """Read a form of the one client that there is, which has no secret.

    Raises:
        OAuthError: It is another's.
    """
    form = await token_form(request)
    if form["client_id"] != CLIENT_ID or "Authorization" in request.headers:
        raise OAuthError(
            "invalid_client", f"client_id must be {CLIENT_ID}, which has no secret", status=401
        )
    return form


def _required(form: Parameters, name: str) -> str:
    if not form[name]:
        raise OAuthError("invalid_request", f"the parameter {name!r} is missing")
    return form[name]
