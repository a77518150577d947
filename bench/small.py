"""A first look: CPU for a small request, nginx and kzproxy in turn.

``python -m bench.small`` is for whoever works on the data path; the figures that count are those of
``make bench``. With ``--hold`` kzproxy alone is under load and its process id is printed, for perf
or py-spy; with ``--wrap 'COMMAND ARGS'`` it is started by that command.
"""

import argparse
import shlex
import statistics

from bench.measures import Values, cold, small
from bench.programs import find_nginx, say
from bench.running import Running, running
from bench.series import Found, measure_once
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
    found = Found()

    def measure(run: Running) -> Values:
        targets = stage.world.targets
        return cold(run, targets) | small(run, targets, options.seconds)

    for repetition in range(options.repetitions):
        systems: list[System] = [
            Nginx(stage.site(f"nginx-{repetition}"), find_nginx()),
            Kzproxy(stage.site(f"kzproxy-{repetition}")),
        ]
        for system in systems:
            values = measure_once(stage, system, _FIRST, measure, found)
            found.add(system.name, values)
            say(f"{system.name}: {_words(values)}")
    for key in ("small_cpu_us", "cold_cpu_us"):
        nginx, kzproxy = (
            statistics.median(found.figures[name][key]) for name in ("nginx", "kzproxy")
        )
        ratio = f"ratio {kzproxy / nginx:.2f}"
        say(f"{key}: nginx {nginx:.1f}, kzproxy {kzproxy:.1f}, {ratio}")
    say(f"load average: {', '.join(f'{each:.1f}' for each in found.load_averages)}")


def _words(values: Values) -> str:
    return ", ".join(f"{key} {value:.1f}" for key, value in values.items())


def _hold(stage: Stage, options: argparse.Namespace) -> None:
    system, wrap = Kzproxy(stage.site("held")), shlex.split(options.wrap)
    with running(system, stage.loader, stage.cores.proxy, _FIRST, wrap) as run:
        say(f"kzproxy is process {run.process.pid}, for {options.seconds:.0f} s")
        say(_words(small(run, stage.world.targets, options.seconds)))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.small", description=__doc__)
    parser.add_argument("--seconds", type=float, default=4.0, help="under load, each time")
    parser.add_argument("--repetitions", type=int, default=3, help="of nginx and kzproxy in turn")
    parser.add_argument("--hold", action="store_true", help="kzproxy alone, for a profiler")
    parser.add_argument("--wrap", default="", help="what kzproxy is started by")
    return parser.parse_args()


if __name__ == "__main__":
    main()
