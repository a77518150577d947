"""Having a token: from the cache, by refresh, or by asking; one process at a time."""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, TypeAlias

from kzproxy.client.asking import Asking, NobodyToAsk
from kzproxy.client.attempts import Attempts
from kzproxy.client.failure import ClientFailure
from kzproxy.client.file_lock import FileLock
from kzproxy.client.handed_out import forget
from kzproxy.client.kept_key import fits_this_machine
from kzproxy.client.notices import Notices
from kzproxy.client.plugin_settings import PluginSettings
from kzproxy.client.step_up import ANY_SIGN_IN, CANNOT_GO_ON, SessionEnded, StepUp, with_command
from kzproxy.client.token_cache import CacheEntry, TokenCache, cache_key
from kzproxy.clock.system import Clock, SystemClock

if TYPE_CHECKING:
    from kzproxy.client.issuer_session import IssuerSession
    from kzproxy.client.sign_in_server import SignInServer

    Conversation: TypeAlias = IssuerSession | SignInServer

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

    def current(self, refused: str = "") -> CacheEntry:
        """Return a sign-in whose token holds; asks the user only where nothing else is left.

        Args:
            refused: A token that the server does not take, whatever it says of its own end.

        Raises:
            TooSoon: They were asked not long ago.
            ClientFailure: There is none.
        """
        began = self._clock.now()
        with self._alone():
            entry = self._cache.read(self._key)
            if entry is not None and self._holds(entry) and entry.bearer != refused:
                return entry
            if entry is not None and entry.bearer == refused:
                entry = entry.suspected(self._seconds())
            self._share_failure(began)
            with self._failure_noted():
                return self._renewed(entry)

    def with_new_certificate(self) -> CacheEntry:
        """Renew the session, and have another certificate with it: this device is a new one now.

        Nobody is asked: whoever prepares a machine may be no user of it.

        Raises:
            IssuerUnreachable: Ask again later; the session is as it was.
            SessionEnded: There is none that goes on without its user.
            ClientFailure: It cannot be renewed as things are; it is as it was.
        """
        with self._alone():
            entry = self._cache.read(self._key)
            if entry is None or entry.session is None or not entry.refresh_token:
                raise SessionEnded(_end_message(entry))
            self._check_room(entry)
            try:
                with self._conversation() as issuer:
                    return self._refreshed(issuer, entry, new_certificate=True)
            except ClientFailure as failure:
                goes_on = isinstance(failure, SessionEnded) and failure.holds
                if goes_on or not _ends(entry, failure):
                    raise
                raise SessionEnded(self._end(entry, failure)) from None

    def anew(self, step_up: StepUp = ANY_SIGN_IN) -> CacheEntry:
        """Ask the user, whatever is in the cache and whatever failed before.

        Args:
            step_up: What the sign-in must be like.

        Raises:
            ClientFailure: No sign-in came of it.
        """
        before = self._cache.read(self._key)
        with self._alone():
            entry = self._cache.read(self._key)
            if entry is not None and not step_up and _signed_in_since(before, entry):
                return entry  # by another process
            self._attempts.clear()
            with self._failure_noted(), self._conversation() as issuer:
                return self._asked(issuer, self._asking.flow(issuer.provider), step_up)

    def forgotten(self) -> str:
        """End the sign-in, here and at the issuer; return how that went, in one line.

        Raises:
            ClientFailure: It is ended here, but the issuer could not be told.
        """
        with self._alone():
            entry = self._cache.read(self._key)
            self._attempts.clear()
            self._cache.forget(self._key)
            if entry is None:
                return "Nobody was signed in."
            forget(self._cache, self._key)
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
        # What is of a later time than now is of a clock that has been set back since.
        if last is not None and began <= last.at <= self._clock.now():
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

    def _conversation(self) -> "Conversation":
        if self._settings.client.keeps_session:
            from kzproxy.client.sign_in_server import SignInServer

            return SignInServer(self._settings, self._clock, self._cache)
        from kzproxy.client.issuer_session import IssuerSession

        return IssuerSession(self._settings, self._clock)

    def _renewed(self, entry: CacheEntry | None) -> CacheEntry:
        from kzproxy.client.issuer_http import IssuerUnreachable

        try:
            with self._conversation() as issuer:
                return self._refreshed_or_asked(issuer, entry)
        except IssuerUnreachable:
            if entry is None or entry.expires_at <= self._seconds() or not self._fits(entry):
                raise
            return entry  # it holds a little longer; perhaps the issuer is back by then

    def _refreshed_or_asked(self, issuer: "Conversation", entry: CacheEntry | None) -> CacheEntry:
        if entry is None or not entry.refresh_token:
            return self._asked_again(issuer, _end_message(entry), ANY_SIGN_IN)
        self._check_room(entry)
        try:
            return self._refreshed(issuer, entry, new_certificate=False)
        except ClientFailure as failure:
            if not _ends(entry, failure):
                raise
            return self._after_refusal(issuer, entry, failure)

    def _check_room(self, entry: CacheEntry) -> None:
        """See that what takes the place of ``entry`` can be kept, before it is used up.

        Raises:
            ClientFailure: The disk is full, or cannot be written for another reason.
        """
        self._cache.write(self._key, entry)

    def _refreshed(
        self, issuer: "Conversation", entry: CacheEntry, *, new_certificate: bool
    ) -> CacheEntry:
        successor = issuer.refreshed(entry, new_certificate=new_certificate)
        refreshed = successor.signed_in(entry.signed_in_at)
        # Before anybody sees the token: the issuer has taken the old refresh token away.
        self._cache.write(self._key, refreshed)
        return refreshed

    def _after_refusal(
        self, issuer: "Conversation", entry: CacheEntry, failure: ClientFailure
    ) -> CacheEntry:
        if entry.session is None:
            self._cache.remove(f"{self._key}.json")  # what it holds is used up
            return self._asked_again(issuer, "", ANY_SIGN_IN)
        if isinstance(failure, SessionEnded) and failure.holds:
            return self._stepped_up(issuer, entry, failure)
        return self._asked_again(issuer, self._end(entry, failure), ANY_SIGN_IN)

    def _end(self, entry: CacheEntry, failure: ClientFailure) -> str:
        """Keep a session without its tokens, so that why can be said the next time; return that."""
        said = isinstance(failure, SessionEnded)
        message = str(failure) if said else f"{CANNOT_GO_ON}: {failure}"
        self._cache.write(self._key, entry.ended(message))
        return message

    def _stepped_up(
        self, issuer: "Conversation", entry: CacheEntry, wanted: SessionEnded
    ) -> CacheEntry:
        """Have the user sign in as is wanted; what needs no more goes on until the token ends."""
        message = f"you are asked to sign in again: {wanted}"
        try:
            return self._asked_again(issuer, message, wanted.step_up)
        except ClientFailure:
            if not self._holds(entry):
                raise
            self._asking.say_ended(message)
            self._cache.write(self._key, entry)
            return entry

    def _asked_again(self, issuer: "Conversation", why: str, step_up: StepUp) -> CacheEntry:
        last, now = self._attempts.last(), self._clock.now()
        if last is not None and last.at <= now < last.retry_at:
            raise TooSoon(
                f"you were asked to sign in at {last.at.astimezone():%H:%M:%S}, but"
                f" {last.message}; you will not be asked again before"
                f" {last.retry_at.astimezone():%H:%M:%S}, or run `kzproxy login` now"
            )
        try:
            flow = self._asking.flow(issuer.provider)
        except NobodyToAsk:
            if not why:
                raise
            raise NobodyToAsk(with_command(why, step_up)) from None
        if why:
            self._asking.say_ended(why)
        return self._asked(issuer, flow, step_up)

    def _asked(self, issuer: "Conversation", flow: str, step_up: StepUp) -> CacheEntry:
        try:
            self._attempts.begin(self._clock.now())
            grant = issuer.asked(self._asking, flow, step_up)
            entry = grant.signed_in(int(self._seconds()))
            self._cache.write(self._key, entry)
        except KeyboardInterrupt:  # they are here, and know what they do
            self._attempts.clear()
            raise
        self._attempts.clear()
        return entry

    def _holds(self, entry: CacheEntry) -> bool:
        """Return whether ``entry`` can be handed out as it is."""
        return self._seconds() < entry.refresh_at and self._fits(entry)

    def _fits(self, entry: CacheEntry) -> bool:
        session = entry.session
        return session is None or fits_this_machine(self._cache, self._settings, session)

    def _revoked(self, entry: CacheEntry) -> str:
        if not entry.refresh_token:
            return "Signed out here."
        try:
            with self._conversation() as issuer:
                revoked = issuer.revoke(entry)
        except ClientFailure as failure:
            where = "kzproxy" if entry.session is not None else "the issuer"
            message = f"you are signed out here, but {where} could not be told: {failure}"
            raise ClientFailure(message) from None
        where = "kzproxy" if entry.session is not None else "the issuer"
        if not revoked:
            return f"Signed out here; {where} has no way to take the sign-in back."
        return f"Signed out here and at {where}."

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
    refused: str = "",
) -> CacheEntry:
    """Return a sign-in whose token holds, for the plugin; see ``SignIn.current``."""
    return sign_in(settings, cache, environ, interactive=interactive).current(refused)


def _signed_in_since(before: CacheEntry | None, entry: CacheEntry) -> bool:
    """Return whether ``entry`` is of a later sign-in than ``before``, and still of use.

    Its token tells nothing: another comes with each renewal, and none is left of what is over. Nor
    does its session: a new sign-in with the same key goes on in it.
    """
    if not entry.bearer:
        return False
    return entry.signed_in_at != (0 if before is None else before.signed_in_at)


def _ends(entry: CacheEntry, failure: ClientFailure) -> bool:
    """Return whether nothing can be renewed with ``entry`` any more, after ``failure``.

    A session ends by what the server says. What is missing on this machine may be back soon: a
    keyring that is locked, an authority's file, a device certificate that is being replaced.
    """
    from kzproxy.client.issuer_http import CertificateRefused, IssuerUnreachable
    from kzproxy.client.token_endpoint import Refused

    if entry.session is None:  # what can be missing for an issuer was there before it was asked
        return not isinstance(failure, IssuerUnreachable)
    return isinstance(failure, SessionEnded | Refused | CertificateRefused)


def _end_message(entry: CacheEntry | None) -> str:
    return "" if entry is None or entry.session is None else entry.session.end_message
