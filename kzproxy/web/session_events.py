"""Sign-ins and what becomes of them, as the decision log has them."""

from aiohttp import web
from msgspec.structs import replace

from kzproxy.administrator.end_event import end_event
from kzproxy.administrator.session import SessionRecord
from kzproxy.audit.events import Event, EventLog
from kzproxy.web.client_certificates import presented_digest
from kzproxy.web.sign_in_desk import address_of, client_details, port_of

BY = "sign-in"
"""Who ends a session here that no user ends."""


class SessionEvents:
    """Writes them down; each returns once that has reached the disk.

    Raises:
        ServiceUnavailable: It could not be written; what it says must not be done.
    """

    def __init__(self, events: EventLog) -> None:
        self._events = events

    async def signed_in(
        self, request: web.Request, record: SessionRecord, certificate: str, *, again: bool
    ) -> None:
        """Say that a session is about to begin, or to go on with another sign-in."""
        more = {"certificate": certificate} | ({"again": "true"} if again else {})
        await self._write("auth.sign-in", request, record, more)

    async def renewed(self, request: web.Request, record: SessionRecord, certificate: str) -> None:
        """Say that a session is about to be renewed."""
        await self._write("auth.renewal", request, record, {"certificate": certificate})

    async def not_renewed(
        self, request: web.Request, session_id: str, record: SessionRecord | None, message: str
    ) -> None:
        """Say that a session was not renewed, by whoever came; it may be unknown here."""
        told = end_event(session_id, record, message, by="")
        shown = presented_digest(request)
        await self._events.record_event(
            replace(
                told,
                name="auth.renewal",
                refused=True,
                address=address_of(request),
                port=port_of(request),
                details=client_details(request) | ({"certificate": shown} if shown else {}),
            )
        )

    async def signed_out(self, request: web.Request, record: SessionRecord) -> None:
        """Say that a session is about to end because its user wants it."""
        await self._write("auth.sign-out", request, record, {})

    async def ended(
        self, request: web.Request, session_id: str, record: SessionRecord | None, message: str
    ) -> None:
        """Say that a session is about to end by kzproxy's own doing; it may be unknown here."""
        await self._events.record_event(
            replace(
                end_event(session_id, record, message, by=BY),
                address=address_of(request),
                port=port_of(request),
                details=client_details(request),
            )
        )

    async def _write(
        self, name: str, request: web.Request, record: SessionRecord, more: dict[str, str]
    ) -> None:
        details = client_details(request) | more
        if record.authentication_class:
            details["acr"] = record.authentication_class
        await self._events.record_event(
            Event(
                name=name,
                by=record.username,
                user=(record.username, record.issuer, record.subject),
                session=record.id,
                device_id=record.device_id,
                key_thumbprint=record.key_thumbprint,
                address=address_of(request),
                port=port_of(request),
                details=details,
            )
        )
