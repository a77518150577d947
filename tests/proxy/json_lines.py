"""Logs of one JSON value a line, read while another process writes them."""

import json
from os import SEEK_END
from pathlib import Path
from typing import Any

_BLOCK_BYTES = 64 * 1024


def end_of_lines(file: Path) -> int:
    """Return a mark for ``json_lines``: the end of the last line that is written whole."""
    with file.open("rb") as log:
        end = log.seek(0, SEEK_END)
        while end:
            begin = max(0, end - _BLOCK_BYTES)
            log.seek(begin)
            found = log.read(end - begin).rfind(b"\n")
            if found >= 0:
                return begin + found + 1
            end = begin
    return 0


def json_lines(file: Path, mark: int = 0) -> list[dict[str, Any]]:
    """Return what a log has after ``mark``, but for a line that is still being written."""
    with file.open("rb") as log:
        log.seek(mark)
        # The last piece is empty, or such a line.
        lines = log.read().split(b"\n")[:-1]
    return [json.loads(line) for line in lines]
