"""Everything that `kzproxy device enroll` asks of one kzproxy."""

from collections.abc import Mapping
from types import TracebackType
from typing import Self

from kzproxy.client.device_enrolment import DeviceEnrolment, EnrolledDevice, Machine
from kzproxy.client.device_key import FileKey, client_key
from kzproxy.client.failure import ClientFailure
from kzproxy.client.issuer_http import IssuerHttp
from kzproxy.client.plugin_settings import PluginSettings
from kzproxy.client.sign_in import sign_in, signed_in
from kzproxy.client.step_up import SessionEnded
from kzproxy.client.tls_identity import TlsIdentity
from kzproxy.client.token_cache import CacheEntry, TokenCache, cache_key
from kzproxy.clock.system import Clock


class Enrolling:
    """This machine at one kzproxy. A context manager: leaving it closes the connections.

    Args:
        settings: Of the sign-in.
        cache: Where it is kept.
        environ: The environment.
        clock: This machine's.
        interactive: Whether a person can be asked on a terminal; see ``Asking``.

    Raises:
        ClientFailure: The context's kzproxy keeps no sessions, and so enrols nothing; or the
            context has a device certificate of others.
    """

    def __init__(
        self,
        settings: PluginSettings,
        cache: TokenCache,
        environ: Mapping[str, str],
        clock: Clock,
        *,
        interactive: bool,
    ) -> None:
        if not settings.client.keeps_session:
            raise ClientFailure(
                "this context signs in at an issuer, not at kzproxy, where a device certificate"
                " comes from your administrator; to enroll, use one that was made with"
                " `kzproxy kubeconfig --sign-in-url`"
            )
        if settings.device_key:
            raise ClientFailure(
                f"this context shows a device certificate already ({settings.device_certificate});"
                " there is nothing to enroll"
            )
        self._settings = settings
        self._cache = cache
        self._environ = environ
        self._clock = clock
        self._interactive = interactive
        self._opened: list[IssuerHttp] = []
        self._asking: DeviceEnrolment | None = None  # as often as the user waits

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

    def enrol(self, machine: Machine, one_time: str) -> EnrolledDevice:
        """Ask to be enrolled; without a one-time token, as a user who is signed in first.

        Raises:
            ClientFailure: It is refused.
        """
        entry = self._entry() if one_time else self._signed_in()
        session = entry.bearer if entry is not None else ""
        enrolment = self._enrolment(self._identity(entry))
        return enrolment.enrol(machine, session_token=session, one_time=one_time)

    def asked_again(self) -> EnrolledDevice:
        """Return what has become of the device.

        Raises:
            IssuerUnreachable: Ask again later.
            ClientFailure: It is refused.
        """
        if self._asking is None:
            self._asking = self._enrolment(None)
        return self._asking.certificate()

    def taken_into_use(self) -> bool:
        """Have the session that there is be one on this device; False where none goes on.

        Whether its token still holds makes no difference: approval may have taken an hour.

        Raises:
            IssuerUnreachable: Ask again later; the session is as it was.
            ClientFailure: It cannot be renewed.
        """
        interactive = self._interactive
        session = sign_in(self._settings, self._cache, self._environ, interactive=interactive)
        try:
            session.with_new_certificate()
        except SessionEnded:  # Whoever signs in next does so on this device.
            return False
        return True

    def _enrolment(self, identity: TlsIdentity | None) -> DeviceEnrolment:
        http = IssuerHttp(self._settings.client.ca_file, self._clock, identity)
        self._opened.append(http)
        return DeviceEnrolment(http, self._settings.client.issuer, self._key())

    def _key(self) -> FileKey:
        return client_key(self._cache, self._settings.client.issuer, self._clock)

    def _signed_in(self) -> CacheEntry:
        interactive = self._interactive
        return signed_in(self._settings, self._cache, self._environ, interactive=interactive)

    def _entry(self) -> CacheEntry | None:
        """Return the session that there is and whose token holds."""
        entry = self._cache.read(cache_key(self._settings.client, self._settings.server))
        if entry is None or entry.session is None:
            return None
        return entry if entry.expires_at > self._clock.now().timestamp() else None

    def _identity(self, entry: CacheEntry | None) -> TlsIdentity | None:
        if entry is None or entry.session is None:
            return None
        certificate = entry.session.certificate
        return TlsIdentity(certificate=certificate, key=self._key().pem, cache=self._cache)
