"""Whom a signal is about, as kzproxy knows people, sessions and devices."""

from collections.abc import Iterator
from typing import Generic, NamedTuple, TypeVar

import msgspec

from kzproxy.administrator.session import SessionRecord
from kzproxy.attributes.identity import Identity

_Key = tuple[str, ...]
_Value = TypeVar("_Value")
_ANYBODY: _Key = ("anybody",)


class Who(NamedTuple):
    """A caller, by all the names that a signal may use.

    ``idp_session`` is empty where the issuer did not say which of its sessions a sign-in is.
    """

    issuer: str
    subject: str
    username: str
    email: str = ""
    idp_session: str = ""
    device_id: str = ""


def who_has(record: SessionRecord) -> Who:
    """Return who a session is of."""
    return Who(
        issuer=record.issuer,
        subject=record.subject,
        username=record.username,
        email=record.email,
        idp_session=record.idp_session,
        device_id=record.device_id,
    )


def who_calls(subject: Identity, device_id: str) -> Who:
    """Return who comes with an issuer's own token."""
    return Who(
        issuer=subject.issuer,
        subject=subject.subject,
        username=subject.username,
        idp_session="" if _is_time(subject) else subject.sign_in,
        device_id=device_id,
    )


def _is_time(subject: Identity) -> bool:
    """Whether its ``sign_in`` comes from ``auth_time``, for want of a ``sid``."""
    at = subject.authenticated_at
    return at is not None and subject.sign_in == str(int(at.timestamp()))


class Concern(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """A set of callers; what is empty is any.

    What names them in a way that is not known here is none: it would be read as fewer, or nobody.

    Attributes:
        issuers: The identity providers that their users are of; empty: of any.
        subject: ``sub``.
        email: The address of the person.
        usernames: What that address makes them here, by issuer, where it makes their name.
        idp_session: ``sid``.
        device_id: The device.
        username: As the cluster knows them.
        everybody: Whether nothing else need be said: all users of the issuers.
    """

    issuers: tuple[str, ...] = ()
    subject: str = ""
    email: str = ""
    usernames: tuple[tuple[str, str], ...] = ()
    idp_session: str = ""
    device_id: str = ""
    username: str = ""
    everybody: bool = False

    def covers(self, who: Who) -> bool:
        """Whether ``who`` is one of them. Where nothing is said, nobody is."""
        if self.issuers and who.issuer not in self.issuers:
            return False
        if self.everybody:
            return True
        if not self._names_somebody:
            return False
        return (
            (not self.subject or who.subject == self.subject)
            and (not self.email or self._has_email(who))
            and (not self.idp_session or self._is_in_session(who))
            and (not self.device_id or who.device_id == self.device_id)
            and (not self.username or who.username == self.username)
        )

    @property
    def _names_somebody(self) -> bool:
        named = (self.subject, self.email, self.idp_session, self.device_id, self.username)
        return any(named)

    def _has_email(self, who: Who) -> bool:
        if who.email and who.email.casefold() == self.email.casefold():
            return True
        name = who.username.casefold()
        return any((who.issuer, name) == (issuer, one.casefold()) for issuer, one in self.usernames)

    def _is_in_session(self, who: Who) -> bool:
        if who.idp_session:
            return who.idp_session == self.idp_session
        # Nobody knows which session theirs is: where the person is meant, it may be this one.
        return bool(self.subject or self.email)

    @property
    def keys(self) -> tuple[_Key, ...]:
        """Under one of these it is looked for by whoever it covers."""
        if self.everybody:
            return tuple(("issuer", issuer) for issuer in self.issuers) or (_ANYBODY,)
        if self.subject:
            return (("subject", self.subject),)
        if self.email:
            emails = [("email", self.email.casefold())]
            return (*emails, *(("username", name.casefold()) for _, name in self.usernames))
        if self.idp_session:
            return (("session", self.idp_session),)
        if self.device_id:
            return (("device", self.device_id),)
        return (("username", self.username.casefold()),)


EVERYBODY = Concern(everybody=True)
"""Those of all issuers, and whoever else there is."""


class _About(msgspec.Struct):
    concern: Concern


def concern_of(entry: bytes) -> Concern:
    """Return whom an entry is about that cannot be read otherwise: where nobody knows, everybody.

    Args:
        entry: Of something that has a ``concern``, as it is in the store.
    """
    try:
        return msgspec.json.decode(entry, type=_About).concern
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return EVERYBODY


class ConcernIndex(Generic[_Value]):
    """What is kept about callers, found by the caller: with nothing kept it costs nothing."""

    def __init__(self) -> None:
        self._concerns: dict[str, Concern] = {}
        self._by: dict[_Key, dict[str, _Value]] = {}

    def __len__(self) -> int:
        """Return how much is kept."""
        return len(self._concerns)

    def keep(self, key: str, concern: Concern, kept: _Value) -> None:
        """Keep something under a key, in place of what was there."""
        self.drop(key)
        self._concerns[key] = concern
        for place in concern.keys:
            self._by.setdefault(place, {})[key] = kept

    def drop(self, key: str) -> Concern | None:
        """Forget what is kept under a key; return whom it was about."""
        concern = self._concerns.pop(key, None)
        for place in () if concern is None else concern.keys:
            kept = self._by.get(place, {})
            kept.pop(key, None)
            if not kept:
                self._by.pop(place, None)
        return concern

    def clear(self) -> tuple[Concern, ...]:
        """Forget everything; return whom it was about."""
        concerns = tuple(self._concerns.values())
        self._concerns.clear()
        self._by.clear()
        return concerns

    def about(self, who: Who) -> Iterator[_Value]:
        """Go through what is kept about ``who``."""
        if not self._concerns:
            return
        found: set[str] = set()
        for place in _places(who):
            for key, kept in self._by.get(place, {}).items():
                if key not in found and self._concerns[key].covers(who):
                    found.add(key)
                    yield kept


def _places(who: Who) -> tuple[_Key, ...]:
    return (
        ("subject", who.subject),
        ("email", who.email.casefold()),
        ("username", who.username.casefold()),
        ("session", who.idp_session),
        ("device", who.device_id),
        ("issuer", who.issuer),
        _ANYBODY,
    )
