"""Several workers: one address, one place to ask, and none of them is missed."""

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from kzproxy.audit.chain import Verified, verify_chain
from kzproxy.demo.loopback_ports import free_ports
from tests.cluster.audit_log import AuditLog
from tests.proxy.eventually import SECONDS, eventually
from tests.proxy.fixtures import Real
from tests.proxy.issuer_thread import issuer_in_thread
from tests.proxy.json_lines import json_lines
from tests.proxy.process import running_proxy
from tests.proxy.raw_client import RawClient
from tests.proxy.world import POLICY, World, configuration, request
from tests.servers.authority import Authority

pytestmark = pytest.mark.cluster

PODS = "/api/v1/namespaces/default/pods"
CONFIGMAPS = "/api/v1/namespaces/default/configmaps?limit=1"
WATCH = f"{PODS}?watch=1"


@contextlib.contextmanager
def two_workers(directory: Path, upstream_kubeconfig: Path) -> Iterator[World]:
    authority = Authority.root()
    with issuer_in_thread(directory, authority) as issuer:
        upstream = {"kubeconfig": {"file": str(upstream_kubeconfig)}}
        settings = configuration(directory, authority, issuer, upstream)
        with running_proxy(directory, settings, "--workers", "2") as proxy:
            yield World(directory, authority, issuer, proxy)


@pytest.fixture
def world(real: Real, upstream_kubeconfig: Path, tmp_path: Path) -> Iterator[World]:
    """Two workers of the test's own in front of the real API server."""
    assert real.control_plane.components
    with two_workers(tmp_path, upstream_kubeconfig) as world:
        yield world


