"""Systems that all run, and are loaded in turn, in rounds of a second each or so.

A machine that is one of many may have half its speed from one second to the next. What is divided
by each other is therefore taken within seconds, again and again (see ``figures.ratio_of``). While
one system is loaded the others have nothing to do.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace

from bench.figures import DIRECT
from bench.ledger import check_audit_ids, check_upstream
from bench.machine import load_average
from bench.measures import Values, beyond, without_proxy
from bench.programs import say
from bench.running import Running, running
from bench.series import Found, check_decisions, cipher_of
from bench.stage import Stage
from bench.systems.system import System
from bench.upstreams import Counts, FixedUpstream


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """What is measured of one system before the next one has its turn.

    Attributes:
        rounds: How often each has its turn.
        without: The systems that have none, by name.
    """

    measure: Callable[[Running], Values]
    rounds: int = 1
    without: frozenset[str] = frozenset()


def take_turns(
    runs: Sequence[Running],
    groups: Sequence[Group],
    found: Found,
    *,
    once: frozenset[str] = frozenset(),
) -> None:
    """Load all that run, one after the other, as often as each group says.

    Args:
        runs: In the order of their turns.
        groups: In the order in which they are measured.
        found: Takes the figures.
        once: Who takes part in the first round of each group alone.

    Raises:
        CannotRunError: An answer is wrong.
    """
    for group in groups:
        for number in range(group.rounds):
            left_out = group.without | (once if number else frozenset())
            values: dict[str, Values] = {}
            for run in runs:
                if run.system.name not in left_out:
                    run.round_number = number
                    values[run.system.name] = group.measure(run)
            found.add_round(_beside_direct(values))


@contextmanager
def all_running(
    stage: Stage, systems: Iterable[System], target: str, found: Found
) -> Iterator[list[Running]]:
    """Start ``systems``, and stop them at the end of the block.

    Args:
        stage: What stays while they come and go.
        systems: Each is started before the next one is made, and looks for its ports.
        target: What each is asked first.
        found: Takes the load average before any was started.

    Raises:
        CannotRunError: One does not start.
    """
    found.load_averages.append(load_average())
    with ExitStack() as stack:
        yield [
            stack.enter_context(running(each, stage.loader, stage.cores.proxy, target))
            for each in systems
        ]


def together(
    stage: Stage,
    systems: Iterable[System],
    target: str,
    groups: Sequence[Group],
    found: Found,
    *,
    once: frozenset[str] = frozenset(),
) -> None:
    """Measure ``systems`` before the fixed upstream, and hold each to account.

    See ``all_running`` and ``take_turns``.

    Raises:
        CannotRunError: One does not start, or an answer is wrong.
        MismatchError: Answers, upstream requests and records are not the same.
    """
    tally = _Tally(stage.upstream)
    counted = [replace(each, measure=tally.over(each.measure)) for each in groups]
    with all_running(stage, tally.starts_of(systems), target, found) as runs:
        take_turns(runs, counted, found, once=once)
    for run in runs:
        tally.check(run, found)


class _Tally:
    """What each system asks of the fixed upstream, told apart by whose turn it is."""

    def __init__(self, upstream: FixedUpstream) -> None:
        self._upstream = upstream
        self._counts: dict[str, list[Counts]] = {}

    def starts_of(self, systems: Iterable[System]) -> Iterator[System]:
        """Yield each, and count until the next one is wanted: by then it has been started."""
        for system in systems:
            with self._turn_of(system):
                yield system

    def over(self, measure: Callable[[Running], Values]) -> Callable[[Running], Values]:
        def counted(run: Running) -> Values:
            with self._turn_of(run.system):
                return measure(run)

        return counted

    def check(self, run: Running, found: Found) -> None:
        """Hold a system to account, now that it has been stopped."""
        system, reports = run.system, run.reports
        counts = Counts.sum_of(self._counts[system.name])
        check_upstream(system.name, reports, counts)
        if system.impersonates:
            check_audit_ids(system.name, reports, counts)
        check_decisions(system, run)
        found.ciphers[system.name] = f"{cipher_of(run)}; upstream {counts.cipher_suite}"
        say(f"{system.name}: {len(reports)} loads, {counts.requests} requests, all accounted for")

    @contextmanager
    def _turn_of(self, system: System) -> Iterator[None]:
        before = self._upstream.counts()
        yield
        counts = self._upstream.counts().since(before)
        self._counts.setdefault(system.name, []).append(counts)


def _beside_direct(values: Mapping[str, Values]) -> dict[str, Values]:
    """Add what is told only by what no proxy takes."""
    direct = values.get(DIRECT)
    if direct is None:
        return dict(values)
    return {
        name: without_proxy(own) if name == DIRECT else own | beyond(own, direct)
        for name, own in values.items()
    }
