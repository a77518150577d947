"""Warnings of what clients can bring about as often as they like."""

import logging
import math
from collections import defaultdict
from collections.abc import Callable

_SECONDS_BETWEEN = 60.0


class RareWarnings:
    """Logs each text once a minute at most: a flood must not become a flood of lines.

    Args:
        now: Monotonic seconds.
    """

    def __init__(self, log: logging.Logger, now: Callable[[], float]) -> None:
        self._log = log
        self._now = now
        self._warned_at: defaultdict[str, float] = defaultdict(lambda: -math.inf)

    def warn(self, text: str, *details: object) -> None:
        """Log ``text`` with ``details``, whatever those are, if it has not been for a minute.

        ``text`` is one of a few that are written in the code: each is remembered.
        """
        now = self._now()
        if now - self._warned_at[text] >= _SECONDS_BETWEEN:
            self._warned_at[text] = now
            self._log.warning(text, *details)
