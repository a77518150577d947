"""Having a token: from the cache, by refresh, or by asking; one process at a time."""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from kzproxy.client.asking import Asking
from kzproxy.client.attempts import Attempts
from kzproxy.client.failure import ClientFailure
from kzproxy.client.file_lock import FileLock
from kzproxy.client.notices import Notices
from kzproxy.client.plugin_settings import PluginSettings
from kzproxy.client.token_cache import CacheEntry, TokenCache, cache_key
from kzproxy.clock.system import Clock, SystemClock

if TYPE_CHECKING:
    from kzproxy.client.issuer_session import IssuerSession

# On top of what the other process may take to sign in: its HTTP, and then ours.
LOCK_MARGIN = timedelta(seconds=60)


class TooSoon(ClientFailure):
    """The user was asked not long ago and did not sign in; they are not asked again yet."""


class SignIn:
    """The sign-in that ``settings`` name. Safe to use from many processes at once."""

    def __init__(
        self,
        settings: PluginSettings,
        cache: TokenCache,
        clock: Clock,
        asking: Asking,
    ) -> None:
        key = cache_key(settings.client, settings.server)
        self._settings = settings
        self._cache = cache
        self._clock = clock
        self._asking = asking
        self._key = key
        self._attempts = Attempts(cache, key)
        self._lock = FileLock(cache.path(f"{key}.lock"), clock)

    def current(self) -> CacheEntry:
        """Return a sign-in whose token holds; asks the user only where nothing else is left.

        Raises:
            TooSoon: They were asked not long ago.
            ClientFailure: There is none.
        """
        began = self._clock.now()
        with self._alone():
            entry = self._cache.read(self._key)
            if entry is not None and self._seconds() < entry.refresh_at:
                return entry
            self._share_failure(began)
            with self._failure_noted():
                return self._renewed(entry)

    def anew(self) -> CacheEntry:
        """Ask the user, whatever is in the cache and whatever failed before.

        Raises:
            ClientFailure: No sign-in came of it.
        """
        before = self._cache.read(self._key)
        with self._alone():
            entry = self._cache.read(self._key)
            if entry is not None and (before is None or before.id_token != entry.id_token):
                return entry  # another process has just signed in
            self._attempts.clear()
            with self._failure_noted(), self._session() as session:
                return self._asked(session)

    def forgotten(self) -> str:
        """End the sign-in, here and at the issuer; return how that went, in one line.

        Raises:
            ClientFailure: It is ended here, but the issuer could not be told.
        """
        with self._alone():
            entry = self._cache.read(self._key)
            self._attempts.clear()
            if entry is None:
                return "Nobody was signed in."
            self._cache.remove(f"{self._key}.json")
            return self._revoked(entry)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        self._cache.prepare()
        wait = timedelta(seconds=self._settings.prompting.timeout_seconds) + LOCK_MARGIN
        with self._lock.held(wait.total_seconds(), self._asking.say_waiting):
            yield

    def _share_failure(self, began: datetime) -> None:
        """Fail as the process failed that was waited for, rather than ask the user once more."""
        last = self._attempts.last()
        if last is not None and last.at >= began:
            raise ClientFailure(f"signing in failed in another process: {last.message}")

    @contextmanager
    def _failure_noted(self) -> Iterator[None]:
        try:
            yield
        except TooSoon:
            raise
        except ClientFailure as failure:
            self._attempts.fail(self._clock.now(), str(failure))
            raise

    def _session(self) -> "IssuerSession":
        from kzproxy.client.issuer_session import IssuerSession

        return IssuerSession(self._settings, self._clock)

    def _renewed(self, entry: CacheEntry | None) -> CacheEntry:
        from kzproxy.client.issuer_http import IssuerUnreachable

        try:
            with self._session() as session:
                refreshed = self._refreshed(session, entry)
                return refreshed or self._asked_again(session)
        except IssuerUnreachable:
            if entry is None or entry.expires_at <= self._seconds():
                raise
            return entry  # it holds a little longer; perhaps the issuer is back by then

    def _refreshed(self, session: "IssuerSession", entry: CacheEntry | None) -> CacheEntry | None:
        """Return the refreshed ``entry``; None where the user has to be asked."""
        from kzproxy.client.issuer_http import IssuerUnreachable

        if entry is None or not entry.refresh_token:
            return None
        try:
            refreshed = session.refreshed(entry)
        except IssuerUnreachable:
            raise
        except ClientFailure:
            self._cache.remove(f"{self._key}.json")  # what it holds is used up
            return None
        # Before anybody sees the token: the issuer has taken the old refresh token away.
        self._cache.write(self._key, refreshed)
        return refreshed

    def _asked_again(self, session: "IssuerSession") -> CacheEntry:
        last, now = self._attempts.last(), self._clock.now()
        if last is not None and last.at <= now < last.retry_at:
            raise TooSoon(
                f"you were asked to sign in at {last.at.astimezone():%H:%M:%S}, but"
                f" {last.message}; you will not be asked again before"
                f" {last.retry_at.astimezone():%H:%M:%S}, or run `kzproxy login` now"
            )
        return self._asked(session)

    def _asked(self, session: "IssuerSession") -> CacheEntry:
        flow = self._asking.flow(session.provider)
        self._attempts.begin(self._clock.now())
        try:
            entry = session.asked(self._asking, flow)
        except KeyboardInterrupt:  # they are here, and know what they do
            self._attempts.clear()
            raise
        self._cache.write(self._key, entry)
        self._attempts.clear()
        return entry

    def _revoked(self, entry: CacheEntry) -> str:
        if not entry.refresh_token:
            return "Signed out here."
        try:
            with self._session() as session:
                revoked = session.revoke(entry)
        except ClientFailure as failure:
            message = f"you are signed out here, but the issuer could not be told: {failure}"
            raise ClientFailure(message) from None
        if not revoked:
            return "Signed out here; the issuer has no way to take the sign-in back."
        return "Signed out here and at the issuer."

    def _seconds(self) -> float:
        return self._clock.now().timestamp()


def sign_in(
    settings: PluginSettings,
    cache: TokenCache,
    environ: Mapping[str, str],
    *,
    interactive: bool,
) -> SignIn:
    """Put a ``SignIn`` together for this process, talking to the person on stderr."""
    notices = Notices(sys.stderr)
    asking = Asking(settings.prompting, notices, environ, interactive=interactive)
    return SignIn(settings, cache, SystemClock(), asking)


def signed_in(
    settings: PluginSettings,
    cache: TokenCache,
    environ: Mapping[str, str],
    *,
    interactive: bool,
) -> CacheEntry:
    """Return a sign-in whose token holds, for the plugin."""
    return sign_in(settings, cache, environ, interactive=interactive).current()
