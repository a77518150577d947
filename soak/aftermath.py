"""What is looked at when kzproxy has ended: its logs, and kube-apiserver's."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from kzproxy.demo.upstream_account import USERNAME
from soak.accounting import Answer, Evidence, accounts, unfinished
from soak.clients import AT_ONCE
from soak.records import Life, read_audit_events, read_lives
from soak.verdict import Line, passed
from soak.watches import CHURNING, HELD

_TRAILS_SECONDS = 15
# What kubectl and the upheaval may have under way beside the rest.
_FURTHER_AT_ONCE = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Aftermath:
    """All that is left.

    Attributes:
        decision_logs: The files of each worker, oldest first.
        kills: How often each worker was killed.
        directory: Where what was under way at kills is named.
    """

    decision_logs: Mapping[int, Sequence[Path]]
    audit_log: Path
    answers: Sequence[Answer]
    kills: Mapping[int, int]
    directory: Path

    async def lines(self) -> list[Line]:
        """Return the lines that the logs decide; kube-apiserver's may trail for a while."""
        lives = [
            life
            for number, files in self.decision_logs.items()
            for life in read_lives(number, files)
        ]
        self._write_unfinished(lives)
        lines = accounts(self._evidence(lives))
        for _ in range(_TRAILS_SECONDS):
            if passed(lines):
                break
            await asyncio.sleep(1.0)
            lines = accounts(self._evidence(lives))
        return [*lines, self._chains()]

    def _evidence(self, lives: Sequence[Life]) -> Evidence:
        return Evidence(
            lives=lives,
            events=read_audit_events(self.audit_log, USERNAME),
            answers=self.answers,
            kills=self.kills,
            in_flight_at_most=HELD + CHURNING + AT_ONCE + _FURTHER_AT_ONCE,
        )

    def _write_unfinished(self, lives: Sequence[Life]) -> None:
        """Name what was under way at kills, for whoever wants to look."""
        named = [
            {"worker": life.worker, "audit_id": record.audit_id, "asked": record.asked}
            for life, missing in unfinished(lives)
            for record in missing
        ]
        lines = "".join(f"{json.dumps(each)}\n" for each in named)
        (self.directory / "unfinished.jsonl").write_text(lines)

    def _chains(self) -> Line:
        told = [_verified(files) for files in self.decision_logs.values()]
        return Line(
            name="the chain of each log is whole",
            found="; ".join(words.splitlines()[0] for _, words in told),
            problems=tuple(words for whole, words in told if not whole),
        )


def _verified(files: Sequence[Path]) -> tuple[bool, str]:
    command = [sys.executable, "-m", "kzproxy", "log", "verify", *map(str, files)]
    done = subprocess.run(  # noqa: S603 - a command of ours
        command, capture_output=True, text=True, check=False
    )
    return done.returncode == 0, (done.stdout + done.stderr).strip() or "nothing is said"
