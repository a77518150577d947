"""A kzproxy whose decision log is a pipe that may be full."""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.proxy.eventually import eventually
from tests.proxy.fixtures import Scripted, not_started

FILLER = b"filler" * 100 + b"\n"


class Pipe:
    """The pipe that is the decision log; nobody reads it unless told to."""

    def __init__(self) -> None:
        self.reader, self.writer = os.pipe()
        for end in (self.reader, self.writer):
            fcntl.fcntl(end, fcntl.F_SETFL, os.O_NONBLOCK)
        self._read = b""

    def fill(self) -> None:
        try:
            while True:
                os.write(self.writer, FILLER)
        except BlockingIOError:
            pass

    def records(self) -> list[dict[str, Any]]:
        """Read all there is, and return the records so far, but for one that is being written."""
        try:
            while data := os.read(self.reader, 65536):
                self._read += data
        except BlockingIOError:
            pass
        lines = self._read.split(b"\n")[:-1]
        return [json.loads(line[line.index(b"{") :]) for line in lines if b"{" in line]

    def outcome(self) -> dict[str, Any]:
        """Wait for the only outcome."""
        eventually(self._outcomes)
        (end,) = self._outcomes()
        return end

    def _outcomes(self) -> list[dict[str, Any]]:
        return [record for record in self.records() if record["kind"] == "completed"]

    def close(self) -> None:
        os.close(self.reader)
        os.close(self.writer)


@contextmanager
def logging_to(pipe: Pipe, directory: Path) -> Iterator[Scripted]:
    """Run a kzproxy in front of the stand-in that logs to ``pipe``, which is read at its end."""
    with not_started(directory, decisionLog={"stdout": True}) as made:
        try:
            made.world.proxy.launch(pipe.writer)
            made.world.proxy.wait_until_ready()
            yield made
        finally:
            pipe.records()  # One that cannot log does not end.
