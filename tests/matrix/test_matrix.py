"""Each fact that a decision can depend on is turned while each kind of stream runs.

``make matrix`` runs this and prints what was measured.
"""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import httpx
import pytest
import yaml

from kzproxy.demo.control_plane import ControlPlane
from tests.cluster.kubectl import Kubectl
from tests.cluster.namespaces import fresh_namespace
from tests.matrix import device_facts
from tests.matrix.device_facts import DEVICE_FACTS
from tests.matrix.facts import DIRECT_FACTS, Fact, Turned, groups_of, policy_of
from tests.matrix.session_facts import (
    SESSION_FACTS,
    SETTINGS,
    SHORT_FACTS,
    SHORT_SETTINGS,
    signals_settings,
)
from tests.matrix.sign_in import add_sign_in, sign_in_place
from tests.matrix.stage import Stage, feeding, start_pod
from tests.matrix.stalls import Stalls
from tests.matrix.streams import Account, Kind, Ports, SilentReader, Stream
from tests.matrix.table import MEASURED, Cell
from tests.proxy.issuer_thread import issuer_in_thread
from tests.proxy.process import running_proxy
from tests.proxy.world import PREFIX, World, configuration, request
from tests.server.test_devices import with_devices
from tests.servers.authority import Authority

pytestmark = pytest.mark.cluster

FACTS = (*DIRECT_FACTS, *DEVICE_FACTS, *SESSION_FACTS)
_TOLD_SECONDS = 0.25
# What kubectl itself takes to end, where two cores do everything.
_CLIENT_SECONDS = 15.0

# How a kind is recorded, and how often: each is there once with a client that reads and once with
# one that does not, and watches are recorded alike.
_STREAMS = {
    Kind.WATCH_JSON: ("watch", "GET", 4),
    Kind.WATCH_PROTOBUF: ("watch", "GET", 4),
    Kind.LOGS: ("log", "GET", 2),
    Kind.EXEC_WEBSOCKET: ("exec", "GET", 2),
    Kind.EXEC_SPDY: ("exec", "POST", 2),
    Kind.ATTACH: ("attach", "GET", 2),
    Kind.FORWARD_WEBSOCKET: ("portforward", "GET", 2),
    Kind.FORWARD_SPDY: ("portforward", "POST", 2),
}


@dataclass(frozen=True)
class Ground:
    """What is the same for all stages."""

    control_plane: ControlPlane
    api: httpx.Client
    upstream: Path
    namespace: str
    ports: Ports


@pytest.fixture(scope="module")
def ground(
    control_plane: ControlPlane, administrator: httpx.Client, upstream_kubeconfig: Path
) -> Iterator[Ground]:
    admin = Kubectl.of(control_plane)
    groups = groups_of((*FACTS, *SHORT_FACTS))
    admin.out("apply", "-f", "-", stdin=json.dumps(_let_in(groups)).encode())
    with (
        fresh_namespace(administrator, "matrix") as namespace,
        feeding(administrator, namespace),
    ):
        ports = start_pod(admin.using(namespace=namespace))
        yield Ground(control_plane, administrator, upstream_kubeconfig, namespace, ports)


