"""``/kzproxy.dev/v1/reason``: a user's reason for what they do, given, shown and taken back."""

import asyncio
from datetime import UTC, datetime, timedelta

import msgspec

from kzproxy.administrator.reasons import MAX_REASON_CHARS, Reason, ReasonStore
from kzproxy.enforcement.own_endpoints import Asked
from kzproxy.errors.kinds import BadRequest, NotServed

_DEFAULT_DURATION = timedelta(hours=1)


class GivenReason(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The body of a PUT.

    Attributes:
        reason: Printable.
        seconds: How long it is to hold; None for an hour, or as long as may be where that is less.
    """

    reason: str
    seconds: int | None = None


class ShownReason(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """The answer to all three; ``reason`` is empty where there is none."""

    reason: str
    ends_at: datetime | None = None
    maximum_seconds: int = 0


class ReasonEndpoint:
    """Every caller has the reason of its own sign-in and device, and sees no other.

    PUT replaces it, GET shows it, DELETE ends it.
    """

    judged = False
    methods = frozenset({"GET", "PUT", "DELETE"})
    max_body_bytes = 4 * 1024

    def __init__(self, store: ReasonStore) -> None:
        self._maximum = store.maximum
        self._store = store

    def plan(self, asked: Asked) -> str:
        """Check the request; see ``OwnEndpoint``.

        Raises:
            BadRequest: No reason, or one that may not be kept.
            NotServed: There is nothing below this path.
        """
        if asked.rest or asked.query:
            raise NotServed("there is nothing below /kzproxy.dev/v1/reason, and it takes no query")
        match asked.method:
            case "PUT":
                reason = self._given(asked)
                return f"gives a reason until {reason.ends_at:%Y-%m-%dT%H:%M:%SZ}: {reason.text}"
            case "DELETE":
                return "takes the reason back"
            case _:
                return "asks for the reason that is in force"

    async def answer(self, asked: Asked) -> ShownReason:
        """Do it; see ``OwnEndpoint``."""
        session, user = asked.session_id, asked.identity.username
        reason: Reason | None = None
        if asked.method == "PUT":
            reason = given = self._given(asked)
            await asyncio.to_thread(self._store.write, given, asked.received_at)
        elif asked.method == "DELETE":
            await asyncio.to_thread(self._store.remove, session, user)
        else:
            reason = await asyncio.to_thread(self._store.read, session, user, asked.received_at)
        return ShownReason(
            reason=reason.text if reason else "",
            ends_at=reason.ends_at if reason else None,
            maximum_seconds=int(self._maximum.total_seconds()),
        )

    def _given(self, asked: Asked) -> Reason:
        given = _read(asked.body)
        text = given.reason.strip()
        if not text:
            raise BadRequest("the reason is empty")
        if len(text) > MAX_REASON_CHARS:
            raise BadRequest(f"the reason is over {MAX_REASON_CHARS} characters")
        if not text.isprintable():
            raise BadRequest("the reason holds a character that does not print, or a line's end")
        duration = min(_DEFAULT_DURATION, self._maximum)
        if given.seconds is not None:
            if not 1 <= given.seconds <= self._maximum.total_seconds():
                raise BadRequest(f"a reason holds for {_words(self._maximum)} at most")
            duration = timedelta(seconds=given.seconds)
        return Reason(
            session=asked.session_id,
            user=asked.identity.username,
            text=text,
            ends_at=(asked.received_at + duration).astimezone(UTC),
        )


def _read(body: bytes) -> GivenReason:
    try:
        return msgspec.json.decode(body, type=GivenReason)
    except (ValueError, RecursionError) as error:
        raise BadRequest("the body is not a reason", detail=str(error)) from error


def _words(duration: timedelta) -> str:
    minutes, seconds = divmod(int(duration.total_seconds()), 60)
    hours, minutes = divmod(minutes, 60)
    parts = ((hours, "h"), (minutes, "m"), (seconds, "s"))
    return "".join(f"{count}{unit}" for count, unit in parts if count)
