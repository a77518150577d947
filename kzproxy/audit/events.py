"""What happens beside requests to the cluster and is written down with them: devices, sign-ins.

``Event`` is what the rooms say; ``event_record`` makes it safe to keep.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Protocol

import msgspec

from kzproxy.attributes.environment import IPAddress
from kzproxy.audit.schema import EventDevice, EventRecord, EventUser, Source
from kzproxy.audit.visible import MAX_ITEMS, MAX_TEXT_CHARS, visible


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is about to be done, or that was refused.

    Attributes:
        name: What, such as ``device.approved``: small letters and hyphens, in dotted parts.
        refused: Whether it is not done.
        message: In a line, for people.
        audit_id: Of the request that it comes with; empty where none does.
        by: Who does it: a username, or a part of kzproxy.
        user: Whom it is about: name, issuer and subject; empty where nobody.
        session: Id of the session that it is about; may be empty.
        device_id: Of the device that it is about; may be empty.
        key_thumbprint: Of that device; may be empty.
        address: Whoever asked for it is at; None where nobody did.
        port: Of the same.
        details: What else there is to say, by name. Never holds a credential.
    """

    name: str
    refused: bool = False
    message: str = ""
    audit_id: str = ""
    by: str = ""
    user: tuple[str, str, str] = ("", "", "")
    session: str = ""
    device_id: str = ""
    key_thumbprint: str = ""
    address: IPAddress | None = None
    port: int = 0
    details: Mapping[str, str] = msgspec.field(default_factory=dict)


class EventLog(Protocol):
    """Where events are written down."""

    async def record_event(self, event: Event) -> None:
        """Return once ``event`` has reached the disk.

        Raises:
            ServiceUnavailable: It could not be written; what it says must not be done.
        """


def event_record(event: Event, *, at: datetime) -> EventRecord:
    """Make the record; ``at`` is aware, UTC."""
    name, issuer, subject = event.user
    has_device = bool(event.device_id or event.key_thumbprint)
    source = None
    if event.address is not None:
        source = Source(address=str(event.address), port=event.port)
    return EventRecord(
        ts=at,
        event=event.name,
        refused=event.refused,
        message=visible(event.message, MAX_TEXT_CHARS),
        audit_id=visible(event.audit_id),
        by=visible(event.by),
        user=EventUser(name=visible(name), issuer=visible(issuer), subject=visible(subject))
        if any(event.user)
        else None,
        session=visible(event.session),
        device=EventDevice(
            id=visible(event.device_id), key_thumbprint=visible(event.key_thumbprint)
        )
        if has_device
        else None,
        source=source,
        details={
            visible(key): visible(value, MAX_TEXT_CHARS)
            for key, value in list(event.details.items())[:MAX_ITEMS]
        },
    )
