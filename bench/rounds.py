"""Systems that all run, and are loaded in turn, in rounds of a second each or so.

A machine that is one of many may have half its speed from one second to the next. What is divided
by each other is therefore taken within seconds, again and again (see ``figures.ratio_of``). While
one system is loaded the others have nothing to do.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from bench.figures import DIRECT
from bench.ledger import check_audit_ids, check_upstream
from bench.machine import load_average
from bench.measures import Values, beyond, without_proxy
from bench.programs import say
from bench.running import Running, running
from bench.series import Found, check_decisions, cipher_of
from bench.stage import Stage
from bench.systems.system import System
from bench.upstreams import Counts


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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entered:
    """A system that runs.

    Attributes:
        counts: What the upstream was asked in each of its turns.
    """

    stage: Stage
    run: Running
    counts: list[Counts] = field(default_factory=list)

    def measured(self, measure: Callable[[Running], Values], round_number: int) -> Values:
        self.run.round_number = round_number
        before = self.stage.upstream.counts()
        values = measure(self.run)
        self.counts.append(self.stage.upstream.counts().since(before))
        return values

    def check(self, found: Found) -> None:
        """Hold it to account, now that it has been stopped."""
        system, reports = self.run.system, self.run.reports
        counts = Counts.sum_of(self.counts)
        check_upstream(system.name, reports, counts)
        if system.impersonates:
            check_audit_ids(system.name, reports, counts)
        check_decisions(system, self.run)
        found.ciphers[system.name] = f"{cipher_of(self.run)}; upstream {counts.cipher_suite}"
        say(f"{system.name}: {len(reports)} loads, {counts.requests} requests, all accounted for")


def together(
    stage: Stage,
    systems: Iterable[System],
    target: str,
    groups: Sequence[Group],
    found: Found,
    *,
    once: frozenset[str] = frozenset(),
) -> None:
    """Start ``systems`` before the fixed upstream, measure, stop, and hold each to account.

    Args:
        stage: What stays while they come and go.
        systems: In the order of their turns; each is started before the next one is made, and
            looks for its ports.
        target: What each is asked first.
        groups: In the order in which they are measured.
        found: Takes the figures, and what was agreed on.
        once: Who takes part in the first round of each group alone.

    Raises:
        CannotRunError: One does not start, or an answer is wrong.
        MismatchError: Answers, upstream requests and records are not the same.
    """
    found.load_averages.append(load_average())
    with ExitStack() as stack:
        entered = [stack.enter_context(_entered(stage, each, target)) for each in systems]
        for group in groups:
            for number in range(group.rounds):
                left_out = group.without | (once if number else frozenset())
                turns = [each for each in entered if each.run.system.name not in left_out]
                found.add_round(
                    _beside_direct(
                        {
                            each.run.system.name: each.measured(group.measure, number)
                            for each in turns
                        }
                    )
                )
    for each in entered:
        each.check(found)


@contextmanager
def _entered(stage: Stage, system: System, target: str) -> Iterator[_Entered]:
    before = stage.upstream.counts()
    with running(system, stage.loader, stage.cores.proxy, target) as run:
        entered = _Entered(stage=stage, run=run)
        entered.counts.append(stage.upstream.counts().since(before))
        yield entered


def _beside_direct(values: Mapping[str, Values]) -> dict[str, Values]:
    """Add what is told only by what no proxy takes."""
    direct = values.get(DIRECT)
    if direct is None:
        return dict(values)
    return {
        name: without_proxy(own) if name == DIRECT else own | beyond(own, direct)
        for name, own in values.items()
    }
