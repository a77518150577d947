"""Device authorizations (RFC 8628): a code for the terminal, a short one for the person."""

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from kzproxy.clock.system import Clock
from kzproxy.demo.idp_clients import Client
from kzproxy.demo.idp_errors import OAuthError
from kzproxy.demo.idp_grants import Grant, Grants
from kzproxy.demo.idp_settings import IdentityProviderSettings
from kzproxy.demo.idp_store import ExpiringStore, digest, new_secret
from kzproxy.demo.idp_users import DemoUser

MAX_DEVICE_CODES = 256
# RFC 8628 section 6.1: no vowels, so that no words come out; 20^8 is 34.5 bits.
_ALPHABET = "BCDFGHJKLMNPQRSTVWXZ"
_USER_CODE_CHARACTERS = 8
_SLOW_DOWN = timedelta(seconds=5)  # RFC 8628 section 3.5
# Past its end a code is remembered for a while, to answer expired_token and not invalid_grant.
_REMEMBERED = timedelta(minutes=5)
# RFC 8628 section 5.1: against guessing codes that others wait for.
MAX_WRONG_CODES = 20
_WRONG_CODES_FORGOTTEN = timedelta(minutes=1)


@dataclass(slots=True, kw_only=True)
class DeviceAuthorization:
    """One terminal's wait for a person.

    Attributes:
        user_code: As people read it: ``XXXX-XXXX``.
        decided: Whether somebody pressed a button.
        grant: Present once approved.
    """

    client: Client
    scopes: tuple[str, ...]
    user_code: str
    ends_at: datetime
    interval: timedelta
    polled_at: datetime | None = None
    decided: bool = False
    grant: Grant | None = None


class DeviceAuthorizations:
    """The terminals that wait."""

    def __init__(self, clock: Clock, grants: Grants, settings: IdentityProviderSettings) -> None:
        self._clock = clock
        self._grants = grants
        self._lifetime = settings.lifetimes.device_code
        self._interval = timedelta(seconds=settings.poll_interval_seconds)
        self._by_device_code = ExpiringStore[DeviceAuthorization](clock, maximum=MAX_DEVICE_CODES)
        self._by_user_code = ExpiringStore[DeviceAuthorization](clock, maximum=MAX_DEVICE_CODES)
        self._wrong_codes = ExpiringStore[None](clock, maximum=MAX_WRONG_CODES)

    def open(self, client: Client, scopes: tuple[str, ...]) -> tuple[str, DeviceAuthorization]:
        """Begin one; return its device code beside it."""
        device_code = new_secret()
        waiting = DeviceAuthorization(
            client=client,
            scopes=scopes,
            user_code=_new_user_code(),
            ends_at=self._clock.now() + self._lifetime,
            interval=self._interval,
        )
        self._by_device_code.put(digest(device_code), waiting, self._lifetime + _REMEMBERED)
        self._by_user_code.put(digest(waiting.user_code), waiting, self._lifetime)
        return device_code, waiting

    def waiting_for(self, typed: str) -> DeviceAuthorization | None:
        """Return the one whose code a person has typed, while it is undecided.

        Case, spaces and the dash do not matter (RFC 8628 section 6.1).
        """
        if self._too_many_wrong():
            return None
        waiting = self._by_user_code.get(digest(_canonical(typed)))
        if waiting is None or waiting.decided:
            self._wrong_codes.put(new_secret(), None, _WRONG_CODES_FORGOTTEN)
            return None
        return waiting

    def approve(self, waiting: DeviceAuthorization, user: DemoUser) -> None:
        """Let the terminal in as ``user``."""
        waiting.decided = True
        waiting.grant = self._grants.open(
            client_id=waiting.client.client_id,
            user=user,
            scopes=waiting.scopes,
            authenticated_at=self._clock.now(),
        )

    def deny(self, waiting: DeviceAuthorization) -> None:
        """Turn the terminal away."""
        waiting.decided = True

    def poll(self, device_code: str, *, client_id: str) -> Grant:
        """Return the grant once somebody has approved; the code is then spent.

        Raises:
            OAuthError: ``authorization_pending``, ``slow_down``, ``access_denied``,
                ``expired_token`` or ``invalid_grant`` (RFC 8628 section 3.5).
        """
        waiting = self._by_device_code.get(digest(device_code))
        if waiting is None or waiting.client.client_id != client_id:
            raise OAuthError("invalid_grant", "the device code is unknown")
        if waiting.decided:
            self._by_device_code.take(digest(device_code))
            if waiting.grant is None:
                raise OAuthError("access_denied", "the person turned the sign-in down")
            return waiting.grant
        raise self._not_yet(waiting)

    def _not_yet(self, waiting: DeviceAuthorization) -> OAuthError:
        now = self._clock.now()
        if now >= waiting.ends_at:
            return OAuthError("expired_token", "nobody entered the code in time")
        last, waiting.polled_at = waiting.polled_at, now
        if last is not None and now - last < waiting.interval:
            waiting.interval += _SLOW_DOWN
            return OAuthError("slow_down", f"wait {waiting.interval.seconds} s between polls")
        return OAuthError("authorization_pending", "nobody has entered the code yet")

    def _too_many_wrong(self) -> bool:
        return self._wrong_codes.live() >= MAX_WRONG_CODES


def _new_user_code() -> str:
    letters = "".join(secrets.choice(_ALPHABET) for _ in range(_USER_CODE_CHARACTERS))
    return f"{letters[:4]}-{letters[4:]}"


def _canonical(typed: str) -> str:
    letters = "".join(letter for letter in typed.upper() if letter in _ALPHABET)
    return f"{letters[:4]}-{letters[4:]}"