@pytest.fixture(scope="module")
def stage(ground: Ground, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A kzproxy whose sessions last."""
    with played(ground, tmp_path_factory.mktemp("matrix"), FACTS, SETTINGS) as made:
        yield made


@pytest.fixture(scope="module")
def short_stage(ground: Ground, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A kzproxy whose sessions end before long."""
    directory = tmp_path_factory.mktemp("short")
    with played(ground, directory, SHORT_FACTS, SHORT_SETTINGS) as made:
        yield made


@contextmanager
def played(
    ground: Ground, directory: Path, facts: tuple[Fact, ...], sessions: dict[str, int]
) -> Iterator[Stage]:
    """Run a kzproxy with everything on for the block, and streams of a neighbour."""
    authority = Authority.root()
    users = {fact.group: {"groups": [fact.group]} for fact in facts}
    with issuer_in_thread(directory, authority) as issuer:
        upstream = {"kubeconfig": {"file": str(ground.upstream)}}
        settings = configuration(directory, authority, issuer, upstream)
        with_devices(settings, directory, authority)
        settings["sessions"], settings["posture"] = sessions, device_facts.SETTINGS
        (directory / "policy.yaml").write_text(json.dumps(policy_of(facts)))
        with sign_in_place(directory, authority, users) as place:
            settings["signals"] = signals_settings(directory, issuer, place)
            file = directory / "authentication.yaml"
            authentication = yaml.safe_load(file.read_text())
            add_sign_in(settings, authentication, place, directory)
            file.write_text(json.dumps(authentication))
            with running_proxy(directory, settings) as proxy:
                world = World(directory, authority, issuer, proxy)
                made = Stage(world, ground.control_plane, ground.namespace, ground.ports, place)
                made.neighbours = made.open(made.direct("neighbour", "neighbours"))
                yield made
                for stream in made.neighbours.values():
                    stream.stop()


@pytest.fixture(scope="module", params=FACTS, ids=lambda fact: fact.name)
def fact(request: pytest.FixtureRequest) -> Fact:
    return request.param


@pytest.fixture(scope="module", params=SHORT_FACTS, ids=lambda fact: fact.name)
def short_fact(request: pytest.FixtureRequest) -> Fact:
    return request.param


@pytest.fixture(scope="module")
def turned(stage: Stage, fact: Fact) -> dict[Kind, Cell]:
    return turned_on(stage, fact)


@pytest.fixture(scope="module")
def turned_short(short_stage: Stage, short_fact: Fact) -> dict[Kind, Cell]:
    return turned_on(short_stage, short_fact)


def turned_on(stage: Stage, fact: Fact) -> dict[Kind, Cell]:
    """Turn the fact once, under streams of every kind, and look at each."""
    account = fact.arrange(stage)
    streams, silent = stage.open(account), SilentReader(account)
    unread = stage.open_unread(account)
    try:
        with Stalls() as stalls:
            turned = fact.turn(stage, account)
            cells = {kind: _looked_at(stage, fact, streams[kind], turned, stalls) for kind in Kind}
            _look_at_records(stage, fact, turned.at, cells, stalls)
        _is_refused_next(stage, fact, account)
    finally:
        silent.close()
        for stream in (*streams.values(), *unread):
            stream.stop()
    MEASURED[fact.name] = cells
    return cells


@pytest.mark.parametrize("kind", Kind)
def test_a_stream_ends_with_what_it_rests_on(turned: dict[Kind, Cell], kind: Kind) -> None:
    assert turned[kind].problems == []


@pytest.mark.parametrize("kind", Kind)
def test_a_stream_ends_with_its_session(turned_short: dict[Kind, Cell], kind: Kind) -> None:
    assert turned_short[kind].problems == []


def _let_in(groups: list[str]) -> dict[str, object]:
    """Return the binding that lets kube-apiserver permit the groups everything."""
    kind = "rbac.authorization.k8s.io"
    return {
        "apiVersion": f"{kind}/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": "kzproxy-matrix"},
        "roleRef": {"apiGroup": kind, "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"kind": "Group", "apiGroup": kind, "name": group} for group in groups],
    }


def _looked_at(stage: Stage, fact: Fact, stream: Stream, turned: Turned, stalls: Stalls) -> Cell:
    """Wait for the end of one stream, and say what is wrong with it."""
    cell, at = Cell(), turned.at
    if not stream.wait_until_over(max(0.0, at - time.monotonic()) + fact.seconds + _CLIENT_SECONDS):
        cell.problems.append("it is still open")
    cell.late_ms = max(0.0, (stream.last_at - at) * 1000)
    if stream.last_at - at > fact.seconds + stalls.within(at, stream.last_at):
        cell.problems.append(f"bytes came {cell.late_ms:.0f} ms after the fact")
    if stream.ended_at is not None and stream.ended_at < turned.since:
        cell.problems.append(f"it ended {turned.since - stream.ended_at:.2f} s before the fact")
    cell.problems += _said(fact, stream)
    neighbour = stage.neighbours[stream.kind]
    if not neighbour.goes_on(_CLIENT_SECONDS):
        cell.problems.append(f"the neighbour's stream suffered: {neighbour.errors!r}")
    return cell


def _said(fact: Fact, stream: Stream) -> list[str]:
    """Say what is wrong with what the client printed and how it ended."""
    match stream.kind:
        case Kind.WATCH_JSON:
            code, where, wanted = 0, stream.received, fact.says.encode()
        case Kind.WATCH_PROTOBUF:
            code, where, wanted = None, stream.received, fact.says.encode()
        case Kind.EXEC_WEBSOCKET | Kind.EXEC_SPDY | Kind.ATTACH:
            code, where, wanted = 1, stream.errors, fact.says.encode()
        case Kind.LOGS:
            ends = (b"connection reset by peer", b"unexpected EOF")
            told = any(end in stream.errors for end in ends)
            code, where, wanted = 1, stream.errors, b"" if told else ends[0]
        case Kind.FORWARD_WEBSOCKET | Kind.FORWARD_SPDY:
            code, where, wanted = 1, stream.errors, b"lost connection to pod"
    problems = []
    if stream.exit_code != code:
        problems.append(f"exit code {stream.exit_code} and not {code}: {stream.errors!r}")
    if wanted not in where:
        problems.append(f"{wanted!r} is not in {where[-600:]!r}")
    return problems


def _look_at_records(
    stage: Stage, fact: Fact, at: float, cells: dict[Kind, Cell], stalls: Stalls
) -> None:
    """See that the record of each stream says why it ended, and how fast, whoever reads it."""
    wall_at = time.time() + at - time.monotonic()
    late: dict[tuple[str, str], list[float]] = {}
    slow: dict[tuple[str, str], list[str]] = {}
    for decision in stage.world.proxy.decisions_of(f"{PREFIX}{fact.group}"):
        asked = decision["request"]
        if decision["decision"] != "permit" or "stream" not in asked:
            continue
        _, outcome = stage.world.proxy.finished(decision["audit_id"])
        cut = outcome.get("cut", {})
        if cut.get("cause") == fact.cause and outcome["termination"] == "policy-cut":
            took = cut["took_ms"] / 1000
            ended = datetime.fromisoformat(outcome["ts"]).timestamp() - took - wall_at
            told_within = _TOLD_SECONDS + 0.25 + stalls.within(at + ended, at + ended + took)
            which = (asked["stream"], asked["method"])
            if took > told_within:
                slow.setdefault(which, []).append(f"it took {took:.2f} s to tell: {outcome}")
            late.setdefault(which, []).append(ended)
    for kind, cell in cells.items():
        stream, method, count = _STREAMS[kind]
        found = late.get((stream, method), [])
        cell.problems += slow.get((stream, method), [])
        if len(found) != count:
            cell.problems.append(f"{len(found)} records and not {count} say {fact.cause}")
        last = max(0.0, *found, 0.0)
        cell.unread_late_ms = last * 1000
        if last > fact.seconds + stalls.within(at, at + last):
            cell.problems.append(f"a client did not read: {cell.unread_late_ms:.0f} ms")


def _is_refused_next(stage: Stage, fact: Fact, account: Account) -> None:
    with stage.world.client(certificate=account.certificate) as client:
        status = client.ask(request("GET", "/version", account.token)).status
    assert status == fact.again
