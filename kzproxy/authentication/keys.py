"""The public keys of one issuer, fetched in the background and kept for a bounded time.

One task fetches (``run``); requests only ask it to hurry and wait. So there is never more than one
fetch at a time, a client that hangs up cannot cancel it, and however many tokens with unknown key
ids come in there is at most one fetch in each cool-down.
"""

import asyncio
import logging
import math
from typing import Protocol

from kzproxy.authentication.fetch import Documents, FetchFailed
from kzproxy.authentication.foreign_places import ForeignPlace, refuse_foreign_place
from kzproxy.authentication.jwks import KeySet, VerificationKey, read_key_set
from kzproxy.authentication.settings import DEFAULT_KEY_LIMITS, KeyLimits
from kzproxy.authentication.signed_token import SignedToken
from kzproxy.clock.system import Clock
from kzproxy.errors.kinds import ServiceUnavailable

_log = logging.getLogger(__name__)

_NO_KEYS = KeySet(())


class KeyNotYetKnown(ServiceUnavailable):
    """A key that may be the issuer's: it is too soon after the last fetch to ask for newer ones."""


class KeyPublisher(Protocol):
    """Who signs, and where their keys are."""

    @property
    def url(self) -> str:
        """What they call themselves: the ``iss`` of what they sign."""

    @property
    def certificate_authority_pem(self) -> str:
        """Who vouches for their TLS; empty for the system's trust."""

    @property
    def discovery_document_url(self) -> str:
        """Where the document is that says where the keys are."""

    @property
    def key_set_url(self) -> str:
        """Where the keys are; empty where the discovery document says so."""


