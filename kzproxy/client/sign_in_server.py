"""Everything one run asks of kzproxy's own sign-in, where kzproxy keeps the session.

Imported only where it is needed: see ``issuer_session``.
"""

import time
from dataclasses import replace
from datetime import datetime, timedelta
from types import TracebackType
from typing import Self

from kzproxy.client.asking import Asking
from kzproxy.client.authorization_code import AuthorizationCodeFlow
from kzproxy.client.callback_listener import CallbackListener
from kzproxy.client.device_code import DeviceCodeFlow
from kzproxy.client.device_files import (
    certificate_validity,
    read_device_files,
    read_device_key,
)
from kzproxy.client.device_key import FileKey, client_key
from kzproxy.client.failure import ClientFailure
from kzproxy.client.held_session import HeldSession
from kzproxy.client.issuer_http import AnswerLost, IssuerHttp
from kzproxy.client.plugin_arguments import to_arguments
from kzproxy.client.plugin_settings import (
    FLOW_DEVICE_CODE,
    FLOW_PASTE,
    SESSION_CLIENT_ID,
    PluginSettings,
)
from kzproxy.client.posture_sending import posture_report
from kzproxy.client.provider import Provider, discover_sign_in
from kzproxy.client.session_endpoint import SessionEndpoint, SessionSignIn
from kzproxy.client.session_grant import SessionGrant
from kzproxy.client.session_renewal import Endpoints, held_session, refresh_at
from kzproxy.client.step_up import CANNOT_GO_ON, SessionEnded, StepUp
from kzproxy.client.tls_identity import TlsIdentity, UnusableIdentity
from kzproxy.client.token_cache import CacheEntry, TokenCache
from kzproxy.clock.system import Clock

# The server takes a nonce for ten minutes.
NONCE_HOLDS = timedelta(minutes=9)
NO_SCOPES = ()


