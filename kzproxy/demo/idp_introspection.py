"""Say to a confidential client whether a token of its own is good (RFC 7662)."""

from collections.abc import Mapping

from aiohttp import web

from kzproxy.demo.idp_client_authentication import authenticated_client
from kzproxy.demo.idp_clients import Client
from kzproxy.demo.idp_errors import OAuthError
from kzproxy.demo.idp_grants import Grants


class Introspection:
    """Answers for access and refresh tokens alike; of another client's it knows nothing."""

    def __init__(self, *, issuer: str, clients: Mapping[str, Client], grants: Grants) -> None:
        self._issuer = issuer
        self._clients = clients
        self._grants = grants

    async def answer(self, request: web.Request) -> web.Response:
        """Answer the introspection endpoint."""
        parameters, client = await authenticated_client(request, self._clients)
        if not client.secret:
            # Section 2.1: or anybody could try out tokens.
            raise OAuthError("invalid_client", "only for clients that have a secret", status=401)
        if not parameters["token"]:
            raise OAuthError("invalid_request", "token is required")
        grant = self._grants.introspected(parameters["token"], client_id=client.client_id)
        if grant is None:
            return web.json_response({"active": False})
        return web.json_response(
            {
                "active": True,
                "iss": self._issuer,
                "client_id": client.client_id,
                "sub": grant.user.subject,
                "username": grant.user.name,
                "scope": " ".join(grant.scopes),
            }
        )
