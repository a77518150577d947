"""Explain a decision in a process of its own: what ``kzproxy policy explain`` says of the record.

Taking a policy of a thousand rules apart takes seconds. In another process it holds up no request,
its memory is given back, and what it says is by construction what the command says.
"""

import asyncio
import contextlib
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

import msgspec

from kzproxy.audit.schema import DecisionRecord
from kzproxy.audit.visible import visible
from kzproxy.enforcement.told_decision import PolicyTree

_MAX_TREE_BYTES = 8 << 20
_MAX_ERROR_BYTES = 2048
_TIMEOUT = timedelta(seconds=20)


class _Printed(msgspec.Struct, frozen=True, rename="camel"):
    policy_revision: str


class _Ran(NamedTuple):
    code: int
    printed: bytes
    complaint: str


class ExplainingProcess:
    """Runs one at a time; the others wait."""

    def __init__(self, policy_files: Sequence[Path], timeout: timedelta = _TIMEOUT) -> None:
        """Take the files that the policy was read from."""
        files = [str(file) for file in policy_files]
        self._command = [sys.executable, "-P", "-m", "kzproxy.cli.explain_record", *files]
        self._timeout_seconds = timeout.total_seconds()
        self._turn = asyncio.Lock()

    async def tree(self, record: DecisionRecord, *, in_force: str) -> PolicyTree:
        """Return how the policy files judge it; see ``Explainer``."""
        decided_by = record.policy_revision

        def without(why: str) -> PolicyTree:
            return PolicyTree(decided_by=decided_by, in_force=in_force, missing=why)

        if not decided_by:
            return without("policy was not asked")
        try:
            async with asyncio.timeout(self._timeout_seconds), self._turn:
                ran = await self._run(msgspec.json.encode(record))
        except TimeoutError:
            return without(f"it took longer than {self._timeout_seconds:g} seconds")
        except OSError as error:
            return without(f"what explains it cannot be started: {error.strerror}")
        return _read(ran, decided_by, in_force) or without(_complaint(ran))

    async def _run(self, record: bytes) -> _Ran:
        process = await asyncio.create_subprocess_exec(
            *self._command, stdin=PIPE, stdout=PIPE, stderr=PIPE
        )
        try:
            return await _talk(process, record)
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            # Not ``wait``: asyncio waits until both pipes have been read to their end too.
            await process.communicate()


async def _talk(process: Process, record: bytes) -> _Ran:
    if process.stdin is None or process.stdout is None or process.stderr is None:
        raise AssertionError("not as it was started")
    process.stdin.write(record + b"\n")
    process.stdin.close()
    async with asyncio.TaskGroup() as reading:
        printed = reading.create_task(_read_to_end(process.stdout, _MAX_TREE_BYTES))
        complaint = reading.create_task(_read_to_end(process.stderr, _MAX_ERROR_BYTES))
    code = await process.wait()
    return _Ran(code, printed.result(), complaint.result().decode(errors="replace"))


async def _read_to_end(stream: asyncio.StreamReader, limit_bytes: int) -> bytes:
    """Return what comes, and no more of it than shows that it is over the limit."""
    read = bytearray()
    while data := await stream.read(64 * 1024):
        read += data[: limit_bytes + 1 - len(read)]
    return bytes(read)


def _read(ran: _Ran, decided_by: str, in_force: str) -> PolicyTree | None:
    if ran.code != 0 or len(ran.printed) > _MAX_TREE_BYTES:
        return None
    try:
        revision = msgspec.json.decode(ran.printed, type=_Printed).policy_revision
    except msgspec.MsgspecError:
        return None
    return PolicyTree(
        decided_by=decided_by,
        in_force=in_force,
        explained_by=revision,
        tree=msgspec.Raw(ran.printed.strip()),
    )


def _complaint(ran: _Ran) -> str:
    if len(ran.printed) > _MAX_TREE_BYTES:
        return f"the tree is over {_MAX_TREE_BYTES >> 20} MiB"
    last = ran.complaint.strip().rpartition("\n")[2]
    return visible(last) or f"what explains it ended with {ran.code}"
