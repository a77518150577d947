"""Logs of one JSON value a line, read while another process writes them."""

import json
from pathlib import Path
from typing import Any


def json_lines(file: Path, mark: int = 0) -> list[dict[str, Any]]:
    """Return what a log has after ``mark``, but for a line that is still being written."""
    with file.open("rb") as log:
        log.seek(mark)
        # The last piece is empty, or such a line.
        lines = log.read().split(b"\n")[:-1]
    return [json.loads(line) for line in lines]
