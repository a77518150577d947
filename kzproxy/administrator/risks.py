"""How much at risk others hold a person, a session or a device to be: the most that anybody says.

Kept for those who are not signed in too: it holds when they come.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from kzproxy.administrator.concern import Concern, ConcernIndex, Who, concern_of
from kzproxy.administrator.revocations import Concerned, Sessions, who_is
from kzproxy.attributes.attributes import Attributes
from kzproxy.attributes.device import DevicePosture
from kzproxy.attributes.identity import Identity
from kzproxy.store.store import Entry
from kzproxy.store.unreadable import UnreadableEntries

KIND = "risk"
LEVELS = ("LOW", "MEDIUM", "HIGH")


class Risk(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """What one source says.

    Attributes:
        concern: Of whom or what.
        level: One of ``LEVELS``.
        of_device: Whether it is the device that is at risk, and not the person.
    """

    concern: Concern
    level: str
    of_device: bool = False


class _Said(NamedTuple):
    level: str
    of_person: bool
    of_device: bool


class Risks:
    """A ``View`` of the store, and ``Restates``.

    What cannot be read is the highest risk, of whomever and whatever it may be about.
    """

    kind = KIND

    def __init__(
        self, sessions: Sessions, concerned: Concerned, unreadable: UnreadableEntries
    ) -> None:
        """Begin empty; see ``Revocations``."""
        self._sessions = sessions
        self._concerned = concerned
        self._kept: ConcernIndex[_Said] = ConcernIndex()
        self._unreadable = unreadable
        self._decoder = msgspec.json.Decoder(Risk)

    def restate(self, attributes: Attributes, now: datetime) -> Attributes:
        """Return the facts with the risks as they are known now; see ``Restates``."""
        del now
        subject = self.of_person(attributes.subject, attributes.device)
        device = self.stated(attributes.device)
        if subject is attributes.subject and device is attributes.device:
            return attributes
        return replace(attributes, subject=subject, device=device)

    def stated(self, posture: DevicePosture) -> DevicePosture:
        """Return what is so of a device; see ``StatesDevice``."""
        if not self._kept or not posture.device_id:
            return posture
        said = self._kept.about(Who("", "", "", device_id=posture.device_id))
        risk = highest([posture.risk, *(one.level for one in said if one.of_device)])
        return posture if risk == posture.risk else replace(posture, risk=risk)

    def of_person(self, subject: Identity, device: DevicePosture) -> Identity:
        """Return a caller with their risk as it is known now."""
        record = self._sessions(subject.sign_in) if subject.is_session else None
        levels = [] if record is None else [record.risk]
        if self._kept:
            who = who_is(subject, device, self._sessions)
            levels += [one.level for one in self._kept.about(who) if one.of_person]
        risk = highest(levels)
        return subject if risk == subject.risk else replace(subject, risk=risk)

    def replaced(self, entries: Sequence[Entry]) -> None:
        """See ``View``."""
        concerns = self._kept.clear()
        for entry in entries:
            self._keep(entry.key, entry)
        for concern in concerns:
            self._concerned(concern)

    def changed(self, key: str, entry: Entry | None) -> None:
        """See ``View``."""
        before = self._kept.drop(key)
        after = self._keep(key, entry) if entry is not None else before
        if after is not None:
            self._concerned(after)

    def _keep(self, key: str, entry: Entry) -> Concern:
        risk = self._unreadable.read(
            entry, self._read, follows="whoever it may be about is at the highest risk"
        )
        if risk is None:
            concern = concern_of(entry.value)
            said = _Said(LEVELS[-1], of_person=True, of_device=True)
        else:
            concern = risk.concern
            said = _Said(risk.level, of_person=not risk.of_device, of_device=risk.of_device)
        self._kept.keep(key, concern, said)
        return concern

    def _read(self, value: bytes) -> Risk:
        risk = self._decoder.decode(value)
        if risk.level not in LEVELS:
            raise ValueError(f"{risk.level!r} is no level of risk")
        return risk


def highest(levels: Iterable[str]) -> str:
    """Return the highest level; empty where none is one."""
    return max((one for one in levels if one in LEVELS), key=LEVELS.index, default="")
