"""``make soak``: everything at once for some minutes, and a verdict; see docs/soak.md.

Exits with 1 where a line of the verdict does not hold. The directory that it names keeps all logs.
"""

import argparse
import asyncio
import sys
from pathlib import Path

from bench.programs import CannotRunError
from kzproxy.clock.system import Clock, SystemClock
from soak.course import Course
from soak.progress import say
from soak.proxy import Proxy
from soak.stage import stage
from soak.tally import Tally
from soak.traces import KEPT, new_directory
from soak.verdict import Line, passed, table


def main() -> int:
    """Soak, print and return the exit code."""
    options = _options()
    clock = SystemClock()
    directory = new_directory(options.directory, clock)
    say(f"{options.minutes:g} minutes; logs are kept in {directory}")
    lines: list[Line] = []
    try:
        lines = _soaked(directory, clock, options.minutes * 60)
    except* CannotRunError as errors:
        say("; ".join(map(str, errors.exceptions)))
    if not lines:
        return 1
    sys.stdout.write(f"\n{table(lines)}\n\nlogs: {directory}\n")
    if passed(lines):
        sys.stdout.write("every line holds\n")
        return 0
    failed = ", ".join(line.name for line in lines if not line.holds)
    sys.stdout.write(f"does not hold: {failed}\n")
    return 1


def _soaked(directory: Path, clock: Clock, seconds: float) -> list[Line]:
    say("starting the real control plane")
    with stage(directory, clock) as made:
        proxy, tally = Proxy(made), Tally(clock)
        say(f"kzproxy's own words are in {proxy.log}")
        try:
            return asyncio.run(Course(made, proxy, tally, seconds).run())
        finally:
            proxy.stop()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m soak.run", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0, help="how long to load it")
    parser.add_argument(
        "--directory",
        type=Path,
        default=Path.home() / ".cache" / "kzproxy-build" / "soak",
        help=f"where each run makes a directory of its own, of which the last {KEPT} are kept",
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
