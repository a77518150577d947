"""``/kzproxy.dev/v1/session`` and ``.../sessions``: what sessions there are, shown and ended.

The first is about the caller's own. The second is about everybody's, for whom policy permits it.
"""

import re
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from kzproxy.administrator.session import SessionEnd, SessionRecord
from kzproxy.administrator.session_end import why_over
from kzproxy.enforcement.own_endpoints import Asked
from kzproxy.errors.kinds import BadRequest, NotServed

if TYPE_CHECKING:  # for those who keep sessions
    from kzproxy.administrator.session_directory import SessionDirectory

_ID = re.compile(r"[0-9a-f]{32}")
_MAX_MESSAGE_CHARS = 200
_QUERY = {
    "GET": frozenset({"user", "device", "ended"}),
    "DELETE": frozenset({"user", "device", "message"}),
}


class ShownSession(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """A session for people to read; nothing in it opens anything."""

    id: str
    mode: str
    user: str
    groups: tuple[str, ...]
    issuer: str
    subject: str
    ends_at: datetime
    holds: bool = True
    because: str = ""
    device: str = ""
    began_at: datetime | None = None
    seen_at: datetime | None = None
    verified_at: datetime | None = None
    authenticated_at: datetime | None = None
    acr: str = ""
    amr: tuple[str, ...] = ()
    risk: str = ""
    address: str = ""
    user_agent: str = ""
    streams: int = 0
    ended_at: datetime | None = None
    ended_by: str = ""
    cause: str = ""


class ShownSessions(msgspec.Struct, frozen=True, rename="camel"):
    """The answer to a list."""

    sessions: tuple[ShownSession, ...]


class EndedSessions(msgspec.Struct, frozen=True, rename="camel"):
    """The answer to a DELETE: the ids of the sessions that had not ended until then."""

    ended: tuple[str, ...]


class Sessions(msgspec.Struct, frozen=True, kw_only=True):
    """The sessions, with what is under way in them at this worker.

    Attributes:
        directory: All of them.
        streams: How many requests of a session are under way.
        revoke_user: Has the sign-ins that a user has begun give no session; the second is what
            they are told.
    """

    directory: "SessionDirectory"
    streams: Callable[[str], int]
    revoke_user: Callable[[str, str], Awaitable[None]]

    def shown(self, record: SessionRecord, now: datetime) -> ShownSession:
        """Return what people may know of ``record``."""
        over = why_over(record, self.directory.settings, now)
        return ShownSession(
            id=record.id,
            mode="session",
            user=record.username,
            groups=record.groups,
            issuer=record.issuer,
            subject=record.subject,
            ends_at=record.ends_at,
            holds=not over,
            because=over,
            device=record.device_id,
            began_at=record.began_at,
            seen_at=record.seen_at,
            verified_at=record.verified_at,
            authenticated_at=record.authenticated_at,
            acr=record.authentication_class,
            amr=record.authentication_methods,
            risk=record.risk,
            address=record.address,
            user_agent=record.user_agent,
            streams=self.streams(record.id),
            ended_at=record.ended_at,
            ended_by=record.ended_by,
            cause=record.end_cause,
        )


class SessionEndpoint:
    """Every caller's own session."""

    judged = False
    methods = frozenset({"GET", "DELETE"})
    max_body_bytes = 0

    def __init__(self, sessions: Sessions | None) -> None:
        self._sessions = sessions

    def plan(self, asked: Asked) -> str:
        """Check the request; see ``OwnEndpoint``.

        Raises:
            BadRequest: There is no session to end.
            NotServed: There is nothing below this path.
        """
        if asked.rest or asked.query:
            raise NotServed("there is nothing below /kzproxy.dev/v1/session, and it takes no query")
        if asked.method == "GET":
            return "asks for the session that this is"
        if not asked.identity.is_session:
            raise BadRequest(
                "kzproxy keeps no session of yours: your token is the issuer's own, which"
                " `kzproxy logout` forgets"
            )
        return f"signs out of session {asked.session_id}"

    async def answer(self, asked: Asked) -> ShownSession | EndedSessions:
        """Do it; see ``OwnEndpoint``."""
        if self._sessions is None or not asked.identity.is_session:
            return _direct(asked)
        record = self._sessions.directory.find(asked.session_id)
        if record is None:  # it ended, and was forgotten, while this was written down
            raise NotServed("the session is not known any more")
        if asked.method == "GET":
            return self._sessions.shown(record, asked.received_at)
        by = asked.identity.username
        before = await self._sessions.directory.end(record.id, SessionEnd.SIGNED_OUT, "", by=by)
        return EndedSessions(ended=() if before is None else (record.id,))


class SessionsEndpoint:
    """Everybody's sessions, for whom policy permits the path."""

    judged = True
    methods = frozenset({"GET", "DELETE"})
    max_body_bytes = 0

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    def plan(self, asked: Asked) -> str:
        """Check the request; see ``OwnEndpoint``.

        Raises:
            BadRequest: It does not say which sessions, or says it in two ways.
            NotServed: There is no such path.
        """
        query = _query(asked)
        if asked.rest and not _ID.fullmatch(asked.rest):
            raise NotServed("a session's id is 32 hexadecimal digits")
        if asked.rest and ("user" in query or "device" in query):
            raise BadRequest("give a session's id, or user or device")
        if asked.method == "DELETE" and not asked.rest and not query.keys() & {"user", "device"}:
            raise BadRequest("give a session's id, or user or device: not all sessions are ended")
        if len(query.get("message", "")) > _MAX_MESSAGE_CHARS:
            raise BadRequest(f"the message is over {_MAX_MESSAGE_CHARS} characters")
        if not query.get("message", "").isprintable():
            raise BadRequest("the message holds a character that does not print")
        return f"{'ends' if asked.method == 'DELETE' else 'asks for'} sessions"

    async def answer(self, asked: Asked) -> ShownSession | ShownSessions | EndedSessions:
        """Do it; see ``OwnEndpoint``.

        Raises:
            NotServed: There is no such session.
        """
        if asked.method == "DELETE":
            await self._revoke_user(_query(asked))
        # One that began at another worker just now must not be missed by whoever ends them all.
        await self._sessions.directory.catch_up()
        meant = self._meant(asked)
        if asked.rest and not meant:
            raise NotServed(f"kzproxy knows no session {asked.rest}")
        if asked.method == "DELETE":
            return await self._ended(asked, meant)
        shown = tuple(self._sessions.shown(one, asked.received_at) for one in meant)
        return shown[0] if asked.rest else ShownSessions(sessions=shown)

    async def _revoke_user(self, query: dict[str, str]) -> None:
        """Have no session begin of what a user has begun, where all of theirs are to be ended."""
        if "user" in query and "device" not in query:
            await self._sessions.revoke_user(query["user"], query.get("message", ""))

    def _meant(self, asked: Asked) -> tuple[SessionRecord, ...]:
        directory, query = self._sessions.directory, _query(asked)
        if asked.rest:
            record = directory.find(asked.rest)
            return () if record is None else (record,)
        if asked.method == "DELETE":
            among = directory.unended()
        else:
            among = directory.all() if query.get("ended") == "true" else directory.holding()
        return tuple(
            one
            for one in among
            if query.get("user", one.username) == one.username
            and query.get("device", one.device_id) == one.device_id
        )

    async def _ended(self, asked: Asked, meant: tuple[SessionRecord, ...]) -> EndedSessions:
        message, by = _query(asked).get("message", ""), asked.identity.username
        ended = []
        for one in meant:
            before = await self._sessions.directory.end(one.id, SessionEnd.REVOKED, message, by=by)
            if before is not None:
                ended.append(one.id)
        return EndedSessions(ended=tuple(ended))


def _query(asked: Asked) -> dict[str, str]:
    query = dict(asked.query)
    if len(query) != len(asked.query) or not query.keys() <= _QUERY[asked.method]:
        takes = ", ".join(sorted(_QUERY[asked.method]))
        raise BadRequest(f"{asked.method} of sessions takes each of {takes} once")
    return query


def _direct(asked: Asked) -> ShownSession:
    """Return what there is to know of a caller who comes with the issuer's own token."""
    one = asked.identity
    return ShownSession(
        id=asked.session_id,
        mode="direct",
        user=one.username,
        groups=one.groups,
        issuer=one.issuer,
        subject=one.subject,
        ends_at=one.expires_at,
        authenticated_at=one.authenticated_at,
        acr=one.authentication_class,
        amr=one.authentication_methods,
    )
