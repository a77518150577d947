"""Reading from a process's pipe for so long and no longer."""

import os
import select
import time
from typing import IO


def read_until(pipe: IO[bytes], wanted: bytes, *, seconds: float = 20.0) -> bytes:
    """Return what comes, up to and including the first piece that holds ``wanted``.

    It reads the descriptor, past any buffer of ``pipe``: do not mix it with ``pipe.read``.
    """
    deadline = time.monotonic() + seconds
    got = b""
    while wanted not in got:
        left = deadline - time.monotonic()
        assert left > 0, f"{wanted!r} did not come within {seconds} s; got {got[-2000:]!r}"
        if select.select([pipe], [], [], left)[0]:
            piece = os.read(pipe.fileno(), 65536)
            assert piece, f"the stream ended before {wanted!r}; got {got[-2000:]!r}"
            got += piece
    return got