class IssuerKeys:
    """The keys that one issuer's tokens are verified with.

    Attributes:
        url: The issuer.
        tried: Whether a first fetch has ended, well or badly.
        failure: Why the last fetch failed; empty where it did not.
        published: The keys as last fetched, which hold only until ``usable_until``.
        usable_until: When they are too old to be believed, by the monotonic clock.
    """

    def __init__(
        self, issuer: KeyPublisher, clock: Clock, limits: KeyLimits = DEFAULT_KEY_LIMITS
    ) -> None:
        self.url = issuer.url
        self.tried = False
        self.failure = ""
        self._issuer = issuer
        self._clock = clock
        self._limits = limits
        self.published = _NO_KEYS
        self.usable_until = clock.monotonic()
        self._next_fetch_at = clock.monotonic()
        self._refused: frozenset[str] = frozenset()
        self._fetching = False
        self._wanted = asyncio.Event()
        self._round_ended = asyncio.Event()

    def current(self) -> KeySet:
        """Return the keys that hold now; none once they are too old to be believed."""
        if self._clock.monotonic() >= self.usable_until:
            return _NO_KEYS
        return self.published

    async def signer(self, token: SignedToken) -> VerificationKey | None:
        """Return the key that signed ``token``; asks for newer keys where none of these has."""
        if (key := self._signer(token)) is None:
            await self.sought()
            key = self._signer(token)
        return key

    async def sure_signer(self, token: SignedToken) -> VerificationKey | None:
        """Return the key that signed ``token``; None only where it is sure that none has.

        For what its sender sends once, and not again after a refusal.

        Raises:
            KeyNotYetKnown: The token may be signed with a key that was published just now.
            ServiceUnavailable: The keys cannot be had.
        """
        has_newer = False
        if (key := self._signer(token)) is None:
            has_newer = await self.sought()
            key = self._signer(token)
        if key is None and (self.failure or not self.tried):
            raise self.unavailable()
        if key is None and not has_newer and not self._knows_key_of(token):
            raise self._not_yet_known()
        return key

    def _knows_key_of(self, token: SignedToken) -> bool:
        # Without a name nobody can tell that it is none of the keys that are still unknown here.
        named = token.key_id is not None
        return named and bool(self.current().candidates(token.key_id, token.algorithm))

    def _not_yet_known(self) -> KeyNotYetKnown:
        left = self._next_fetch_at - self._clock.monotonic()
        return KeyNotYetKnown(
            f"signed with a key of {self.url} that is not known here yet; send it again",
            retry_after_seconds=max(1, math.ceil(left)),
        )

    def _signer(self, token: SignedToken) -> VerificationKey | None:
        keys = self.current()
        return keys.signer(token.key_id, token.algorithm, token.signing_input, token.signature)

    def unavailable(self) -> ServiceUnavailable:
        """Return the error for a token that cannot be judged because keys cannot be had."""
        return ServiceUnavailable(
            f"the keys of issuer {self.url} could not be fetched; try again in a few seconds",
            detail=self.failure,
            retry_after_seconds=max(1, round(self._limits.cool_down.total_seconds())),
        )

    async def run(self) -> None:
        """Fetch again and again until cancelled."""
        while True:
            await self.fetch()
            await self._rest()

    async def fetch(self) -> None:
        """Fetch once; a failure is kept in ``failure`` and leaves the present keys standing.

        One that is cancelled is as if it had never been: who waits for it waits for the next one.
        """
        self._fetching = True
        self._wanted.clear()
        try:
            await self._try_to_fetch()
        finally:
            self._fetching = False
        self.tried = True
        self._next_fetch_at = self._clock.monotonic() + self._limits.cool_down.total_seconds()
        self._round_ended.set()
        self._round_ended = asyncio.Event()

    async def sought(self) -> bool:
        """Wait for newer keys than the present ones, unless the last fetch is too young for that.

        Returns in any case, at the latest a little after the fetch time-out: whether a fetch has
        begun and ended since. One that had begun before may have been answered before it.
        """
        round_ended, is_newer = self._round_ended, not self._fetching
        if is_newer:
            if self._clock.monotonic() < self._next_fetch_at:
                return False
            self._wanted.set()
        try:
            async with asyncio.timeout(self._limits.fetch_timeout.total_seconds() + 1):
                await round_ended.wait()
        except TimeoutError:
            return False
        return is_newer

    async def _rest(self) -> None:
        limits = self._limits
        rest = limits.cool_down if self.failure else limits.refresh_interval
        try:
            async with asyncio.timeout(rest.total_seconds()):
                await self._wanted.wait()
        except TimeoutError:
            return

    async def _try_to_fetch(self) -> None:
        try:
            async with asyncio.timeout(self._limits.fetch_timeout.total_seconds()):
                published = await self._published_keys()
        except (FetchFailed, TimeoutError) as error:
            self._failed(str(error) or f"{self.url}: no answer in {self._limits.fetch_timeout}")
            return
        except Exception:  # noqa: BLE001 - an issuer's answer must never end the task that asks it
            _log.exception("issuer %s: fetching its keys failed unexpectedly", self.url)
            self._failed(f"{self.url}: an unexpected error; see the log")
            return
        keys = read_key_set(published, self.url, self._refused)
        self._refused = keys.refused
        self._accept(keys)

    def _accept(self, keys: KeySet) -> None:
        if self.failure or keys.fingerprints != self.published.fingerprints:
            _log.info("issuer %s: %d keys hold now", self.url, len(keys.keys))
        self.failure = ""
        if keys.fingerprints != self.published.fingerprints:
            self.published = keys
        keep = self._limits.keep_last_good.total_seconds()
        self.usable_until = self._clock.monotonic() + keep

    def _failed(self, why: str) -> None:
        if why != self.failure:
            _log.warning("issuer %s: its keys could not be fetched: %s", self.url, why)
        self.failure = why

    async def _published_keys(self) -> list[object]:
        documents = Documents(self._issuer.certificate_authority_pem)
        place = await self._key_set_url(documents)
        limit = self._limits.document_bytes
        document = await documents.fetch_object(place, limit_bytes=limit)
        keys = document.get("keys")
        if not isinstance(keys, list):
            raise FetchFailed(f"{place}: the document has no list `keys`")
        if len(keys) > self._limits.keys:
            raise FetchFailed(f"{place}: more than {self._limits.keys} keys")
        return keys

    async def _key_set_url(self, documents: Documents) -> str:
        if self._issuer.key_set_url:
            return self._issuer.key_set_url
        source = self._issuer.discovery_document_url
        document = await documents.fetch_object(source, limit_bytes=self._limits.document_bytes)
        # OpenID Connect Discovery 1.0 section 4.3: exactly equal, or another party answers.
        if document.get("issuer") != self.url:
            raise FetchFailed(f"{source}: its `issuer` is not {self.url}")
        place = document.get("jwks_uri")
        if not isinstance(place, str) or not place.isascii() or not place.isprintable():
            raise FetchFailed(f"{source}: its `jwks_uri` is not a URL")
        try:
            await refuse_foreign_place(place, source, "jwks_uri")
        except ForeignPlace as error:
            raise FetchFailed(str(error)) from error
        return place
