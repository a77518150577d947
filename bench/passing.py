"""A first look: CPU for what passes through, nginx and kzproxy in turn.

``python -m bench.passing`` is for whoever works on the data path: bodies, events to a thousand
watches and, with ``--list``, the long list of the real kube-apiserver. The figures that count are
those of ``make bench``. ``--against DIRECTORY`` lets the kzproxy of another checkout take its turn
too; with ``--hold`` kzproxy alone does it, and its process id is printed, for perf or py-spy.
"""

import argparse
import shlex
import statistics
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

from bench.api_server import LIST_TARGET, api_server
from bench.figures import DIRECT, KZPROXY, NGINX
from bench.machine import load_average
from bench.measures import Values, bodies, lists, watches
from bench.programs import find_nginx, say
from bench.running import Running, running
from bench.series import Found, check_decisions, measure_once
from bench.stage import Stage, set_up
from bench.systems.direct import Direct
from bench.systems.kzproxy import Kzproxy
from bench.systems.nginx import Nginx
from bench.systems.system import Site, System
from kzproxy.clock.system import SystemClock

_FIRST = "/version"
_OTHER = "the other kzproxy"
# As kube-apiserver writes a list, and as long as that of ``--list``.
_PIECES = "/api/v1/namespaces/apps-0/configmaps/chunked-7100000"
_PARTS = ("bodies", "pieces", "events")


class OtherKzproxy(Kzproxy):
    """kzproxy of another checkout, with the same environment's packages."""

    name = _OTHER

    def __init__(self, site: Site, checkout: Path) -> None:
        """Take the place of the other checkout."""
        super().__init__(site)
        self._checkout = checkout

    def command(self) -> list[str]:
        """Write its files; return what starts it."""
        python, *arguments = super().command()
        # -P: or what lies in the present directory would be taken first.
        return ["env", f"PYTHONPATH={self._checkout}", python, "-P", *arguments]


def main() -> None:
    """Measure and print."""
    options, clock = _options(), SystemClock()
    with ExitStack() as stack:
        stage = stack.enter_context(set_up(clock))
        site = stage.site("api-server")
        if options.list:
            server = stack.enter_context(api_server(stage.directory, clock))
            site = Site(world=site.world, upstream=server.upstream, directory=site.directory)
        if options.hold:
            _hold(stage, site, options)
        else:
            _compare(stage, site, options)


def _measure(run: Running, options: argparse.Namespace) -> Values:
    if options.list:
        return lists(run, LIST_TARGET, options.count)
    found: Values = {}
    if "bodies" in options.parts:
        found |= bodies(run, options.count)
    if "pieces" in options.parts:
        found |= lists(run, _PIECES, options.count)
    if "events" in options.parts:
        found |= watches(run, options.count)
    return found


def _compare(stage: Stage, site: Site, options: argparse.Namespace) -> None:
    found = Found()
    for repetition in range(options.repetitions):
        for system in _systems(site, repetition, options):
            values = _measure_once(stage, system, options, found)
            found.add(system.name, values)
            say(f"{system.name}: {_words(values)}")
    for line in _table(found):
        sys.stdout.write(f"{line}\n")
    say(f"load average: {', '.join(f'{each:.1f}' for each in found.load_averages)}")


def _measure_once(
    stage: Stage, system: System, options: argparse.Namespace, found: Found
) -> Values:
    if not options.list:
        return measure_once(stage, system, _FIRST, lambda run: _measure(run, options), found)
    found.load_averages.append(load_average())
    with running(system, stage.loader, stage.cores.proxy, _FIRST) as run:
        values = _measure(run, options)
    check_decisions(system, run)
    return values


def _systems(site: Site, repetition: int, options: argparse.Namespace) -> Iterator[System]:
    def placed(name: str) -> Site:
        directory = site.directory.parent / f"{name}-{repetition}"
        return Site(world=site.world, upstream=site.upstream, directory=directory)

    if options.list:
        yield Direct(placed("direct"))
    yield Nginx(placed("nginx"), find_nginx())
    if options.against is not None:
        yield OtherKzproxy(placed("other"), options.against)
    yield Kzproxy(placed("kzproxy"))


def _table(found: Found) -> Iterator[str]:
    """Yield a line a figure: medians, and what they are of nginx's."""
    names: Sequence[str] = [n for n in (DIRECT, NGINX, _OTHER, KZPROXY) if n in found.figures]
    for key in found.figures[KZPROXY]:
        values = {n: statistics.median(found.figures[n][key]) for n in names}
        words = [
            f"{name} {value:.1f} ({value / values[NGINX]:.2f})" for name, value in values.items()
        ]
        yield f"{key}: {', '.join(words)}"


def _words(values: Values) -> str:
    return ", ".join(f"{key} {value:.1f}" for key, value in values.items())


def _hold(stage: Stage, site: Site, options: argparse.Namespace) -> None:
    system, wrap = Kzproxy(site), shlex.split(options.wrap)
    with running(system, stage.loader, stage.cores.proxy, _FIRST, wrap) as run:
        say(f"kzproxy is process {run.process.pid}")
        say(_words(_measure(run, options)))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.passing", description=__doc__)
    parser.add_argument("parts", nargs="*", default=_PARTS, help=", ".join(_PARTS))
    parser.add_argument("--list", action="store_true", help="the real kube-apiserver's list alone")
    parser.add_argument("--count", type=int, default=10, help="of bodies, events or lists a turn")
    parser.add_argument("--repetitions", type=int, default=3, help="of the systems in turn")
    parser.add_argument("--against", type=Path, help="another checkout of kzproxy")
    parser.add_argument("--hold", action="store_true", help="kzproxy alone, for a profiler")
    parser.add_argument("--wrap", default="", help="what kzproxy is started by")
    return parser.parse_args()


if __name__ == "__main__":
    main()
