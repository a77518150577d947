"""How much at risk others hold a person, a session or a device to be: the most that anybody says.

Kept for those who are not signed in too: it holds when they come.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime

import msgspec

from kzproxy.administrator.concern import Concern, ConcernIndex, Who
from kzproxy.administrator.revocations import Concerned, Sessions, who_is
from kzproxy.attributes.attributes import Attributes
from kzproxy.store.store import Entry

KIND = "risk"
LEVELS = ("LOW", "MEDIUM", "HIGH")


class Risk(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one source says.

    Attributes:
        concern: Of whom or what.
        level: One of ``LEVELS``.
        of_device: Whether it is the device that is at risk, and not the person.
    """

    concern: Concern
    level: str
    of_device: bool = False


class Risks:
    """A ``View`` of the store, and ``Restates``."""

    kind = KIND

    def __init__(self, sessions: Sessions, concerned: Concerned) -> None:
        """Begin empty; see ``Revocations``."""
        self._sessions = sessions
        self._concerned = concerned
        self._kept: ConcernIndex[Risk] = ConcernIndex()
        self._decoder = msgspec.json.Decoder(Risk)

    def restate(self, attributes: Attributes, now: datetime) -> Attributes:
        """Return the facts with the risks as they are known now; see ``Restates``."""
        del now
        subject, device = attributes.subject, attributes.device
        said = list(self._said(attributes)) if self._kept else []
        base = ""
        if subject.is_session:
            record = self._sessions(subject.sign_in)
            base = "" if record is None else record.risk
        risk = highest([base, *(one.level for one in said if not one.of_device)])
        if risk != subject.risk:
            subject = replace(subject, risk=risk)
        of_device = highest([device.risk, *(one.level for one in said if one.of_device)])
        if of_device != device.risk:
            device = replace(device, risk=of_device)
        if subject is attributes.subject and device is attributes.device:
            return attributes
        return replace(attributes, subject=subject, device=device)

    def _said(self, attributes: Attributes) -> Iterable[Risk]:
        who = who_is(attributes, self._sessions)
        yield from self._kept.about(who)
        presented = attributes.device.device_id
        if presented != who.device_id:
            yield from self._kept.about(Who("", "", "", device_id=presented))

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
        risk = self._decoder.decode(entry.value)
        self._kept.keep(key, risk.concern, risk)
        return risk.concern


def highest(levels: Iterable[str]) -> str:
    """Return the highest level; empty where none is one."""
    return max((one for one in levels if one in LEVELS), key=LEVELS.index, default="")
