"""A process that writes a decision log and says what was acknowledged; for tests that kill it.

Usage: python writer.py FILE MODE COUNT. Every acknowledged audit id is printed before the next
record is written. With MODE ``copy`` or ``stdout`` the log itself goes to standard output, and the
acknowledgements to standard error. With MODE ``rotating`` there is a new file every few lines.
"""

import asyncio
import os
import sys
from pathlib import Path

from kzproxy.audit.decision_log import DecisionLog, DecisionLogSettings
from kzproxy.audit.rotation import Rotation
from kzproxy.clock.system import SystemClock
from tests.audit.samples import completed_record, permit_record


async def write(path: Path, mode: str, count: int) -> None:
    settings = DecisionLogSettings(
        file=None if mode == "stdout" else path,
        stdout=mode in {"copy", "stdout"},
        rotation=Rotation(at_bytes=3000, keep=100_000) if mode == "rotating" else None,
    )
    log = DecisionLog.open(settings, SystemClock())
    acknowledgements = 2 if settings.stdout else 1

    async def one(name: str) -> None:
        for number in range(count):
            audit_id = f"{name}-{number}"
            await log.record_decision(permit_record(audit_id), durable=number % 4 == 0)
            os.write(acknowledgements, audit_id.encode() + b"\n")
            log.add_outcome(completed_record(audit_id))

    async with asyncio.TaskGroup() as group:
        for name in "abcdefgh":
            group.create_task(one(name))
    await log.close()
    os.write(2, f"dropped={log.mirror_dropped}\n".encode())


asyncio.run(write(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
