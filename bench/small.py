"""A first look: CPU for a small request, nginx and kzproxy side by side.

``python -m bench.small`` is for whoever works on the data path; the figures that count are those of
``make bench``. With ``--hold`` kzproxy alone is under load and its process id is printed, for perf
or py-spy; with ``--wrap 'COMMAND ARGS'`` it is started by that command.
"""

import argparse
import shlex
from collections.abc import Iterator

from bench.figures import KZPROXY, NGINX, median_of, ratio_of
from bench.measures import Values, cold, small
from bench.programs import find_nginx, say
from bench.report import number
from bench.rounds import Group, together
from bench.running import running
from bench.series import Found
from bench.stage import Stage, set_up
from bench.systems.kzproxy import Kzproxy
from bench.systems.nginx import Nginx
from bench.systems.system import System
from kzproxy.clock.system import SystemClock

_FIRST = "/version"


def main() -> None:
    """Measure and print."""
    options = _options()
    with set_up(SystemClock()) as stage:
        if options.hold:
            _hold(stage, options)
        else:
            _compare(stage, options)


def _compare(stage: Stage, options: argparse.Namespace) -> None:
    found, targets = Found(), stage.world.targets
    groups = [
        Group(measure=lambda run: cold(run, targets)),
        Group(measure=lambda run: small(run, targets, options.seconds), rounds=options.rounds),
    ]
    together(stage, _systems(stage), _FIRST, groups, found)
    for key in ("small_cpu_us", "cold_cpu_us"):
        ours, theirs = (median_of(found.figures, name, key) for name in (KZPROXY, NGINX))
        ratio = ratio_of(found.figures, key, NGINX)
        words = f"nginx {number(theirs, 1)}, kzproxy {number(ours, 1)}, ratio {number(ratio, 2)}"
        say(f"{key}: {words}")
    say(f"load average: {', '.join(f'{each:.1f}' for each in found.load_averages)}")


def _systems(stage: Stage) -> Iterator[System]:
    yield Nginx(stage.site("nginx"), find_nginx())
    yield Kzproxy(stage.site("kzproxy"))


def _words(values: Values) -> str:
    return ", ".join(f"{key} {value:.1f}" for key, value in values.items())


def _hold(stage: Stage, options: argparse.Namespace) -> None:
    system, wrap = Kzproxy(stage.site("held")), shlex.split(options.wrap)
    with running(system, stage.loader, stage.cores.proxy, _FIRST, wrap) as run:
        say(f"kzproxy is process {run.process.pid}, for {options.hold:.0f} s")
        say(_words(small(run, stage.world.targets, options.hold)))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.small", description=__doc__)
    parser.add_argument("--seconds", type=float, default=0.8, help="under load, each time")
    parser.add_argument("--rounds", type=int, default=16, help="in each of which both have a turn")
    parser.add_argument(
        "--hold",
        type=float,
        default=0.0,
        metavar="SECONDS",
        help="kzproxy alone, under load for so long, for a profiler",
    )
    parser.add_argument("--wrap", default="", help="what kzproxy is started by")
    return parser.parse_args()


if __name__ == "__main__":
    main()
