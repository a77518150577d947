"""What the matrix is played on: the real cluster, one kzproxy, victims and their neighbours."""

import contextlib
import json
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

from kzproxy.demo.control_plane import ControlPlane
from kzproxy.demo.kubeconfig_file import KubeconfigUser
from tests.cluster.kubectl import Kubectl
from tests.cluster.pods import apply, pod
from tests.matrix.sign_in import SignedIn, SignInPlace, sign_in
from tests.matrix.streams import (
    FLOOD,
    POD,
    PORTS_FILE,
    TICK_SECONDS,
    UNREAD,
    Account,
    Kind,
    Ports,
    Stream,
    open_stream,
    open_unread,
)
from tests.proxy.raw_client import Answer
from tests.proxy.world import PREFIX, World, request

# Sends a line to each connection of one port all the time, and all that the other's take; says on
# which ports.
_SERVE = f"""
import pathlib, socketserver, threading, time
class Ticks(socketserver.BaseRequestHandler):
    def handle(self):
        while True:
            self.request.sendall(b"tick\\n")
            time.sleep({TICK_SECONDS})
class Flood(socketserver.BaseRequestHandler):
    def handle(self):
        while True:
            self.request.sendall(b"x" * 50000)
class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
servers = [Server(("127.0.0.1", 0), handler) for handler in (Ticks, Flood)]
ports = " ".join(str(server.server_address[1]) for server in servers)
pathlib.Path("{PORTS_FILE}").write_text(ports)
threading.Thread(target=servers[1].serve_forever).start()
servers[0].serve_forever()
"""
_TICK = f"while sleep {TICK_SECONDS}; do echo tick; done"
_FLOOD = "while sleep 0.2; do head -c 50000 /dev/zero | tr '\\0' x; echo; done"
_BULK_BYTES = 200_000
_BULK_EVERY = 5
_EVERYTHING = [
    {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]},
    {"verbs": ["*"], "nonResourceURLs": ["*"]},
]


def start_pod(kubectl: Kubectl) -> Ports:
    """Make the pod that all streams are with; return the ports that it serves."""

    def container(name: str, *command: str) -> dict[str, Any]:
        return {"name": name, "image": "none.invalid/none", "command": list(command)}

    server = container("server", sys.executable, "-c", _SERVE)
    ticker, flood = container("ticker", "sh", "-c", _TICK), container(FLOOD, "sh", "-c", _FLOOD)
    apply(kubectl, pod(POD, server, ticker, flood))
    kubectl.out("wait", "--for=condition=Ready", f"pod/{POD}", "--timeout=30s")
    read = ["exec", POD, "--container=server", "--", "cat", PORTS_FILE]
    deadline = time.monotonic() + 20
    while len(ports := kubectl(*read).stdout.decode().split()) < 2:
        assert time.monotonic() < deadline
    return Ports(ticks=ports[0], flood=ports[1])


@contextmanager
def feeding(api: httpx.Client, namespace: str) -> Iterator[None]:
    """Change ConfigMaps all the time, so that watches have something to tell.

    One is large: what is sent to a client that does not read fills every buffer on the way.
    """
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    for name in ("ticks", "bulk"):
        api.post(path, json={"metadata": {"name": name}}).raise_for_status()
    over = threading.Event()
    merge = {"Content-Type": "application/merge-patch+json"}

    def feed() -> None:
        count = 0
        while not over.wait(TICK_SECONDS):
            count += 1
            body = json.dumps({"data": {"count": str(count)}})
            with contextlib.suppress(httpx.TimeoutException):  # The next one comes soon.
                api.patch(f"{path}/ticks", content=body, headers=merge)
                if count % _BULK_EVERY == 0:
                    body = json.dumps({"data": {"bulk": f"{count:0{_BULK_BYTES}}"}})
                    api.patch(f"{path}/bulk", content=body, headers=merge)

    thread = threading.Thread(target=feed)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def everything(rule: str, group: str, **more: object) -> dict[str, Any]:
    """Return a rule that permits a group of the tests everything."""
    subjects = {"groups": [f"{PREFIX}{group}"]}
    return {"id": rule, "effect": "allow", "subjects": subjects, "match": _EVERYTHING, **more}


@dataclass
class Stage:
    """Everything that a fact needs to be turned.

    Attributes:
        world: kzproxy and what is around it.
        control_plane: The cluster.
        namespace: That the pod is in.
        ports: That the pod serves.
        place: Where people sign in.
        neighbours: Streams of somebody whom nothing here is about.
    """

    world: World
    control_plane: ControlPlane
    namespace: str
    ports: Ports
    place: SignInPlace
    neighbours: dict[Kind, Stream] = field(default_factory=dict)

    def account(
        self,
        name: str,
        token: str,
        certificate: tuple[Path, Path] | None = None,
    ) -> Account:
        """Make an account that comes with ``token``, and a certificate where one is given."""
        world = self.world
        user: dict[str, object] = {"token": token}
        if certificate is not None:
            user |= {"client-certificate": str(certificate[0]), "client-key": str(certificate[1])}
        file = world.directory / f"{name}.kubeconfig"
        KubeconfigUser(
            name=name,
            server=f"https://localhost:{world.proxy.port}",
            certificate_authority=world.authority_file,
            user=user,
        ).write(file)
        kubectl = Kubectl.of(self.control_plane)
        return Account(
            kubectl=kubectl.using(kubeconfig=file, namespace=self.namespace),
            port=world.proxy.port,
            token=token,
            authority=world.authority_file,
            certificate=certificate,
        )

    def direct(self, name: str, group: str, seconds: float = 3600, **claims: object) -> Account:
        """Make an account with a token of the issuer's own."""
        return self.account(name, self.world.token(name, group, seconds=seconds, **claims))

    def signed_in(self, name: str, signed: SignedIn | None = None) -> Account:
        """Make an account of somebody who has a session."""
        signed = signed or sign_in(self.place, name, self.world.directory)
        account = self.account(name, signed.token, signed.files)
        return replace(account, signed_in=signed)

    def asked(self, method: str, target: str, *, body: object = None) -> Answer:
        """Ask kzproxy as an administrator, who comes with the issuer's own token."""
        content = b"" if body is None else json.dumps(body).encode()
        lines = ("Content-Type: application/json",) if content else ()
        token = self.world.token("administrator", "testers")
        with self.world.client() as client:
            return client.ask(request(method, target, token, *lines, body=content))

    def open(self, account: Account) -> dict[Kind, Stream]:
        """Open a stream of each kind, and return once something has come over each."""
        streams = {kind: open_stream(kind, account, self.ports) for kind in Kind}
        for stream in streams.values():
            stream.wait_until_begun()
        return streams

    def open_unread(self, account: Account) -> list[Stream]:
        """Open streams whose clients do not read."""
        return [open_unread(kind, account, self.ports) for kind in UNREAD]

    def policy(self) -> dict[str, Any]:
        """Return the policy as it stands in the file; JSON is YAML too."""
        return dict(json.loads((self.world.directory / "policy.yaml").read_text()))

    def put_policy(self, policy: dict[str, Any]) -> None:
        """Put another policy in place, in one step."""
        written = self.world.directory / "policy.new"
        written.write_text(json.dumps(policy))
        written.rename(self.world.directory / "policy.yaml")


def next_minute(least: timedelta) -> datetime:
    """Return the beginning of a minute that is at least so far away."""
    moment = datetime.now(UTC) + least
    return moment.replace(second=0, microsecond=0) + timedelta(minutes=1)
