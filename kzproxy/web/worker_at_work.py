"""A worker that runs, and what it answers its supervisor."""

import asyncio
from pathlib import Path

import msgspec

from kzproxy.http.whole_answer import AnswerRefused, WholeAnswer
from kzproxy.transport.accepting import OUT_OF_RESOURCES

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


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker answers.

    Attributes:
        status: Of its answer; 0 where there is none.
        text: Its answer, or why there is none.
        is_silent: It was asked and has not answered. Neither is it where it begins or ends and is
            not there to be asked, nor where we cannot ask.
    """

    status: int = 0
    text: str
    is_silent: bool = False


async def ask(worker: WorkerAtWork, path: str, seconds: float) -> Said:
    """Return what a worker answers in so many seconds."""
    try:
        async with asyncio.timeout(seconds):
            answer = await _answer(worker.socket, path)
    except (FileNotFoundError, ConnectionRefusedError):
        return Said(text="starting")
    except TimeoutError:
        return Said(text=f"does not answer within {seconds:.0f} s", is_silent=True)
    except (AnswerRefused, OSError) as error:
        if isinstance(error, OSError) and error.errno in OUT_OF_RESOURCES:
            return Said(text=f"cannot be asked: {error.strerror}")
        return Said(text=f"does not answer: {error}", is_silent=True)
    status = 0 if answer.head is None else answer.head.status
    return Said(status=status, text=answer.body.decode("utf-8", "replace"))


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
