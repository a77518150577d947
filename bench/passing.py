"""A first look: CPU for what passes through, nginx and kzproxy side by side.

``python -m bench.passing`` is for whoever works on the data path: bodies, events to a thousand
watches and, with ``--list``, the long list of the real kube-apiserver. The figures that count are
those of ``make bench``. ``--against DIRECTORY`` lets the kzproxy of another checkout take its turn
too; with ``--hold`` kzproxy alone does it, and its process id is printed, for perf or py-spy.
"""

import argparse
import shlex
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from bench.api_server import LIST_TARGET, api_server
from bench.figures import DIRECT, KZPROXY, NGINX, median_of, ratio_of
from bench.measures import Values, bodies, lists, watches
from bench.programs import find_nginx, say
from bench.report import number
from bench.rounds import Group, all_running, take_turns, together
from bench.running import Running, running
from bench.series import Found, check_decisions
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
    found, systems = Found(), _systems(site, options)
    group = Group(measure=lambda run: _measure(run, options), rounds=options.rounds)
    if options.list:
        with all_running(stage, systems, _FIRST, found) as runs:
            take_turns(runs, [group], found)
        for run in runs:
            check_decisions(run.system, run)
    else:
        together(stage, systems, _FIRST, [group], found)
    for line in _table(found):
        sys.stdout.write(f"{line}\n")
    say(f"load average: {', '.join(f'{each:.1f}' for each in found.load_averages)}")


def _systems(site: Site, options: argparse.Namespace) -> Iterator[System]:
    def placed(name: str) -> Site:
        directory = site.directory.parent / name
        return Site(world=site.world, upstream=site.upstream, directory=directory)

    if options.list:
        yield Direct(placed("direct"))
    yield Nginx(placed("nginx"), find_nginx())
    if options.against is not None:
        yield OtherKzproxy(placed("other"), options.against)
    yield Kzproxy(placed("kzproxy"))


def _table(found: Found) -> Iterator[str]:
    """Yield a line a figure: medians, and what they are of nginx's."""
    names = [name for name in (DIRECT, NGINX, _OTHER, KZPROXY) if name in found.figures]
    for key in found.figures[KZPROXY]:
        words = [
            f"{name} {number(median_of(found.figures, name, key), 1)}"
            f" ({number(ratio_of(found.figures, key, NGINX, name), 2)})"
            for name in names
        ]
        yield f"{key}: {', '.join(words)}"


def _words(values: Values) -> str:
    return ", ".join(f"{key} {value:.1f}" for key, value in values.items())


def _hold(stage: Stage, site: Site, options: argparse.Namespace) -> None:
    system, wrap = Kzproxy(site), shlex.split(options.wrap)
    with running(system, stage.loader, stage.cores.proxy, _FIRST, wrap) as run:
        say(f"kzproxy is process {run.process.pid}")
        for _ in range(options.rounds):
            say(_words(_measure(run, options)))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.passing", description=__doc__)
    parser.add_argument("parts", nargs="*", default=_PARTS, help=", ".join(_PARTS))
    parser.add_argument("--list", action="store_true", help="the real kube-apiserver's list alone")
    parser.add_argument("--count", type=int, default=5, help="of bodies, events or lists a turn")
    parser.add_argument(
        "--rounds",
        type=int,
        default=8,
        help="in each of which all have a turn, and how often with --hold",
    )
    parser.add_argument("--against", type=Path, help="another checkout of kzproxy")
    parser.add_argument("--hold", action="store_true", help="kzproxy alone, for a profiler")
    parser.add_argument("--wrap", default="", help="what kzproxy is started by")
    return parser.parse_args()


if __name__ == "__main__":
    main()
