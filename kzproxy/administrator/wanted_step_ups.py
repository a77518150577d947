"""What sign-in a session's next renewal asks for: noted where policy wanted a stronger one.

A refusal reaches kubectl; the plugin, which could do something about it, is told nothing. It hears
of it at the renewal that it does after a refusal.
"""

import asyncio
import logging
from datetime import datetime
from functools import partial

import msgspec

from kzproxy.administrator.session import SessionRecord
from kzproxy.administrator.session_directory import SessionDirectory
from kzproxy.clock.system import Clock
from kzproxy.errors.kinds import ServiceUnavailable, Unauthenticated
from kzproxy.policy.decision import Challenge
from kzproxy.policy.step_up import StepUp

log = logging.getLogger(__name__)

MAX_WAITING = 10_000
_MAX_SAID = 1000


class WantedStepUps:
    """Writes into sessions what their next renewal is to ask for."""

    def __init__(self, directory: SessionDirectory, clock: Clock) -> None:
        self._directory = directory
        self._clock = clock
        self._waiting: dict[str, Challenge] = {}
        self._some = asyncio.Event()

    def wanted(self, session_id: str, challenge: Challenge) -> None:
        """Note it of a session; see ``enforcement.step_ups``.

        Of one session the last counts; beyond ``MAX_WAITING`` sessions none is noted, and their
        users run the command that the refusal names.
        """
        if session_id in self._waiting or len(self._waiting) < MAX_WAITING:
            self._waiting[session_id] = challenge
            self._some.set()

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            await self._some.wait()
            self._some.clear()
            await self.write()

    async def write(self) -> None:
        """Write what has been noted until now."""
        waiting, self._waiting = self._waiting, {}
        for session_id, challenge in waiting.items():
            await self._write(session_id, challenge)

    async def _write(self, session_id: str, challenge: Challenge) -> None:
        change = partial(_asked_for, challenge=challenge, now=self._clock.now())
        try:
            await self._directory.update(session_id, change)
        except Unauthenticated:  # it has ended meanwhile
            return
        except ServiceUnavailable as error:
            log.warning("session %s is not asked to sign in again: %s", session_id, error.message)


def _asked_for(record: SessionRecord, challenge: Challenge, now: datetime) -> SessionRecord:
    step_up = challenge.step_up
    if _is_met(record, step_up, now):
        return record
    age = step_up.asked_max_age
    said: dict[str, str | int] = {"error_description": challenge.hint[:_MAX_SAID]}
    if step_up.acr_values:
        said["acr_values"] = " ".join(step_up.acr_values)
    if age is not None:
        said["max_age"] = int(age.total_seconds())
    return msgspec.structs.replace(record, step_up=msgspec.json.encode(said).decode())


def _is_met(record: SessionRecord, step_up: StepUp, now: datetime) -> bool:
    """Return whether the session's sign-in is what is wanted: it was mended meanwhile."""
    at, methods = record.authenticated_at, frozenset(record.authentication_methods)
    return (
        (not step_up.acr_values or record.authentication_class in step_up.acr_values)
        and (not step_up.methods or not methods.isdisjoint(step_up.methods))
        and (step_up.max_age is None or (at is not None and now - at <= step_up.max_age))
    )
