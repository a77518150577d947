"""kube-apiserver's audit log: the judge of what reached it."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.proxy.json_lines import end_of_lines, json_lines

AuditEvent = dict[str, Any]

COMPLETE = "ResponseComplete"
_POLL_SECONDS = 0.05


class AuditLog:
    """Reads events from the file; a position in it is a ``mark``."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def mark(self) -> int:
        """Return a position: what is written after it belongs to what is done from now on."""
        return end_of_lines(self._path) if self._path.exists() else 0

    def since(self, mark: int) -> list[AuditEvent]:
        """Return the events written after ``mark``, of every stage."""
        if not self._path.exists():
            return []
        return json_lines(self._path, mark)

    def wait_for(
        self, wanted: Callable[[AuditEvent], bool], *, mark: int = 0, seconds: float = 20.0
    ) -> AuditEvent:
        """Return the first event after ``mark`` that is wanted; an event may trail its answer."""
        deadline = time.monotonic() + seconds
        while True:
            for event in self.since(mark):
                if wanted(event):
                    return event
            if time.monotonic() > deadline:
                raise AssertionError(f"no such event in {self._path} within {seconds} s")
            time.sleep(_POLL_SECONDS)

    def find(
        self, audit_id: str, *, stage: str = COMPLETE, mark: int = 0, seconds: float = 20.0
    ) -> AuditEvent:
        """Return the event of one request by its audit id."""
        return self.wait_for(
            lambda event: event["auditID"] == audit_id and event["stage"] == stage,
            mark=mark,
            seconds=seconds,
        )

    def by_user(self, name: str, *, mark: int) -> list[AuditEvent]:
        """Return the completed requests of one account, whoever it impersonated."""
        return [
            event
            for event in self.since(mark)
            if event["user"].get("username") == name and event["stage"] == COMPLETE
        ]
