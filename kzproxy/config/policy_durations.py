"""Durations as policies write them: a number and its unit."""

import re
from datetime import timedelta

from kzproxy.config.document import Node

DURATION = re.compile(r"([1-9][0-9]{0,5})([smhd])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def read_duration(node: Node) -> timedelta:
    """Return a duration; on a mistake none at all."""
    text = node.string()
    found = DURATION.fullmatch(text)
    if found is None:
        if text:
            node.mistake(f'{text} is no duration; write a number and s, m, h or d, such as "15m"')
        return timedelta(0)
    return timedelta(seconds=int(found[1]) * _SECONDS[found[2]])
