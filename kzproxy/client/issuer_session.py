"""Everything one run asks of the issuer, from discovery to a cache entry.

Imported only where it is needed: HTTP takes longer to import than a warm run to finish.
"""

import time
from datetime import timedelta
from types import TracebackType
from typing import Self

from kzproxy.client.asking import Asking
from kzproxy.client.authorization_code import AuthorizationCodeFlow
from kzproxy.client.callback_listener import CallbackListener
from kzproxy.client.device_code import DeviceCodeFlow
from kzproxy.client.failure import ClientFailure
from kzproxy.client.id_token import check_claims, lifetime, read_claims
from kzproxy.client.issuer_http import IssuerHttp
from kzproxy.client.plugin_arguments import to_arguments
from kzproxy.client.plugin_settings import FLOW_DEVICE_CODE, PluginSettings
from kzproxy.client.provider import discover
from kzproxy.client.step_up import StepUp
from kzproxy.client.token_cache import CacheEntry
from kzproxy.client.token_endpoint import TokenEndpoint, Tokens
from kzproxy.clock.system import Clock


class IssuerSession:
    """A conversation with the issuer. A context manager: leaving it closes the connections.

    Raises:
        IssuerUnreachable: Its discovery document cannot be had.
        ClientFailure: It is not the issuer that was configured.
    """

    def __init__(self, settings: PluginSettings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._http = IssuerHttp(settings.client.ca_file, clock)
        try:
            self.provider = discover(self._http, settings.client.issuer)
            self._endpoint = TokenEndpoint(self._http, self.provider, settings.client)
        except BaseException:
            self._http.close()
            raise

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the connections."""
        self._http.close()

    def refreshed(self, entry: CacheEntry, *, new_certificate: bool = False) -> CacheEntry:
        """Return the successor of ``entry``; its refresh token may be used up by this.

        Args:
            entry: Of this issuer.
            new_certificate: Of no meaning: an issuer gives none.

        Raises:
            IssuerUnreachable: Ask again later; ``entry`` is as it was.
            ClientFailure: The sign-in has ended.
        """
        del new_certificate
        tokens = self._endpoint.refresh(entry.refresh_token)
        before, claims = read_claims(entry.id_token), read_claims(tokens.id_token)
        client = self._settings.client
        check_claims(claims, client.issuer, client.client_id, nonce=None)
        # OpenID Connect Core 1.0 section 12.2.
        if claims.get("sub") != before.get("sub"):
            raise ClientFailure("the issuer answered a refresh with another user's token")
        if claims.get("nonce", before.get("nonce")) != before.get("nonce"):
            raise ClientFailure("the issuer answered a refresh with another sign-in's token")
        return self._entry(tokens)

    def asked(self, asking: Asking, flow: str, step_up: StepUp) -> CacheEntry:
        """Ask the user to sign in by ``flow``.

        Raises:
            ClientFailure: No sign-in came of it.
        """
        prompting, client = self._settings.prompting, self._settings.client
        scopes = self.provider.scopes_for(client.scopes)
        timeout = timedelta(seconds=prompting.timeout_seconds)
        deadline = self._clock.monotonic() + timeout.total_seconds()
        if flow == FLOW_DEVICE_CODE:
            device = DeviceCodeFlow(
                self.provider, self._endpoint, client.client_id, self._clock, time.sleep
            )
            return self._entry(
                device.run(scopes, prompting.prompt, deadline, asking.show, step_up.parameters)
            )
        browser = AuthorizationCodeFlow(
            *(self.provider, self._endpoint, client.client_id, prompting.prompt),
            step_up.parameters,
        )
        with CallbackListener(prompting.listen_ports, self._clock) as listener:
            return self._entry(browser.run(listener, scopes, deadline, asking.send_to))

    def revoke(self, entry: CacheEntry) -> bool:
        """Take the refresh token of ``entry`` back; False where the issuer has no way to."""
        if not self.provider.revocation_endpoint:
            return False
        self._endpoint.revoke(entry.refresh_token)
        return True

    def _entry(self, tokens: Tokens) -> CacheEntry:
        claims, now = read_claims(tokens.id_token), self._clock.now()
        life = lifetime(claims, now, refreshable=bool(tokens.refresh_token))
        return CacheEntry(
            arguments=tuple(to_arguments(self._settings)),
            id_token=tokens.id_token,
            refresh_token=tokens.refresh_token,
            expires_at=int(life.expires_at.timestamp()),
            refresh_at=int(life.refresh_at.timestamp()),
        )
