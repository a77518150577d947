"""What is told while the soak runs."""

import sys
from collections import Counter
from collections.abc import Mapping

from soak.growth import Held
from soak.tally import Tally

_MIB = 1024 * 1024


def say(line: str) -> None:
    """Report progress, on standard error."""
    sys.stderr.write(f"soak: {line}\n")
    sys.stderr.flush()


def tell(
    tally: Tally, watches_alive: int, held: Mapping[str, Held], metrics: Mapping[str, float]
) -> None:
    """Report where the run stands."""
    now = tally.now()
    processes = ", ".join(
        f"{name} {each.resident_bytes / _MIB:.0f} MiB {each.descriptors} fds"
        for name, each in held.items()
    )
    total = sum(tally.requests.values())
    say(
        f"{now:4.0f} s: {total} done, {len(tally.answers)} answers, {watches_alive} watches,"
        f" {len(tally.kills)} kills, {len(tally.failures)} failures;"
        f" {processes}; {metrics.get('kzproxy_tasks', 0):.0f} tasks"
    )
    say(f"        {verbs(tally.requests)}")


def verbs(requests: Counter[str]) -> str:
    """Return how often each was done."""
    return ", ".join(f"{verb} {count}" for verb, count in sorted(requests.items()))
