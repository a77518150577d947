"""Have a session's next renewal say that a stronger or fresher sign-in is wanted.

What a request lacks is told to whoever made it. The plugin that could mend it comes at the next
renewal, so it is written down with the session until then, in the background: no request waits.
"""

import asyncio
import logging
from datetime import datetime
from functools import partial

import msgspec

from kzproxy.administrator.session import SessionRecord
from kzproxy.administrator.session_directory import SessionDirectory
from kzproxy.errors.kinds import ServiceUnavailable, Unauthenticated
from kzproxy.policy.decision import Challenge

log = logging.getLogger(__name__)

MAX_WAITING = 10_000
_ROUND_SECONDS = 0.5


class _Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What is wanted of a sign-in.

    Attributes:
        began_at: Of the session that lacks it: one that was signed in anew since may not.
        said: What the renewal is answered with, JSON.
    """

    began_at: datetime | None
    said: str


class WantedStepUps:
    """Writes down which sessions have to be signed in anew. See ``enforcement.step_ups``."""

    def __init__(self, directory: SessionDirectory) -> None:
        self._directory = directory
        self._waiting: dict[str, _Wanted] = {}
        self._has_waiting = asyncio.Event()

    def wanted(self, session_id: str, challenge: Challenge) -> None:
        """Note what a request of a session has lacked; never waits."""
        if len(self._waiting) >= MAX_WAITING and session_id not in self._waiting:
            return
        began_at = challenge.attributes.subject.session_began_at
        self._waiting[session_id] = _Wanted(began_at=began_at, said=_said(challenge))
        self._has_waiting.set()

    async def run(self) -> None:
        """Write until cancelled; a session that lacks something again and again is written once."""
        while True:
            await self._has_waiting.wait()
            self._has_waiting.clear()
            await self.write()
            await asyncio.sleep(_ROUND_SECONDS)

    async def write(self) -> None:
        """Write down what is known by now; what cannot be is wanted again with the next request."""
        waiting, self._waiting = self._waiting, {}
        for session_id, wanted in waiting.items():
            try:
                await self._directory.update(session_id, partial(_told_next, wanted=wanted))
            except Unauthenticated:
                continue  # it has ended
            except ServiceUnavailable as error:
                log.warning("what session %s lacks cannot be noted: %s", session_id, error.detail)
                return


def _told_next(record: SessionRecord, wanted: _Wanted) -> SessionRecord:
    if record.began_at != wanted.began_at:
        return record
    return msgspec.structs.replace(record, step_up=wanted.said)


def _said(challenge: Challenge) -> str:
    wanted, age = challenge.step_up, challenge.step_up.asked_max_age
    said: dict[str, str | int] = {
        "error_description": f"policy asks for another sign-in (rule {challenge.rule}):"
        f" run `{wanted.command}`"
    }
    if wanted.acr_values:
        said["acr_values"] = " ".join(wanted.acr_values)
    if age is not None:
        said["max_age"] = int(age.total_seconds())
    return msgspec.json.encode(said).decode()
