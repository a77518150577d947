"""Everything around the measured systems: files, issuer, upstream and load generator."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.issuer import Issuer
from bench.load import Loader
from bench.machine import Cores
from bench.programs import build_load, build_upstream, cache_directory
from bench.systems.system import Site
from bench.upstreams import FixedUpstream
from bench.world import World
from kzproxy.clock.system import Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """What stays while systems come and go."""

    world: World
    upstream: FixedUpstream
    loader: Loader
    cores: Cores
    directory: Path

    def site(self, name: str) -> Site:
        """Return a place in front of the fixed upstream."""
        return Site(
            world=self.world,
            upstream=self.upstream.upstream,
            directory=self.directory / name.replace(" ", "-"),
        )


@contextmanager
def set_up(clock: Clock) -> Iterator[Stage]:
    """Set everything up but the systems; take it down at the end.

    We ourselves, and whatever is started without a core of its own, leave the proxy's core alone.
    """
    cores, issuer = Cores.here(), Issuer()
    if cores.load is not None:
        os.sched_setaffinity(0, {cores.load})
    with ExitStack() as stack:
        work = tempfile.TemporaryDirectory(prefix="run-", dir=cache_directory())
        directory = Path(stack.enter_context(work))
        world = World.make(directory, issuer.url, clock)
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
