"""A worker that runs, and what it answers its supervisor."""

import asyncio
from pathlib import Path

import msgspec

from kzproxy.http.whole_answer import AnswerRefused, WholeAnswer

STARTING = "starting"
"""Why a worker does not answer whose socket is not there yet, or not any more."""

_MAX_ANSWER_BYTES = 4 * 1024 * 1024
_READ_BYTES = 64 * 1024


class WorkerAtWork(msgspec.Struct, frozen=True, kw_only=True):
    """One start of one worker.

    Attributes:
        name: The worker's, which stays the same.
        start: Of this start alone.
        socket: Where it answers.
    """

    name: str
    start: str
    socket: Path


async def ask(worker: WorkerAtWork, path: str, seconds: float) -> tuple[int, str]:
    """Return status and text; 0 and the reason where there is no answer in so many seconds."""
    try:
        async with asyncio.timeout(seconds):
            answer = await _answer(worker.socket, path)
    except (FileNotFoundError, ConnectionRefusedError):
        return 0, STARTING
    except TimeoutError:
        return 0, f"does not answer within {seconds:.0f} s"
    except (AnswerRefused, OSError) as error:
        return 0, f"does not answer: {error}"
    status = 0 if answer.head is None else answer.head.status
    return status, answer.body.decode("utf-8", "replace")


async def _answer(at: Path, path: str) -> WholeAnswer:
    reader, writer = await asyncio.open_unix_connection(at)
    try:
        writer.write(b"GET %b HTTP/1.1\r\nhost: worker\r\n\r\n" % path.encode("ascii"))
        answer = WholeAnswer(max_bytes=_MAX_ANSWER_BYTES)
        while not answer.done:
            if data := await reader.read(_READ_BYTES):
                answer.feed(data)
            else:
                answer.end_of_stream()
        return answer
    finally:
        writer.close()
