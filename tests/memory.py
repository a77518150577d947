"""How much memory something comes to hold."""

import tracemalloc
from collections.abc import Callable


def held_bytes(fill: Callable[[], object]) -> int:
    """Return how much more is allocated while what ``fill`` returns is there."""
    tracemalloc.start()
    try:
        kept = fill()
        held, _ = tracemalloc.get_traced_memory()
        del kept
        return held
    finally:
        tracemalloc.stop()
