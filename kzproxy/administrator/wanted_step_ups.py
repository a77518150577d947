"""Which sessions have to sign in again, fresher or stronger: told at their next renewal."""

import asyncio
import json
import logging
from functools import partial

import msgspec

from kzproxy.administrator.session import SessionRecord
from kzproxy.administrator.session_directory import SessionDirectory
from kzproxy.errors.kinds import ServiceUnavailable, Unauthenticated
from kzproxy.policy.decision import Challenge

log = logging.getLogger(__name__)

# A client that asks in vain again and again must not keep the store busy.
_SECONDS_BETWEEN_WRITES = 1.0


class WantedStepUps:
    """What is wanted and not written yet, by session; see ``StepUps``."""

    def __init__(self, sessions: SessionDirectory) -> None:
        """Take whose sessions they are."""
        self._sessions = sessions
        self._pending: dict[str, str] = {}
        self._noted = asyncio.Event()

    def wanted(self, session_id: str, challenge: Challenge) -> None:
        """Have it written soon, unless that stands there."""
        text = renewal_answer(challenge)
        known = self._sessions.find(session_id)
        if known is None or known.ended_at is not None or known.step_up == text:
            return
        self._pending[session_id] = text
        self._noted.set()

    async def run(self) -> None:
        """Write what is noted, until cancelled."""
        while True:
            await self._noted.wait()
            self._noted.clear()
            await self.write()
            await asyncio.sleep(_SECONDS_BETWEEN_WRITES)

    async def write(self) -> None:
        """Write all that is noted; what cannot be written stays noted."""
        for session_id, text in list(self._pending.items()):
            try:
                await self._sessions.update(session_id, partial(_with_step_up, text=text))
            except Unauthenticated:
                pass  # it has ended
            except ServiceUnavailable as error:
                log.warning("what sign-in a session wants cannot be noted: %s", error.detail)
                self._noted.set()
                return
            if self._pending.get(session_id) == text:
                del self._pending[session_id]


def renewal_answer(challenge: Challenge) -> str:
    """Return what the renewal is answered with, as JSON: the members of RFC 9470 section 3."""
    wanted, age = challenge.step_up, challenge.step_up.asked_max_age
    members: dict[str, str | int] = {"error_description": challenge.hint}
    if wanted.acr_values:
        members["acr_values"] = " ".join(wanted.acr_values)
    if age is not None:
        members["max_age"] = int(age.total_seconds())
    return json.dumps(members)


def _with_step_up(record: SessionRecord, text: str) -> SessionRecord:
    return msgspec.structs.replace(record, step_up=text)
