"""Signing keys over a real store, and tokens made with them."""

import base64
import json
from pathlib import Path

from kzproxy.attributes.identity import SESSION_METHOD, Identity
from kzproxy.authentication.session_key_keeper import SigningKeyKeeper
from kzproxy.authentication.session_keys import SigningKeys
from kzproxy.authentication.session_token import SessionTokens
from kzproxy.clock.system import Clock
from kzproxy.errors.kinds import Unauthenticated
from kzproxy.store.following import Following
from kzproxy.store.sealing import Sealer
from kzproxy.store.sqlite import SqliteStore
from tests.authentication.manual_clock import ManualClock

ISSUER = "https://kzproxy.example.com:8444"
SESSION = "0123456789abcdef" * 2
CERTIFICATE = "ab" * 32
SEALER_KEY = b"k" * 32


class KeyScene:
    """What one worker has of the keys."""

    def __init__(self, path: Path, clock: Clock, *sealer_keys: bytes) -> None:
        self.clock = clock
        self.store = SqliteStore.open(path, clock)
        self.following = Following(self.store, clock)
        self.keys = SigningKeys(Sealer(sealer_keys or (SEALER_KEY,)))
        self.following.follow(self.keys)
        self.keeper = SigningKeyKeeper(self.keys, self.store, self.following, clock)
        self.tokens = SessionTokens(self.keys, clock, issuer=ISSUER)

    async def start(self) -> "KeyScene":
        await self.following.start()
        await self.keeper.look()
        return self

    def ids(self) -> set[str]:
        return {str(key["kid"]) for key in self.keys.published()["keys"]}

    def signed(self, claims: object, **header: object) -> str:
        """Sign anything with the key in use, under a header with changes; None removes."""
        key = self.keys.signer(self.clock.now())
        assert key is not None
        usual = {"alg": "ES256", "typ": "kzproxy-session+jwt", "kid": key.id}
        members = {name: value for name, value in (usual | header).items() if value is not None}
        signed = f"{encoded(members)}.{encoded(claims)}"
        signature = base64.urlsafe_b64encode(key.sign(signed.encode())).decode().rstrip("=")
        return f"{signed}.{signature}"

    def claims(self, **changes: object) -> dict[str, object]:
        """Claims of a token that holds; None removes one."""
        now = int(self.clock.now().timestamp())
        thumbprint = base64.urlsafe_b64encode(bytes.fromhex(CERTIFICATE)).decode().rstrip("=")
        usual: dict[str, object] = {
            "iss": ISSUER,
            "aud": "kzproxy",
            "sub": SESSION,
            "iat": now,
            "exp": now + 300,
            "jti": "one",
            "cnf": {"x5t#S256": thumbprint},
        }
        return {name: value for name, value in (usual | changes).items() if value is not None}


class Sessions:
    """Stands in for the session directory, which is above this room.

    Attributes:
        unheard_of: What another worker has made of the session, and ``catch_up`` finds.
    """

    def __init__(self, clock: ManualClock, vouched_by: str, issuer: str) -> None:
        self.said: Identity | None = Identity(
            username="alice",
            method=SESSION_METHOD,
            issuer=issuer,
            subject="00u1",
            sign_in=SESSION,
            expires_at=clock.now().replace(year=2100),
            vouched_by=vouched_by,
        )
        self.is_known = True
        self.caught_up = 0
        self.unheard_of: Identity | None = None

    def find(self, session_id: str) -> object | None:
        return self if self.is_known and session_id == SESSION else None

    def identity(self, session_id: str, now: object) -> Identity:
        if self.said is None or self.find(session_id) is None:
            raise Unauthenticated("the session was ended")
        return self.said

    async def catch_up(self) -> None:
        self.caught_up += 1
        self.is_known = True
        self.said, self.unheard_of = self.unheard_of or self.said, None


def encoded(value: object) -> str:
    text = value if isinstance(value, bytes) else json.dumps(value, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(text).decode().rstrip("=")
