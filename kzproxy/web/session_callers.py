"""Who sends a request to the sign-in listener, where it comes with a session token."""

from collections.abc import Callable

from aiohttp import web

from kzproxy.authentication.session_authenticator import SessionAuthenticator
from kzproxy.authentication.session_token import is_session_token
from kzproxy.devices.device_record import Owner
from kzproxy.devices.enrolment import Enroller
from kzproxy.errors.kinds import Unauthenticated
from kzproxy.web.client_certificates import ClientCertificates

_BEARER = "bearer"


class SessionCallers:
    """Knows them by token and certificate, as the API listener does."""

    def __init__(
        self,
        authenticator: Callable[[], SessionAuthenticator],
        certificates: ClientCertificates,
    ) -> None:
        self._authenticator = authenticator
        self._certificates = certificates

    async def enroller(self, request: web.Request) -> Enroller | None:
        """Return who is signed in; None where the request has no token.

        Raises:
            Unauthenticated: The token does not hold, or came without its certificate.
        """
        values = request.headers.getall("Authorization", [])
        if not values:
            return None
        scheme, _, token = values[0].partition(" ")
        if len(values) > 1 or scheme.lower() != _BEARER or not is_session_token(token):
            raise Unauthenticated("Authorization must be one session token, as `kzproxy` has it")
        caller = await self._authenticator().authenticate(token)
        if caller.confirmation != self._certificates.presented(request).thumbprint:
            raise Unauthenticated("the session token came without the certificate it is bound to")
        owner = Owner(issuer=caller.issuer, subject=caller.subject, username=caller.username)
        return Enroller(owner=owner, groups=caller.groups, session=caller.sign_in)