@pytest.fixture(scope="module")
def _standing(
    real: Real, upstream_kubeconfig: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    assert real.control_plane.components
    with two_workers(tmp_path_factory.mktemp("workers"), upstream_kubeconfig) as world:
        yield world


@pytest.fixture
def standing(_standing: World) -> World:
    """Two workers that several tests share; each leaves them ready."""
    eventually(lambda: ready(_standing), lambda: _standing.proxy.diagnostics)
    return _standing


def children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def workers(world: World) -> dict[int, int]:
    """The pid of each worker, by its number."""
    found = {}
    for pid in children(world.proxy.pid):
        words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
        if "--worker" in words:
            found[int(words[words.index("--worker") + 1])] = pid
    return found


def private_directory(world: World) -> Path:
    """The directory that the supervisor shares with its workers."""
    words = Path(f"/proc/{workers(world)[1]}/cmdline").read_text().split("\0")
    return Path(words[words.index("--supervisor") + 2])


def records(world: World, number: int) -> list[dict[str, Any]]:
    return json_lines(world.directory / f"decisions.{number}.jsonl")


def ended(pid: int) -> bool:
    """Whether a process that may be nobody's child has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def ready(world: World) -> bool:
    return world.proxy.ops("/readyz")[0] == 200


def checks(world: World) -> tuple[int, dict[str, str]]:
    """What ``/readyz`` answers, and what it says of each part."""
    status, body = world.proxy.ops("/readyz")
    return status, json.loads(body)["checks"]


def metric(world: World, name: str) -> float:
    found = re.search(rf"^{re.escape(name)} (.*)$", world.proxy.ops("/metrics")[1], re.MULTILINE)
    return float(found[1]) if found else 0.0


def reached(audit_log: AuditLog, mark: int, user: str) -> set[str]:
    """The audit ids of what the API server was asked as ``user`` through kzproxy."""
    return {
        event["auditID"]
        for event in audit_log.since(mark)
        if event.get("impersonatedUser", {}).get("username") == user
    }


def answered_by_each(world: World, token: str) -> int:
    """Ask until every worker has answered; return how often was asked."""
    asked = 0
    seen: set[int] = set()
    deadline = time.monotonic() + SECONDS
    while seen != {1, 2}:
        assert time.monotonic() < deadline
        with world.client() as client:
            audit_id = client.ask(request("GET", CONFIGMAPS, token)).audit_id
        asked += 1
        for number in (1, 2):
            if any(record.get("audit_id") == audit_id for record in records(world, number)):
                seen.add(number)
    return asked


def permits(world: World) -> float:
    labels = '{cause="allow-rule",decision="permit"}'
    return metric(world, f"kzproxy_access_decisions_total{labels}")


def chain(world: World, number: int) -> Verified:
    file = world.directory / f"decisions.{number}.jsonl"
    return verify_chain(file.read_bytes().splitlines(keepends=True))


def test_connections_are_shared_and_each_worker_keeps_a_log_of_its_own(standing: World) -> None:
    answered_by_each(standing, standing.token("shara", "testers"))

    assert [chain(standing, number).worker for number in (1, 2)] == ["1", "2"]
    assert not standing.proxy.decision_log.exists()


def shares(world: World, clients: list[RawClient], token: str) -> list[int]:
    """Ask once on each connection; return how many are at each worker."""
    asked = request("GET", CONFIGMAPS, token)
    audit_ids = {client.ask(asked).audit_id for client in clients}
    return [
        len(audit_ids & {record.get("audit_id") for record in records(world, number)})
        for number in (1, 2)
    ]


def test_few_connections_are_even_also_where_a_worker_was_started_anew(standing: World) -> None:
    """The kernel would give six of ten or more to one of two, as often as not."""
    token = standing.token("evelyn", "testers")
    restarts = metric(standing, "kzproxy_worker_restarts_total")
    with contextlib.ExitStack() as stack:
        before = [stack.enter_context(standing.client()) for _ in range(10)]
        assert shares(standing, before, token) in ([4, 6], [5, 5], [6, 4])
        os.kill(workers(standing)[1], signal.SIGKILL)
        eventually(lambda: metric(standing, "kzproxy_worker_restarts_total") == restarts + 1)
        eventually(lambda: ready(standing), lambda: standing.proxy.diagnostics)
        after = [stack.enter_context(standing.client()) for _ in range(10)]
        assert shares(standing, after, token) in ([4, 6], [5, 5], [6, 4])


def test_the_metrics_are_the_sum_and_stay_when_a_worker_is_killed(standing: World) -> None:
    before, restarts = permits(standing), metric(standing, "kzproxy_worker_restarts_total")
    asked = answered_by_each(standing, standing.token("suma", "testers"))
    assert permits(standing) == before + asked
    assert metric(standing, "kzproxy_workers") == 2
    text = standing.proxy.ops("/metrics")[1]
    assert re.findall(r"^kzproxy_build_info\{.*\} (.*)$", text, re.MULTILINE) == ["1.0"]

    os.kill(workers(standing)[1], signal.SIGKILL)
    eventually(lambda: metric(standing, "kzproxy_worker_restarts_total") == restarts + 1)
    assert permits(standing) == before + asked


def ask_for(seconds: float, world: World, asked: bytes) -> None:
    """Ask and ask, over a new connection where one is lost."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        with contextlib.suppress(OSError), world.client() as client:
            while time.monotonic() < until:
                client.ask(asked)


def test_kill_9_of_workers_loses_nothing_and_they_are_started_again(
    standing: World, audit_log: AuditLog
) -> None:
    mark = audit_log.mark()
    asked = request("GET", CONFIGMAPS, standing.token("kalle", "testers"))
    threads = [threading.Thread(target=ask_for, args=(3, standing, asked)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for pid in workers(standing).values():
        time.sleep(0.9)
        os.kill(pid, signal.SIGKILL)
    for thread in threads:
        thread.join(30)
    eventually(lambda: ready(standing), lambda: standing.proxy.diagnostics)

    got_through = reached(audit_log, mark, "t:kalle")
    logged = [record for number in (1, 2) for record in records(standing, number)]
    permitted = {record["audit_id"] for record in logged if record.get("decision") == "permit"}
    assert len(got_through) > 50
    assert got_through <= permitted
    for number in (1, 2):
        assert chain(standing, number).lines == len(records(standing, number))
        said = f"worker {number} was ended by SIGKILL, is started again after"
        assert said in standing.proxy.diagnostics


def test_while_a_worker_is_away_it_is_not_ready_and_says_why(standing: World) -> None:
    before = workers(standing)
    os.kill(before[2], signal.SIGKILL)
    seen: list[tuple[int, dict[str, str]]] = []

    def is_said() -> bool:
        seen.append(checks(standing))
        return "was ended by SIGKILL" in seen[-1][1]["worker 2"]

    eventually(is_said)  # Its socket fails a moment before its end is noted.
    status, said = seen[-1]
    assert (status, said["worker 1"]) == (503, "ok")
    assert standing.proxy.ops("/livez")[0] == 200
    eventually(lambda: ready(standing), lambda: standing.proxy.diagnostics)
    after = workers(standing)
    assert after[1] == before[1]
    assert after[2] != before[2]


def test_a_changed_policy_reaches_all_workers_and_so_does_sighup(standing: World) -> None:
    policy = standing.directory / "policy.yaml"
    token = standing.token("rea", "readers")
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(standing.client()) for _ in range(8)]
        for client in clients:
            client.send(request("GET", WATCH, token))
            assert client.head()[0] == 200
        put(policy, yaml.safe_dump(POLICY | {"rules": []}))
        assert all(b'"code":403' in client.to_end() for client in clients)

    put(policy, yaml.safe_dump(POLICY))
    for number in (1, 2):
        file = standing.directory / f"decisions.{number}.jsonl"
        file.rename(standing.directory / f"old.{number}")
    standing.proxy.signal(signal.SIGHUP)
    eventually(lambda: all(number in logs_with(standing, "rotation") for number in (1, 2)))


def test_a_bad_file_is_told_of_every_worker_that_stays_ready(standing: World) -> None:
    policy = standing.directory / "policy.yaml"
    put(policy, "kind: [unfinished\n")
    eventually(lambda: standing.proxy.ops("/readyz")[1].count("policy.yaml:2:1") == 2)
    assert metric(standing, "kzproxy_config_reload_success") == 0
    assert ready(standing)

    put(policy, yaml.safe_dump(POLICY))
    eventually(lambda: metric(standing, "kzproxy_config_reload_success") == 1)


def put(file: Path, text: str) -> None:
    """Write a file in place of the old one."""
    new = file.with_name("new")
    new.write_text(text)
    new.rename(file)


def logs_with(world: World, after: str) -> set[int]:
    """The workers whose log goes on after that."""
    return {
        number
        for number in (1, 2)
        if (world.directory / f"decisions.{number}.jsonl").exists()
        and any(record.get("after") == after for record in records(world, number))
    }


def test_sigterm_drains_all_and_ends_with_0(world: World) -> None:
    token = world.token("dora", "testers")
    pids = workers(world)
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(world.client()) for _ in range(8)]
        for client in clients:
            client.send(request("GET", WATCH, token))
            assert client.head()[0] == 200
        world.proxy.signal(signal.SIGTERM)
        rests = [client.to_end() for client in clients]

    assert all(rest.endswith(b"0\r\n\r\n") and b'"ERROR"' not in rest for rest in rests)
    assert world.proxy.wait() == 0
    assert all(ended(pid) for pid in pids.values())
    for number in (1, 2):
        assert records(world, number)[-1]["kind"] == "stopped"


def test_workers_end_with_their_supervisor_however_it_ends(world: World) -> None:
    pids, directory = workers(world), private_directory(world)
    assert directory.stat().st_mode & 0o777 == 0o700
    world.proxy.signal(signal.SIGKILL)
    world.proxy.wait()

    eventually(lambda: all(ended(pid) for pid in pids.values()))
    shutil.rmtree(directory)  # nobody was left to do it
    for number in (1, 2):
        assert records(world, number)[-1]["kind"] == "stopped"


# What does not start


@pytest.fixture
def settings(upstream_kubeconfig: Path, tmp_path: Path) -> Iterator[dict[str, Any]]:
    """A configuration that serves; a test spoils it and calls ``refused``."""
    authority = Authority.root()
    with issuer_in_thread(tmp_path, authority) as issuer:
        upstream = {"kubeconfig": {"file": str(upstream_kubeconfig)}}
        settings = configuration(tmp_path, authority, issuer, upstream)
        settings["listen"]["address"] = f"127.0.0.1:{free_ports(1)[0]}"
        yield settings


def refused(directory: Path, settings: dict[str, Any]) -> str:
    file = directory / "kzproxy.yaml"
    file.write_text(yaml.safe_dump(settings))
    command = [sys.executable, "-m", "kzproxy", "serve", "--workers", "2", "--config", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    return done.stderr


def test_an_address_that_is_taken_is_named_though_it_could_be_shared(
    tmp_path: Path, settings: dict[str, Any]
) -> None:
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        settings["listen"]["address"] = f"127.0.0.1:{taken.getsockname()[1]}"

        assert "listen.address: cannot listen on" in refused(tmp_path, settings)


def test_a_log_on_standard_output_alone_is_not_for_several(
    tmp_path: Path, settings: dict[str, Any]
) -> None:
    settings["decisionLog"] = {"stdout": True}

    assert "decisionLog: several workers need file" in refused(tmp_path, settings)


def test_a_mistake_is_told_once(tmp_path: Path, settings: dict[str, Any]) -> None:
    (tmp_path / "policy.yaml").write_text("kind: [unfinished\n")

    assert refused(tmp_path, settings).count("policy.yaml:2:1") == 1


def test_a_worker_that_cannot_start_is_not_tried_again(
    tmp_path: Path, settings: dict[str, Any]
) -> None:
    # An account that is refused is only known to who asks kube-apiserver.
    kubeconfig = yaml.safe_load(Path(settings["upstream"]["kubeconfig"]["file"]).read_text())
    kubeconfig["users"][0]["user"] = {"token": "spoilt"}
    (tmp_path / "spoilt").write_text(yaml.safe_dump(kubeconfig))
    settings["upstream"]["kubeconfig"]["file"] = "spoilt"

    said = refused(tmp_path, settings)
    assert "does not accept kzproxy's credential" in said
    assert "is started again" not in said


def test_the_copy_on_standard_output_holds_whole_lines_of_all(
    tmp_path: Path, settings: dict[str, Any]
) -> None:
    settings["decisionLog"]["stdout"] = True
    with running_proxy(tmp_path, settings, "--workers", "2") as proxy:
        asked = request("GET", CONFIGMAPS, "no-token")
        context = ssl.create_default_context(cafile=tmp_path / "ca.crt")
        for _ in range(20):
            with (
                socket.create_connection(("127.0.0.1", proxy.port), timeout=10) as sock,
                context.wrap_socket(sock, server_hostname="localhost") as tls,
            ):
                tls.sendall(asked)
                tls.recv(65536)
        proxy.stop()
        lines = [line for line in proxy.diagnostics.splitlines() if line.startswith("{")]

    copied = [json.loads(line) for line in lines]
    assert {record["worker"] for record in copied} == {"1", "2"}
    for number in ("1", "2"):
        seqs = [record["seq"] for record in copied if record["worker"] == number]
        assert seqs == list(range(1, len(seqs) + 1))
