"""A request of the signed-in user to an endpoint of kzproxy's own."""

from collections.abc import Mapping
from dataclasses import replace

from kzproxy.client.failure import ClientFailure
from kzproxy.client.kept_key import key_in_use
from kzproxy.client.proxy_server import Document, ProxyServer, TokenRefused, ask
from kzproxy.client.sign_in import signed_in
from kzproxy.client.tls_identity import TlsIdentity
from kzproxy.client.token_cache import CacheEntry, TokenCache, cache_key
from kzproxy.clock.system import SystemClock

TIMEOUT_SECONDS = 15.0


class OwnRequests:
    """Asks one kzproxy as whoever is signed in there, signing them in where that is needed.

    Args:
        server: Which one.
        cache: Where the sign-in is.
        environ: The environment.
        interactive: Whether a person can be asked on a terminal; see ``Asking``.
    """

    def __init__(
        self,
        server: ProxyServer,
        cache: TokenCache,
        environ: Mapping[str, str],
        *,
        interactive: bool,
    ) -> None:
        self._server = server
        self._cache = cache
        self._environ = environ
        self._interactive = interactive

    def ask(
        self,
        method: str,
        path: str,
        body: Document | None = None,
        *,
        timeout_seconds: float = TIMEOUT_SECONDS,
    ) -> Document:
        """Return the answer; see ``proxy_server.ask``.

        A session whose token is refused is renewed once, which says what is wrong with it: the user
        is signed in again where that helps. Not for a DELETE: it may have ended this very session.

        Raises:
            ClientFailure: There is no answer.
        """
        entry = self._signed_in()
        try:
            return self._ask(entry, method, path, body, timeout_seconds)
        except TokenRefused:
            if entry.session is None or method == "DELETE":
                raise
            again = self._signed_in(entry.bearer)
            if again.bearer == entry.bearer:
                raise
        return self._ask(again, method, path, body, timeout_seconds)

    def ask_as_held(self, path: str, *, timeout_seconds: float) -> Document:
        """Return the answer to a GET with the token that is here.

        Raises:
            ClientFailure: There is none that holds, or no answer; nobody was asked to sign in.
        """
        settings = self._server.settings
        entry = self._cache.read(cache_key(settings.client, settings.server))
        if entry is None or entry.expires_at <= SystemClock().now().timestamp():
            raise ClientFailure("there is no token here that holds")
        return self._ask(entry, "GET", path, None, timeout_seconds)

    def _signed_in(self, refused: str = "") -> CacheEntry:
        settings, cache = self._server.settings, self._cache
        interactive = self._interactive
        return signed_in(settings, cache, self._environ, interactive=interactive, refused=refused)

    def _ask(
        self,
        entry: CacheEntry,
        method: str,
        path: str,
        body: Document | None,
        timeout_seconds: float,
    ) -> Document:
        server = replace(self._server, identity=self._identity(entry))
        return ask(server, entry.bearer, method, path, body, timeout_seconds=timeout_seconds)

    def _identity(self, entry: CacheEntry) -> TlsIdentity | None:
        if entry.session is None:
            return None
        key = key_in_use(self._cache, self._server.settings) or ""
        return TlsIdentity(certificate=entry.session.certificate, key=key, cache=self._cache)
