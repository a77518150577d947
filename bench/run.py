"""``make bench`` and ``make bench-quick``: measure all systems side by side, print, judge.

With ``--only decisions``, ``--only streams`` or ``--only workers`` no other system takes part, and
what else is written stays as it is. Exits with 1 where a floor is not reached, or where answers,
upstream requests and decision records are not the same.
"""

import argparse
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from types import ModuleType
from typing import Any

from bench import decisions, live_streams, mixed_rules, workers
from bench.api_server import LIST_TARGET, ApiServer, api_server
from bench.decision_latency import in_own_process
from bench.figures import DIRECT, KZPROXY, standings
from bench.ledger import MismatchError
from bench.lineup import Lineup
from bench.machine import Cores, load_average
from bench.measures import (
    Effort,
    at_rest,
    bodies,
    cold,
    connections,
    events,
    lists,
    sequential,
    sequential_cold,
    small,
    watches,
)
from bench.programs import CannotRunError, say
from bench.report import Circumstances, document, table, verdict
from bench.rounds import Group, all_running, take_turns, together
from bench.series import Found, check_decisions, check_equal_terms
from bench.stage import Stage, set_up
from bench.surroundings import commit, commit_since, machine, versions
from bench.systems.system import Site, System
from bench.written import RESULTS, write_document, write_page, write_part
from kzproxy.clock.system import Clock, SystemClock
from kzproxy.demo.control_plane import find_binaries

_FIRST_TARGET = "/version"

FULL = Effort(
    repetitions=3,
    rounds=8,
    event_rounds=4,
    small_seconds=0.8,
    sequential_seconds=0.6,
    connection_seconds=0.6,
    bodies=2,
    events=10,
    lists=2,
)
# Twice as long and it would not be quick; half as long and it would be noise. All that is asked,
# once over a single connection, would take 15 s by itself.
QUICK = Effort(
    repetitions=1,
    rounds=3,
    event_rounds=0,
    small_seconds=0.8,
    sequential_seconds=0.4,
    connection_seconds=0.4,
    bodies=1,
    events=5,
    lists=0,
    direct_whole=False,
    sequential_targets=10,
)


def main() -> int:
    """Measure, print and return the exit code."""
    options = _options()
    clock, begun = SystemClock(), commit()
    if options.only:
        return _only(options.only, clock, options.repetitions)
    try:
        if options.quick:
            lineup, effort = Lineup.short(), QUICK
        else:
            lineup, effort = Lineup.whole(find_binaries().kubectl), FULL
        effort = replace(effort, repetitions=options.repetitions or effort.repetitions)
        found = _measure(lineup, effort, clock)
    except (CannotRunError, MismatchError) as error:
        say(str(error))
        return 1
    if not options.quick:
        _write(lineup, effort, clock, found, commit_since(begun))
    return _judge(found, _decisions_part(found, clock, begun))


def _only(key: str, clock: Clock, repetitions: int) -> int:
    """Measure no more than one part, put it into what is written already, print, judge."""
    part, measure, usual = _ALONE[key]
    try:
        held = measure(clock, repetitions or usual)
    except (CannotRunError, MismatchError) as error:
        say(str(error))
        return 1
    write_part(key, held)
    say(f"written: {RESULTS}")
    sys.stdout.write(f"{part.words(held)}\n")
    return _verdict(part.missed(held))


def _decisions_alone(clock: Clock, repetitions: int) -> dict[str, Any]:
    found, begun = Found(), commit()
    _decisions(repetitions, Cores.here().proxy, found)
    return _decisions_part(found, clock, commit_since(begun))


def _streams_alone(clock: Clock, repetitions: int) -> dict[str, Any]:
    begun = commit()
    with set_up(clock) as stage:
        return _streams(stage, clock, repetitions, begun)


def _workers_alone(clock: Clock, repetitions: int) -> dict[str, Any]:
    begun = commit()
    with set_up(clock) as stage:
        return _workers(stage, clock, repetitions, begun)


# What can be measured by itself: who says it to people, how it is measured, and how often.
_ALONE: dict[str, tuple[ModuleType, Callable[[Clock, int], dict[str, Any]], int]] = {
    decisions.KEY: (decisions, _decisions_alone, FULL.repetitions),
    live_streams.KEY: (live_streams, _streams_alone, 1),
    workers.KEY: (workers, _workers_alone, FULL.repetitions),
}


def _workers(stage: Stage, clock: Clock, repetitions: int, begun: str) -> dict[str, Any]:
    """Measure what a second worker adds, a quarter of a minute each time."""
    taken: dict[str, list[float]] = {}
    loads = []
    for repetition in range(repetitions):
        loads.append(load_average())
        for key, value in workers.measure(stage, f"workers-{repetition}").items():
            taken.setdefault(key, []).append(value)
    return workers.part(
        taken,
        date=clock.now().isoformat(timespec="seconds"),
        commit=commit_since(begun),
        load_averages=loads,
    )


def _streams(stage: Stage, clock: Clock, repetitions: int, begun: str) -> dict[str, Any]:
    """Measure ten thousand live streams, which takes two minutes each time."""
    taken: dict[str, list[float]] = {}
    loads = []
    for repetition in range(repetitions):
        loads.append(load_average())
        values = live_streams.measure(stage, clock, f"streams-{repetition}")
        for key, value in values.items():
            taken.setdefault(key, []).append(value)
    return live_streams.part(
        taken,
        date=clock.now().isoformat(timespec="seconds"),
        commit=commit_since(begun),
        load_averages=loads,
    )


def _decisions(repetitions: int, core: int | None, found: Found) -> None:
    """Measure decisions by themselves, in a process of their own each time."""
    for _ in range(repetitions):
        found.load_averages.append(load_average())
        found.add_decisions(mixed_rules.in_own_process(core))