class SignInServer:
    """A conversation with kzproxy's sign-in. A context manager: leaving it closes the connections.

    Args:
        settings: Where it is, and how to ask.
        clock: This machine's.
        cache: Where the client's key is.
    """

    def __init__(self, settings: PluginSettings, clock: Clock, cache: TokenCache) -> None:
        self._settings = settings
        self._clock = clock
        self._cache = cache
        self._opened: list[IssuerHttp] = []
        self._provider: Provider | None = None

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
        for http in self._opened:
            http.close()

    @property
    def provider(self) -> Provider:
        """Return what the server says about itself; asked for once.

        Raises:
            IssuerUnreachable: It cannot be had.
            ClientFailure: It is not kzproxy's.
        """
        if self._provider is None:
            self._provider = discover_sign_in(self._http(), self._settings.client.issuer)
        return self._provider

    def refreshed(self, entry: CacheEntry, *, new_certificate: bool = False) -> CacheEntry:
        """Return the successor of ``entry``; its renewal token may be used up by this.

        Args:
            entry: Of a session.
            new_certificate: Ask for another certificate, however young the one there is.

        Raises:
            IssuerUnreachable: Ask again later; ``entry`` is as it was.
            SessionEnded: The user has to sign in again.
            Refused, CertificateRefused: Likewise.
            ClientFailure: The session cannot be renewed as things are on this machine, or on the
                server; ``entry`` is as it was.
        """
        session, key = _session(entry), self._key()
        now = self._clock.now()
        identity = self._renewing(key, session, now.timestamp())
        wants = new_certificate or session.wants_certificate(now.timestamp())
        request = key.certificate_request() if wants and not self._brings_certificate else ""
        endpoint = SessionEndpoint(self._http(identity), session.token_endpoint)
        report = self._report(endpoint, session, key, now)
        try:
            grant = endpoint.renew(entry.refresh_token, request=request, report=report)
        except AnswerLost:
            # If only the answer was lost, our renewal token is the one before the server's by now,
            # which it takes for a minute. A nonce is good once; it may be used up as well.
            grant = endpoint.renew(entry.refresh_token, request=request)
        if grant.session_id != session.id:
            raise SessionEnded(f"{CANNOT_GO_ON}: kzproxy answered a renewal with another session")
        return self._entry(
            *(grant, Endpoints.of(session), identity),
            before=session,
        )

    def asked(self, asking: Asking, flow: str, step_up: StepUp) -> CacheEntry:
        """Ask the user to sign in by ``flow``.

        Raises:
            ClientFailure: No sign-in came of it.
        """
        key, provider = self._key(), self.provider
        shown = self._identity(key, None) if self._brings_certificate else None
        http = self._http(shown)
        endpoint = SessionSignIn(
            http,
            provider.token_endpoint,
            provider.device_authorization_endpoint,
            key.certificate_request(),
        )
        endpoints = Endpoints(
            token=provider.token_endpoint,
            revocation=provider.revocation_endpoint,
            nonce=provider.nonce_endpoint,
        )
        grant = self._asked(asking, flow, endpoint, self._parameters(step_up))
        if shown is not None and grant.certificate:
            # It certified our key although that has a certificate: bind the token to that one.
            grant = SessionEndpoint(http, endpoints.token).renew(grant.renewal_token)
        if shown is None and not grant.certificate:
            raise ClientFailure("kzproxy gave no certificate with the session")
        identity = shown or TlsIdentity(certificate="", key=key.pem, cache=self._cache)
        return self._entry(grant, endpoints, identity)

    def revoke(self, entry: CacheEntry) -> bool:
        """End the session of ``entry``; False where the server has no way to."""
        session = _session(entry)
        if not session.revocation_endpoint:
            return False
        http = self._http(self._identity(self._key(), session))
        endpoint = SessionEndpoint(http, session.token_endpoint)
        endpoint.revoke(session.revocation_endpoint, entry.refresh_token)
        return True

    def _asked(
        self, asking: Asking, flow: str, endpoint: SessionSignIn, extra: dict[str, str]
    ) -> SessionGrant:
        prompting, clock = self._settings.prompting, self._clock
        timeout = timedelta(seconds=prompting.timeout_seconds)
        deadline = clock.monotonic() + timeout.total_seconds()
        if flow == FLOW_DEVICE_CODE:
            device = DeviceCodeFlow(self.provider, endpoint, SESSION_CLIENT_ID, clock, time.sleep)
            return device.run(NO_SCOPES, "", deadline, asking.show, extra)
        browser = AuthorizationCodeFlow(self.provider, endpoint, SESSION_CLIENT_ID, "", extra)
        if flow == FLOW_PASTE:
            page = f"{self._settings.client.issuer}/code"
            return browser.run_by_hand(page, NO_SCOPES, asking.read_code)
        with CallbackListener(prompting.listen_ports, clock) as listener:
            return browser.run(listener, NO_SCOPES, deadline, asking.send_to)

    def _parameters(self, step_up: StepUp) -> dict[str, str]:
        prompt = self._settings.prompting.prompt
        return {**({"prompt": prompt} if prompt else {}), **step_up.parameters}

    def _report(
        self, endpoint: SessionEndpoint, session: HeldSession, key: FileKey, now: datetime
    ) -> str:
        """Return the posture of this machine, signed; empty where none is to be sent."""

        def nonce() -> str:
            if session.nonce and now.timestamp() < session.nonce_at + NONCE_HOLDS.total_seconds():
                return session.nonce
            return endpoint.nonce(session.nonce_endpoint) if session.nonce_endpoint else ""

        return posture_report(key, self._settings.client.issuer, nonce)

    def _entry(
        self,
        grant: SessionGrant,
        endpoints: Endpoints,
        shown: TlsIdentity,
        before: HeldSession | None = None,
    ) -> CacheEntry:
        """Return what is kept of ``grant``, whose token is bound to ``shown`` or to what it has."""
        now = self._clock.now()
        if grant.certificate:
            replace(shown, certificate=grant.certificate).check()
        return CacheEntry(
            arguments=tuple(to_arguments(self._settings)),
            id_token="",
            refresh_token=grant.renewal_token,
            expires_at=int((now + grant.life).timestamp()),
            refresh_at=refresh_at(grant, now),
            session=held_session(grant, endpoints, shown.certificate, now, before),
        )

    @property
    def _brings_certificate(self) -> bool:
        """Whether this machine's key has a certificate that kzproxy did not issue."""
        return bool(self._settings.device_certificate)

    def _key(self) -> FileKey:
        if self._settings.device_key:
            path = self._settings.device_key
            return FileKey(read_device_key(path), f"the device key {path}")
        return client_key(self._cache, self._settings.client.issuer, self._clock)

    def _identity(self, key: FileKey, session: HeldSession | None) -> TlsIdentity:
        settings = self._settings
        if self._brings_certificate:
            # As the file is now: somebody else renews it.
            files = read_device_files(settings.device_certificate, settings.device_key)
            certificate = files.certificate
        else:
            certificate = session.certificate if session else ""
        return TlsIdentity(certificate=certificate, key=key.pem, cache=self._cache)

    def _renewing(self, key: FileKey, session: HeldSession, now_seconds: float) -> TlsIdentity:
        """Return what a renewal shows.

        Raises:
            SessionEnded: The client's own key was removed, and another made, or its certificate has
                ended. Neither comes back.
            ClientFailure: The device certificate has ended: somebody else may yet replace it.
        """
        identity = self._identity(key, session)
        if self._brings_certificate:
            if certificate_validity(identity.certificate)[1] <= now_seconds:
                path = self._settings.device_certificate
                raise ClientFailure(f"the device certificate {path} has ended; have it renewed")
            return identity
        try:
            identity.check()
        except UnusableIdentity as error:
            raise SessionEnded(f"{CANNOT_GO_ON}: {error}") from None
        if session.certificate_ends_at <= now_seconds:
            raise SessionEnded("this client's certificate has ended with nothing renewed")
        return identity

    def _http(self, identity: TlsIdentity | None = None) -> IssuerHttp:
        http = IssuerHttp(self._settings.client.ca_file, self._clock, identity)
        self._opened.append(http)
        return http


def _session(entry: CacheEntry) -> HeldSession:
    if entry.session is None:
        raise ClientFailure("what is kept of this sign-in is no session of kzproxy's")
    return entry.session
