"""A first look: CPU for a small request, nginx and kzproxy in turn.

``python -m bench.small`` is for whoever works on the data path; the figures that count are those of
``make bench``. With ``--hold`` kzproxy alone is under load and its process id is printed, for perf
or py-spy; with ``--wrap 'COMMAND ARGS'`` it is started by that command.
"""

import argparse
import os
import shlex
import statistics
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.issuer import Issuer
from bench.load import Loader, Plan
from bench.machine import Cores, cpu_seconds, load_average, pinned
from bench.programs import build_load, build_upstream, cache_directory, find_nginx, say
from bench.systems import Kzproxy, Nginx, Site, System
from bench.upstreams import FixedUpstream
from bench.world import World
from kzproxy.clock.system import SystemClock

CONNECTIONS = 200
CONCURRENCY = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """Everything but the systems themselves."""

    world: World
    upstream: FixedUpstream
    loader: Loader
    cores: Cores
    directory: Path


@contextmanager
def stage() -> Iterator[Stage]:
    """Set everything up but the systems; take it down at the end."""
    cores, issuer = Cores.here(), Issuer()
    if cores.load is not None:
        os.sched_setaffinity(0, {cores.load})
    with ExitStack() as stack:
        work = tempfile.TemporaryDirectory(prefix="run-", dir=cache_directory())
        directory = Path(stack.enter_context(work))
        world = World.make(directory, issuer.url, SystemClock())
        certificate, key = directory / "issuer.crt", directory / "issuer.key"
        stack.enter_context(issuer.serving(world.jwks, certificate, key))
        upstream = FixedUpstream(build_upstream(), world, cores.upstream)
        stack.callback(upstream.stop)
        loader = Loader(
            program=build_load(),
            directory=directory,
            core=cores.load,
            identities=world.identities,
            control=upstream.control,
        )
        yield Stage(world=world, upstream=upstream, loader=loader, cores=cores, directory=directory)


def main() -> None:
    """Measure and print."""
    options = _options()
    with stage() as staged:
        if options.hold:
            _hold(staged, options)
            return
        found: dict[str, list[float]] = {"nginx": [], "kzproxy": []}
        for repetition in range(options.repetitions):
            site = staged.directory / str(repetition)
            for system in _systems(staged, site):
                warm, cold = _measure(staged, system, options)
                found[system.name].append(warm)
                say(
                    f"{system.name}: {warm:.1f} us warm, {cold:.1f} us cold; load average "
                    f"{load_average():.1f}"
                )
    nginx, kzproxy = (statistics.median(found[name]) for name in ("nginx", "kzproxy"))
    say(
        f"CPU for a small request: nginx {nginx:.1f} us, kzproxy {kzproxy:.1f} us, "
        f"ratio {kzproxy / nginx:.2f}"
    )


def _systems(staged: Stage, directory: Path) -> list[System]:
    def site(name: str) -> Site:
        return Site(
            world=staged.world, upstream=staged.upstream.upstream, directory=directory / name
        )

    return [Nginx(site("nginx"), find_nginx()), Kzproxy(site("kzproxy"))]


def _measure(staged: Stage, system: System, options: argparse.Namespace) -> tuple[float, float]:
    """Return the CPU in microseconds for a request, warm and cold."""
    prefix = pinned(staged.cores.proxy, ())
    wrap = shlex.split(options.wrap) if system.name == "kzproxy" else []
    process = system.start([*prefix, *wrap])
    try:
        ready = Plan(mode="until-ready", targets=("/version",))
        staged.loader.run(system.door, ready)
        cold = _cpu(staged, system, process.pid, once=True, seconds=0.0)
        warm = _cpu(staged, system, process.pid, once=False, seconds=options.seconds)
    finally:
        process.stop()
    return warm, cold


def _cpu(staged: Stage, system: System, pid: int, *, once: bool, seconds: float) -> float:
    plan = Plan(
        mode="closed-loop",
        targets=staged.world.targets,
        connections=CONNECTIONS,
        concurrency=CONCURRENCY,
        warmup=0 if once else CONNECTIONS * 10,
        once=once,
        seconds=seconds,
    )
    used: list[float] = []
    report = staged.loader.run(system.door, plan, lambda: used.append(cpu_seconds(pid)))
    return (used[1] - used[0]) / report.answers * 1e6


def _hold(staged: Stage, options: argparse.Namespace) -> None:
    system = _systems(staged, staged.directory / "held")[1]
    process = system.start([*pinned(staged.cores.proxy, ()), *shlex.split(options.wrap)])
    try:
        staged.loader.run(system.door, Plan(mode="until-ready", targets=("/version",)))
        say(f"kzproxy is process {process.pid}, for {options.seconds:.0f} s")
        cpu = _cpu(staged, system, process.pid, once=False, seconds=options.seconds)
        say(f"{cpu:.1f} us CPU for a small request")
    finally:
        process.stop()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.small", description=__doc__)
    parser.add_argument("--seconds", type=float, default=4.0, help="under load, each time")
    parser.add_argument("--repetitions", type=int, default=3, help="of nginx and kzproxy in turn")
    parser.add_argument("--hold", action="store_true", help="kzproxy alone, for a profiler")
    parser.add_argument("--wrap", default="", help="what kzproxy is started by")
    return parser.parse_args()


if __name__ == "__main__":
    main()
