"""Who enrols a device: whoever the request's token says, with the certificate it is bound to."""

from collections.abc import Callable
from typing import Protocol

from aiohttp import web

from kzproxy.attributes.identity import Identity
from kzproxy.devices.device_record import Owner
from kzproxy.devices.enrolment_request import Enroller
from kzproxy.errors.kinds import Unauthenticated
from kzproxy.web.client_certificates import presented_digest

_SCHEME = "bearer"


class Judges(Protocol):
    """Knows whose a token is."""

    async def authenticate(self, token: str) -> Identity:
        """Judge a token.

        Raises:
            ProxyError: It does not hold.
        """


class EnrollingCallers:
    """See ``device_enrolment.Callers``."""

    def __init__(
        self, authenticator: Callable[[], Judges], check: Callable[[Identity], None]
    ) -> None:
        """Ask what ``authenticator`` returns, which is what is in force.

        Args:
            authenticator: Knows whose tokens are.
            check: Refuses callers whose credential is not taken any more, though it holds.
        """
        self._authenticator = authenticator
        self._check = check

    async def enroller(self, request: web.Request) -> Enroller | None:
        """Return who is signed in by the request's token; None where it has no token.

        Raises:
            ProxyError: The token does not hold.
        """
        token = _token(request)
        if not token:
            return None
        caller = await self._authenticator().authenticate(token)
        if caller.confirmation and caller.confirmation != presented_digest(request):
            raise Unauthenticated(
                "the token is bound to another certificate than the one presented with it"
            )
        self._check(caller)
        return Enroller(
            owner=Owner(issuer=caller.issuer, subject=caller.subject, username=caller.username),
            # Policy approves nothing for a token that anybody may have come by: a device would be
            # no second factor any more.
            groups=caller.groups if caller.confirmation else (),
            session=caller.sign_in if caller.is_session else "",
        )


def _token(request: web.Request) -> str:
    headers = request.headers.getall("Authorization", [])
    if not headers:
        return ""
    scheme, _, token = headers[0].partition(" ")
    if len(headers) > 1 or scheme.lower() != _SCHEME or not token.strip():
        raise Unauthenticated("Authorization must be one bearer token")
    return token.strip()
