"""Find the last line of a file that lines are appended to, and what a crash left behind it."""

import os
import stat

from kzproxy.audit.chain import MAX_LINE_BYTES


def last_line(descriptor: int) -> tuple[bytes, bytes]:
    """Return the last whole line, with its newline, and what comes after it; empty where none.

    Raises:
        OSError: It cannot be read.
        ValueError: It is no regular file, or what comes after is longer than any line.
    """
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        raise ValueError("it is not a regular file")
    tail_bytes = min(status.st_size, 2 * MAX_LINE_BYTES)
    tail = os.pread(descriptor, tail_bytes, status.st_size - tail_bytes)
    whole, torn = tail[: tail.rfind(b"\n") + 1], tail[tail.rfind(b"\n") + 1 :]
    if len(torn) > MAX_LINE_BYTES:
        raise ValueError("its last line is too long")
    return whole[whole.rfind(b"\n", 0, -1) + 1 :], torn
