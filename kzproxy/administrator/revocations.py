"""Sign-ins that hold no longer although a token says that they do, or somebody is at one.

A session ends in the store. A token that an issuer signed cannot be taken back, so it is remembered
whose tokens from before when are not taken. This also holds for a session that began elsewhere in
the moment in which the others were ended.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from enum import StrEnum

import msgspec
from msgspec.structs import replace

from kzproxy.administrator.concern import (
    Concern,
    ConcernIndex,
    Who,
    concern_of,
    who_calls,
    who_has,
)
from kzproxy.administrator.session import SessionRecord
from kzproxy.attributes.attributes import Attributes
from kzproxy.attributes.device import DevicePosture
from kzproxy.attributes.identity import Identity
from kzproxy.authentication.validity import MAX_LEEWAY
from kzproxy.errors.kinds import ServiceUnavailable, Unauthenticated
from kzproxy.store.store import Entry
from kzproxy.store.unreadable import UnreadableEntries

KIND = "revocation"

Concerned = Callable[[Concern], None]
Sessions = Callable[[str], SessionRecord | None]
Problem = Callable[[], str | None]


class Needed(StrEnum):
    """What mends it."""

    SIGN_IN = "sign-in"
    TOKEN = "token"  # noqa: S105 - a fresh one, made after that moment
    BEGUN = "begun"  # a session of kzproxy's, of a sign-in that begins after that moment


class Revocation(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """What is not taken any more.

    Attributes:
        concern: Of whom.
        before: What is from this moment or earlier; by the issuer's clock.
        taken_at: When kzproxy heard of it.
        needed: What counts: when the person signed in, or when the token was made.
        message: For the user.
    """

    concern: Concern
    before: datetime
    taken_at: datetime
    needed: Needed = Needed.SIGN_IN
    message: str = ""

    def ends(self, subject: Identity, who: Who) -> bool:
        """Whether the credential of ``subject``, whom this is about, holds no longer."""
        if self.needed is Needed.BEGUN:
            return subject.is_session and not is_after(subject.session_began_at, self.taken_at)
        if subject.is_session:
            in_time = is_after(subject.session_began_at, self.taken_at)
            if self.needed is Needed.TOKEN or in_time:
                return False
        return is_from_before(self.before, subject, who, self.concern, self.needed)


def is_after(began: datetime | None, moment: datetime) -> bool:
    """Whether something began after ``moment``; where nobody knows, it did not."""
    return began is not None and began > moment


def is_from_before(
    before: datetime, subject: Identity, who: Who, concern: Concern, needed: Needed
) -> bool:
    """Whether what ``subject`` shows is from ``before`` or earlier; where nobody knows, it is."""
    if needed is Needed.TOKEN:
        return subject.issued_at is None or subject.issued_at <= before
    if concern.idp_session and concern.idp_session == who.idp_session:
        return True  # the one session that it names is over, whenever it began
    if subject.authenticated_at is not None:
        return subject.authenticated_at <= before
    if subject.session_began_at is not None:
        # By kzproxy's clock, and ``before`` is by another's.
        return subject.session_began_at - MAX_LEEWAY <= before
    return subject.issued_at is None or subject.issued_at <= before


class Revocations:
    """A ``View`` of the store, and ``Restates``.

    Of one that cannot be read nobody can tell what it ends: whoever it may be about is refused.
    """

    kind = KIND

    def __init__(
        self,
        sessions: Sessions,
        concerned: Concerned,
        problem: Problem,
        unreadable: UnreadableEntries,
    ) -> None:
        """Begin empty.

        Args:
            sessions: Finds a session by its id.
            concerned: Told whom a change is about.
            problem: Says why what is known may be too old; None where it is not.
            unreadable: Is told of entries that cannot be read.
        """
        self._sessions = sessions
        self._concerned = concerned
        self._problem = problem
        self._kept: ConcernIndex[Revocation | None] = ConcernIndex()
        # Of those that cannot be read, the ones that may be about whoever comes.
        self._of_everybody: set[str] = set()
        self._unreadable = unreadable
        self._decoder = msgspec.json.Decoder(Revocation)

    def problem(self) -> str | None:
        """Say why everybody is refused, since nobody can tell what was revoked; None where not."""
        if not self._of_everybody:
            return None
        return (
            f"everybody is refused: revocation {min(self._of_everybody)} cannot be read, and may be"
            " about anybody"
        )

    def restate(self, attributes: Attributes, now: datetime) -> Attributes:
        """Return the same; see ``Restates``.

        Raises:
            Unauthenticated: The credential is not taken any more.
        """
        del now
        self.check(attributes.subject, attributes.device)
        return attributes

    def check(self, subject: Identity, device: DevicePosture) -> None:
        """Refuse a caller whose credential is not taken any more.

        Raises:
            Unauthenticated: It is so.
            ServiceUnavailable: Nobody can tell.
        """
        problem = self._problem()
        if problem is not None:
            raise ServiceUnavailable(
                "kzproxy cannot tell whether your sign-in still holds; try again",
                detail=problem,
                retry_after_seconds=1,
            )
        if self._kept:
            self._refuse(subject, who_is(subject, device, self._sessions))

    def check_sign_in(self, record: SessionRecord, begun_at: datetime) -> None:
        """Refuse a session before it begins whose sign-in was revoked while it was under way.

        Args:
            record: As it would begin.
            begun_at: When the person was sent to show who they are.

        Raises:
            Unauthenticated: It is so.
            ServiceUnavailable: Nobody can tell.
        """
        self._refuse(replace(record.identity(), session_began_at=begun_at), who_has(record))

    def _refuse(self, subject: Identity, who: Who) -> None:
        for one in self._kept.about(who):
            if one is None:
                raise ServiceUnavailable(
                    "kzproxy cannot tell whether your sign-in still holds; ask your administrator",
                    detail="a revocation in the store cannot be read",
                )
            if one.ends(subject, who):
                raise Unauthenticated(
                    f"{one.message or 'your sign-in was ended'}; sign in again with `kzproxy login`"
                )

    def replaced(self, entries: Sequence[Entry]) -> None:
        """See ``View``."""
        self._kept.clear()
        self._of_everybody.clear()
        for entry in entries:
            self.changed(entry.key, entry)

    def changed(self, key: str, entry: Entry | None) -> None:
        """See ``View``."""
        self._kept.drop(key)
        self._of_everybody.discard(key)
        if entry is not None:
            revocation = self._unreadable.read(
                entry, self._decoder.decode, follows="whoever it may be about is refused"
            )
            concern = concern_of(entry.value) if revocation is None else revocation.concern
            self._kept.keep(key, concern, revocation)
            if revocation is None and concern.everybody and not concern.issuers:
                self._of_everybody.add(key)
            self._concerned(concern)


def who_is(subject: Identity, device: DevicePosture, sessions: Sessions) -> Who:
    """Return a caller by all names."""
    record = sessions(subject.sign_in) if subject.is_session else None
    if record is None:
        return who_calls(subject, device.device_id)
    who = who_has(record)
    return who if who.device_id else who._replace(device_id=device.device_id)