def _decisions_part(found: Found, clock: Clock, measured_commit: str) -> dict[str, Any]:
    return decisions.part(
        found.decisions,
        date=clock.now().isoformat(timespec="seconds"),
        commit=measured_commit,
        load_averages=found.load_averages,
    )


def _measure(lineup: Lineup, effort: Effort, clock: Clock) -> Found:
    found = Found()
    with set_up(clock) as stage:
        found.streams = _streams(stage, clock, 1, commit()) if effort.lists else {}
        if effort.lists:
            found.workers = _workers(stage, clock, effort.repetitions, commit())
        found.add(KZPROXY, in_own_process(stage.world.directory / "policy.yaml", stage.cores.proxy))
        _decisions(effort.repetitions, stage.cores.proxy, found)
        for repetition in range(effort.repetitions):
            say(f"repetition {repetition + 1} of {effort.repetitions}")
            _repetition(stage, lineup, effort, repetition, found)
            check_equal_terms(found)
        if effort.lists:
            with api_server(stage.directory, clock) as server:
                _lists(stage, server, lineup, effort, found)
    return found


def _repetition(
    stage: Stage, lineup: Lineup, effort: Effort, repetition: int, found: Found
) -> None:
    """Measure all systems side by side before the fixed upstream."""
    systems = (lineup.make(name, stage.site(f"{name}-{repetition}")) for name in lineup.names)
    groups = _groups(stage.world.targets, effort)
    together(stage, systems, _FIRST_TARGET, groups, found, once=lineup.peers)


def _groups(targets: tuple[str, ...], effort: Effort) -> list[Group]:
    """Return all that is measured before the fixed upstream, coldest first."""
    rounds, more = effort.rounds, frozenset[str]() if effort.direct_whole else frozenset({DIRECT})
    alone = targets[: effort.sequential_targets]
    return [
        Group(measure=lambda run: at_rest(run) | cold(run, targets), without=more),
        Group(measure=lambda run: watches(run, effort.events), without=more),
        Group(
            measure=lambda run: events(run, effort.events),
            rounds=effort.event_rounds,
            without=more,
        ),
        Group(measure=lambda run: sequential_cold(run, alone)),
        Group(
            measure=lambda run: small(run, targets, effort.small_seconds),
            rounds=rounds,
            without=more,
        ),
        Group(measure=lambda run: sequential(run, alone, effort.sequential_seconds), rounds=rounds),
        Group(
            measure=lambda run: connections(run, targets, effort.connection_seconds),
            rounds=rounds,
            without=more,
        ),
        Group(measure=lambda run: bodies(run, effort.bodies), rounds=rounds, without=more),
    ]


def _lists(stage: Stage, server: ApiServer, lineup: Lineup, effort: Effort, found: Found) -> None:
    """Measure all systems side by side before the real kube-apiserver."""
    systems = _before(server, stage, lineup)
    group = Group(measure=lambda run: lists(run, LIST_TARGET, effort.lists), rounds=effort.rounds)
    with all_running(stage, systems, _FIRST_TARGET, found) as runs:
        take_turns(runs, [group], found, once=lineup.peers)
    for run in runs:
        server.check_audited(check_decisions(run.system, run).permits)
        say(f"{run.system.name}: {len(run.reports)} loads of lists, all accounted for")


def _before(server: ApiServer, stage: Stage, lineup: Lineup) -> Iterator[System]:
    for name in lineup.names:
        directory = stage.site(f"{name}-list").directory
        yield lineup.make(
            name, Site(world=stage.world, upstream=server.upstream, directory=directory)
        )


def _write(
    lineup: Lineup, effort: Effort, clock: Clock, found: Found, measured_commit: str
) -> None:
    circumstances = Circumstances(
        date=clock.now().isoformat(timespec="seconds"),
        commit=measured_commit,
        repetitions=effort.repetitions,
        rounds=effort.rounds,
        versions=versions(lineup.nginx, lineup.kubectl),
        machine=machine(),
        ciphers=found.ciphers,
        load_averages=found.load_averages,
    )
    measured = document(circumstances, found.figures)
    measured[decisions.KEY] = _decisions_part(found, clock, measured_commit)
    measured[live_streams.KEY] = found.streams
    measured[workers.KEY] = found.workers
    write_document(measured)
    write_page(measured)
    say(f"written: {RESULTS}")


def _judge(found: Found, alone: dict[str, Any]) -> int:
    """Print everything; return 1 where a floor is not reached."""
    measured = found.figures
    sys.stdout.write(f"{table(measured)}\n\n{verdict(measured)}\n\n{decisions.words(alone)}\n")
    say(f"load average {min(found.load_averages):.1f} to {max(found.load_averages):.1f}")
    for system, cipher in found.ciphers.items():
        say(f"{system}: {cipher}")
    below = [each.floor.name for each in standings(measured) if not each.reached]
    if found.streams:
        sys.stdout.write(f"\n{live_streams.words(found.streams)}\n")
        below += live_streams.missed(found.streams)
    if found.workers:
        sys.stdout.write(f"\n{workers.words(found.workers)}\n")
        below += workers.missed(found.workers)
    return _verdict([*below, *decisions.missed(alone)])


def _verdict(below: list[str]) -> int:
    if below:
        say(f"below the floor: {', '.join(below)}")
        return 1
    say("every floor that was measured is reached")
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.run", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="nginx and kzproxy only, three rounds")
    parser.add_argument(
        "--only",
        choices=list(_ALONE),
        help="measure and write no more",
    )
    parser.add_argument("--repetitions", type=int, default=0, help="instead of the usual number")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
