"""Whether a worker still answers, and the end of one that does not.

A worker that is stuck keeps its connections and its share of the new ones for ever, and whoever has
one of them is neither served nor refused. The supervisor answers probes for all workers, so that
nobody else would start it again.
"""

import asyncio
import logging
import signal
from datetime import timedelta

import msgspec

from kzproxy.server.diagnostic_log import SHOW_STACKS
from kzproxy.server.worker_process import WorkerProcess
from kzproxy.web.worker_at_work import WorkerAtWork, ask

log = logging.getLogger(__name__)

ANSWER_SECONDS = 10
"""For a worker's answer; after three such waits, 10 s apart, it is taken to be stuck."""


class LivenessTimes(msgspec.Struct, frozen=True, kw_only=True):
    """How long a worker is waited for: with these values, a minute at most.

    Attributes:
        between: From one question to the next.
        answer: For the answer to one.
        last_words: From the wish for its stacks to its end.
        unanswered: So many questions in a row. More than one: to a supervisor that was stopped for
            a while, as by a debugger or a frozen container, all seems late that was under way.
    """

    between: timedelta = timedelta(seconds=10)
    answer: timedelta = timedelta(seconds=ANSWER_SECONDS)
    last_words: timedelta = timedelta(seconds=1)
    unanswered: int = 3


class Liveness:
    """Asks workers whether they are alive."""

    def __init__(self, times: LivenessTimes) -> None:
        self._times = times

    async def end_if_stuck(self, worker: WorkerAtWork, process: WorkerProcess) -> None:
        """Wait until ``worker`` answers no longer, and end its process.

        One that was never ready to answer is left alone, and one that has begun to end.
        """
        await self._until_stuck(worker)
        log.error(
            "%s runs and has left %d questions unanswered, for %.0f s each: it is ended; where its"
            " threads are, it says below if it can",
            worker.name,
            self._times.unanswered,
            self._times.answer.total_seconds(),
        )
        process.send(SHOW_STACKS)
        await asyncio.sleep(self._times.last_words.total_seconds())
        process.send(signal.SIGKILL)

    async def _until_stuck(self, worker: WorkerAtWork) -> None:
        unanswered = 0
        while unanswered < self._times.unanswered:
            await asyncio.sleep(self._times.between.total_seconds())
            said = await ask(worker, "/livez", self._times.answer.total_seconds())
            unanswered = unanswered + 1 if said.is_silent else 0
