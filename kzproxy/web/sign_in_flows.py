"""What the sign-in listener remembers from one step of a sign-in to the next, at every worker.

All of it is in the store for minutes, by digests of the secrets that name it, and sealed: until a
session is made of it, it holds what somebody could sign in with.
"""

import hashlib
import secrets
from datetime import datetime, timedelta
from typing import Generic, TypeVar

import msgspec

from kzproxy.attributes.identity import ExtraValues
from kzproxy.clock.system import Clock
from kzproxy.store.sealing import Sealer, Unsealable
from kzproxy.store.store import Conflict, Delete, Put, Store
from kzproxy.web.begun_sign_ins import MAX_BEGUN, BegunSignIns

KIND = "sign-in"

FLOW_LIFE = timedelta(minutes=10)
CODE_LIFE = timedelta(seconds=60)
DEVICE_LIFE = timedelta(minutes=10)

REMEMBERED = timedelta(minutes=10)
"""For how long it is known that a code was used, so that who uses it again is noticed."""

_SECRET_BYTES = 32


class Person(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Somebody who has signed in at the provider; see ``SessionRecord``.

    Attributes:
        begun_at: When their browser was sent to the provider, before they showed who they are.
        signed_in_at: When it came back.
    """

    username: str
    groups: tuple[str, ...] = ()
    uid: str = ""
    extra: ExtraValues = ()
    issuer: str
    subject: str
    email: str = ""
    idp_session: str = ""
    vouched_by: str = ""
    authenticated_at: datetime | None = None
    authentication_class: str = ""
    authentication_methods: tuple[str, ...] = ()
    refresh_token: str
    begun_at: datetime
    signed_in_at: datetime

    def __repr__(self) -> str:
        """Name them without what is secret."""
        return f"Person(username={self.username!r})"


class Wish(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a client asks of a sign-in.

    Attributes:
        redirect_uri: Where its answer goes; empty for one that polls.
        state: Its own, brought back.
        challenge: PKCE, S256; may be empty for one that polls.
        acr_values: Passed on to the provider, as are the next ones.
        max_age: Seconds; None for none.
        prompt: See above.
        login_hint: See above.
    """

    redirect_uri: str = ""
    state: str = ""
    challenge: str = ""
    acr_values: str = ""
    max_age: int | None = None
    prompt: str = ""
    login_hint: str = ""


class BrowserFlow(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A browser that was sent to the provider; kept by its ``state``.

    Attributes:
        browser: SHA-256 of the browser's cookie, hex.
        provider: The issuer's URL.
        nonce: Comes back in the ID token.
        verifier: Goes with the provider's code.
        wish: The client's.
        device: The key of the device flow that it decides; empty where it is none.
        callback: Where the provider is to send it back; see ``ProviderSettings``.
        begun_at: Aware, UTC.
    """

    browser: str
    provider: str
    nonce: str
    verifier: str
    wish: Wish
    device: str = ""
    callback: str = ""
    begun_at: datetime

    def __repr__(self) -> str:
        """Name it without what is secret."""
        return f"BrowserFlow(provider={self.provider!r})"


class CodeGrant(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a code stands for.

    Attributes:
        person: None once it was used.
        wish: The client's.
        session: That it gave; empty while it was not used.
    """

    person: Person | None = None
    wish: Wish
    session: str = ""


class DeviceFlow(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A terminal that waits for a person.

    Attributes:
        user_code: As people read it: ``XXXX-XXXX``.
        wish: The client's.
        machine: As it calls itself.
        address: It asks from there.
        begun_at: Aware, UTC.
        ends_at: Until when somebody may come.
        denied: Whether somebody turned it away.
        person: Who let it in; None while nobody has, and once it was used.
        session: That it gave; empty while it was not used.
    """

    user_code: str
    wish: Wish
    machine: str
    address: str
    begun_at: datetime
    ends_at: datetime
    denied: bool = False
    person: Person | None = None
    session: str = ""


_Value = TypeVar("_Value", bound=msgspec.Struct)


class Found(msgspec.Struct, Generic[_Value], frozen=True, kw_only=True):
    """What is remembered, and as of which revision."""

    key: str
    value: _Value
    revision: int


class SignInFlows:
    """Remembers."""

    def __init__(
        self, store: Store, sealer: Sealer, clock: Clock, most_begun: int = MAX_BEGUN
    ) -> None:
        self._store = store
        self._sealer = sealer
        self._clock = clock
        self._begun = BegunSignIns(clock, most_begun)

    async def begin(self, address: str, life: timedelta, *puts: Put) -> None:
        """Remember a sign-in that begins; one of whoever has begun the most may go for it.

        Args:
            address: Whoever begins it is there.
            life: For how long it is remembered at most.
            puts: What is to be remembered; see ``put``.
        """
        gone = self._begun.add(address, tuple(one.key for one in puts), life)
        await self._store.write(*puts, *(Delete(kind=KIND, key=key) for key in gone))

    async def keep(self, key: str, value: msgspec.Struct, life: timedelta) -> None:
        """Remember something new."""
        await self._store.write(self.put(key, value, life, expected=None))

    def put(self, key: str, value: msgspec.Struct, life: timedelta, *, expected: int | None) -> Put:
        """Return the write that remembers ``value`` from now for ``life``."""
        return Put(
            kind=KIND,
            key=key,
            value=self._sealer.seal(msgspec.json.encode(value), _context(key)),
            expires_at=self._clock.now() + life,
            expected=expected,
        )

    async def find(self, key: str, kind: type[_Value]) -> Found[_Value] | None:
        """Return what is remembered; None where nothing is, or it cannot be opened."""
        entry = await self._store.get(KIND, key)
        if entry is None:
            return None
        try:
            value = msgspec.json.decode(self._sealer.open(entry.value, _context(key)), type=kind)
        except (Unsealable, msgspec.DecodeError):
            return None
        return Found(key=key, value=value, revision=entry.revision)

    async def spend(self, found: Found[_Value]) -> bool:
        """Forget it; False where somebody else has just done so or changed it."""
        try:
            await self._store.write(Delete(kind=KIND, key=found.key, expected=found.revision))
        except Conflict:
            return False
        return True

    async def change(self, found: Found[_Value], value: _Value, life: timedelta) -> bool:
        """Remember it so instead; False where somebody else has just changed it."""
        try:
            await self._store.write(self.put(found.key, value, life, expected=found.revision))
        except Conflict:
            return False
        return True


def new_secret() -> str:
    """Return 256 random bits as URL-safe text."""
    return secrets.token_urlsafe(_SECRET_BYTES)


def digest(secret: str) -> str:
    """Return the name under which ``secret`` is known; secrets themselves are nowhere kept."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def flow_key(state: str) -> str:
    """Return the key of a browser's flow."""
    return f"flow/{digest(state)}"


def code_key(code: str) -> str:
    """Return the key of a code's grant."""
    return f"code/{digest(code)}"


def device_key(device_code: str) -> str:
    """Return the key of a terminal's flow."""
    return f"device/{digest(device_code)}"


def user_code_key(user_code: str) -> str:
    """Return the key of what a person types."""
    return f"user-code/{digest(user_code)}"


def _context(key: str) -> str:
    return f"sign-in:{key}"
