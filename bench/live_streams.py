"""Ten thousand live watches of a thousand sessions on two workers: how fast they are ended.

It needs no other system to be compared with: ``python -m bench.run --only streams``.
"""

import json
import resource
import signal
import statistics
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.kept_sessions import Kept, keep_sessions
from bench.machine import resident_bytes
from bench.programs import CannotRunError, say
from bench.registered_stream import in_own_process
from bench.report import markdown, number, spread
from bench.running import Running, running
from bench.stage import Stage
from bench.systems.keeping import Keeping
from bench.watching import Entrance, Watch, Watching, header, read_head, request
from kzproxy.clock.system import Clock

KEY = "streams"
SESSIONS, WATCHES_EACH = 1000, 10
REVOCATIONS = 100

_BETWEEN_SECONDS = 0.05
_AT_REST_SECONDS = 8.0
_SETTLE_SECONDS = 3.0
_FIRST_TARGET = "/version"

Values = dict[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One that is measured.

    Attributes:
        title: For people.
        limit: What it may be at most; None where nothing is asked.
    """

    key: str
    title: str
    unit: str
    limit: float | None = None


FIGURES = (
    Figure(
        key="same_p99_ms", title="revocation to last byte, same worker, p99", unit="ms", limit=250
    ),
    Figure(key="same_p50_ms", title="the same, p50", unit="ms"),
    Figure(
        key="other_p99_ms", title="revocation to last byte, other worker, p99", unit="ms", limit=500
    ),
    Figure(key="other_p50_ms", title="the same, p50", unit="ms"),
    Figure(
        key="reload_s",
        title="policy put in place to the last stream ended by it",
        unit="s",
        limit=1,
    ),
    Figure(key="others_p99_ms", title="requests of others at rest, p99", unit="ms"),
    Figure(key="delayed_p99_ms", title="what the reload adds to that", unit="ms", limit=50),
    Figure(
        key="stream_kb",
        title="memory of a stream that is registered, without its watch",
        unit="KB",
        limit=4,
    ),
    Figure(key="watch_kb", title="memory of a watch, all of it, two workers", unit="KB"),
    Figure(key="token_us", title="a session token that was verified before", unit="µs"),
    Figure(key="first_token_us", title="a session token never seen", unit="µs"),
)


def measure(stage: Stage, clock: Clock, name: str) -> Values:
    """Measure once.

    Raises:
        CannotRunError: A watch ended that should not have, or lived that should not.
    """
    _raise_open_files()
    system = Keeping(stage.site(name))
    # On all cores: two workers on one would stand in each other's way.
    with running(system, stage.loader, None, _FIRST_TARGET) as run:
        alone = resident_bytes(run.process.pid)
        certificate, key = stage.world.identities[0].certificate, stage.world.identities[0].key
        sessions = keep_sessions(system.site.directory, certificate, SESSIONS, clock)
        time.sleep(1)  # the workers look every 50 ms
        entrance = Entrance(system.port, stage.world.authority, certificate, key)
        by_session = _opened(entrance, sessions)
        watches = [each for of_one in by_session.values() for each in of_one]
        with Watching(watches):
            time.sleep(_SETTLE_SECONDS)
            kilobytes = (resident_bytes(run.process.pid) - alone) / len(watches) / 1000
            values = {"watch_kb": kilobytes}
            values |= _revoked(stage, run, system, entrance, sessions, by_session)
            values |= _reloaded(stage, run, system, entrance, sessions, by_session)
    return values | in_own_process(stage.cores.proxy)


def _opened(entrance: Entrance, sessions: Sequence[Kept]) -> dict[str, list[Watch]]:
    found: dict[str, list[Watch]] = {}
    for place, one in enumerate(sessions):
        source = f"127.2.{place // 250}.{place % 250 + 1}"
        found[one.id] = [
            entrance.watch(one.token, f"/api/v1/namespaces/apps-{n}/pods?watch=true", source)
            for n in range(WATCHES_EACH)
        ]
    say(f"{sum(map(len, found.values()))} watches are open")
    return found


def _revoked(
    stage: Stage,
    run: Running,
    system: Keeping,
    entrance: Entrance,
    sessions: Sequence[Kept],
    by_session: Mapping[str, list[Watch]],
) -> Values:
    """End sessions one by one; say how long their watches still got something."""
    administrator = stage.world.identities[0]
    answered: dict[str, tuple[float, str]] = {}
    staying = [one for one in sessions if not one.leaves][:REVOCATIONS]
    for one in staying:
        target = f"/kzproxy.dev/v1/sessions/{one.id}"
        # A connection of its own each time: the kernel gives it to one of the workers.
        with entrance.connect(administrator.source) as tls:
            tls.sendall(request("DELETE", target, administrator.token))
            head = read_head(tls)
        answered[one.id] = time.perf_counter(), header(head, b"audit-id")
        if not head.startswith(b"HTTP/1.1 200"):
            raise CannotRunError(f"a revocation was answered {head[:300]!r}")
        time.sleep(_BETWEEN_SECONDS)
    time.sleep(_SETTLE_SECONDS)
    workers = _workers(system.decision_logs)
    late: dict[bool, list[float]] = {True: [], False: []}
    for session, (at, audit_id) in answered.items():
        for watch in by_session[session]:
            if watch.ended_at is None:
                raise CannotRunError("a watch of a revoked session lives on")
            same = workers[audit_id] == workers[watch.audit_id]
            late[same].append(max(0.0, watch.last_at - at) * 1000)
    _check_others(by_session, set(answered), run)
    return _quantiles("same", late[True]) | _quantiles("other", late[False])


def _reloaded(
    stage: Stage,
    run: Running,
    system: Keeping,
    entrance: Entrance,
    sessions: Sequence[Kept],
    by_session: Mapping[str, list[Watch]],
) -> Values:
    """Put a policy in place that ends one watch in twenty; ask small things meanwhile."""
    leaving = [watch for one in sessions if one.leaves for watch in by_session[one.id]]
    with Asking(stage, entrance) as asking:
        time.sleep(_AT_REST_SECONDS)
        begun = time.perf_counter()
        system.put_policy(leavers=False)
        run.process.signal(signal.SIGHUP)
        time.sleep(_AT_REST_SECONDS)
    if any(watch.ended_at is None for watch in leaving):
        raise CannotRunError("a watch lives on that the policy does not permit")
    ended = max(watch.last_at for watch in leaving)
    before = [took for at, took in asking.answers if at < begun]
    during = [took for at, took in asking.answers if begun <= at < ended + 1]
    at_rest = _quantile(before, 99)
    return {
        "reload_s": ended - begun,
        "others_p99_ms": at_rest,
        "delayed_p99_ms": max(0.0, _quantile(during, 99) - at_rest),
    }


@dataclass
class Asking:
    """Asks small things all the time, on two connections, while the block runs.

    Attributes:
        answers: When each was asked, monotonic, and what it took in milliseconds.
    """

    stage: Stage
    entrance: Entrance
    answers: list[tuple[float, float]] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)
    threads: list[threading.Thread] = field(default_factory=list)

    def __enter__(self) -> "Asking":
        self.threads = [threading.Thread(target=self._ask, args=(n,)) for n in (1, 2)]
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        for thread in self.threads:
            thread.join()

    def _ask(self, identity: int) -> None:
        who = self.stage.world.identities[identity]
        asked = request("GET", self.stage.world.targets[0], who.token)
        # The certificate is another's: what policy permits here does not look at it.
        with self.entrance.connect(who.source) as tls:
            while not self.over.wait(0.01):
                begun = time.perf_counter()
                tls.sendall(asked)
                read_head(tls)
                self.answers.append((begun, (time.perf_counter() - begun) * 1000))


def _check_others(by_session: Mapping[str, list[Watch]], revoked: set[str], run: Running) -> None:
    run.process.check()
    ended = sum(
        watch.ended_at is not None
        for session, watches in by_session.items()
        if session not in revoked
        for watch in watches
    )
    if ended:
        raise CannotRunError(f"{ended} watches ended that nobody had revoked")


def _workers(logs: Sequence[Path]) -> dict[str, str]:
    """Return which worker decided on what, by audit id."""
    found = {}
    for log in logs:
        for line in log.read_text().splitlines():
            record = json.loads(line)
            if record["kind"] == "decision":
                found[record["audit_id"]] = log.name
    return found


def _quantiles(name: str, values: Sequence[float]) -> Values:
    return {f"{name}_p50_ms": _quantile(values, 50), f"{name}_p99_ms": _quantile(values, 99)}


def _quantile(values: Sequence[float], percent: int) -> float:
    if len(values) < 100:
        raise CannotRunError(f"{len(values)} values are too few")
    return statistics.quantiles(values, n=100)[percent - 1]


def _raise_open_files() -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    if most < 2 * SESSIONS * WATCHES_EACH:
        raise CannotRunError(
            f"needs {2 * SESSIONS * WATCHES_EACH} open files a process, not {most}"
        )


def part(
    taken: Mapping[str, Sequence[float]], *, date: str, commit: str, load_averages: Sequence[float]
) -> dict[str, Any]:
    """Return what ``latest.json`` holds of it under ``KEY``; see ``Circumstances``."""
    figures = {key: spread(values) for key, values in taken.items()}
    return {
        "date": date,
        "commit": commit,
        "repetitions": len(taken["reload_s"]),
        "load_averages": [round(each, 2) for each in load_averages],
        "floors": {
            each.key: {
                "found": figures[each.key]["median"],
                "limit": each.limit,
                "reached": figures[each.key]["median"] <= each.limit,
            }
            for each in FIGURES
            if each.limit is not None
        },
        "figures": figures,
    }


def words(held: Mapping[str, Any]) -> str:
    """Return such a part as a paragraph and a Markdown table."""
    loads = held["load_averages"]
    rows = []
    for each in FIGURES:
        found = held["figures"][each.key]["median"]
        floor = held["floors"].get(each.key)
        limit = "" if each.limit is None else number(each.limit, 0)
        reached = "" if floor is None else ("yes" if floor["reached"] else "no")
        rows.append([f"{each.title}, {each.unit}", number(found, 2), limit, reached])
    return (
        f"{SESSIONS * WATCHES_EACH:,} live watches of {SESSIONS:,} sessions on two workers,"
        f" measured"
        f" {held['date']} at commit `{held['commit']}`: medians of {held['repetitions']}"
        f" repetitions, load average {min(loads)} to {max(loads)}.\n\n"
        + markdown(["", "found", "at most", "reached"], rows)
    )


def missed(held: Mapping[str, Any]) -> list[str]:
    """Return the keys of what is not reached."""
    return [key for key, floor in held["floors"].items() if not floor["reached"]]
