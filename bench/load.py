"""Run the load generator by a plan, and read the proxy's CPU at both ends of its window."""

import json
import select
import subprocess
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bench.machine import pinned
from bench.process import line_of
from bench.programs import CannotRunError
from bench.world import SERVER_NAME, Identity

_LOOK_SECONDS = 0.5
# What kubectl sends with a get. Compression is left out: its cost is kube-apiserver's, not ours.
AS_TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
AS_OBJECTS = "application/json"
HEADERS = (
    ("User-Agent", "kubectl/v1.36.3 (linux/amd64) kubernetes/0000000"),
    ("Kubectl-Command", "kubectl get"),
    ("Kubectl-Session", "5a3f0a52-3c1c-4d2e-9a4e-2f1c0d9b8e7a"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """How a system is entered, and what its answers must show.

    Attributes:
        address: ``HOST:PORT``.
        authority: Who vouches for it; None for plain HTTP.
        credentials: Whether it is sent tokens.
        certificates: Whether it is shown device certificates.
        headers: Further ones.
        check_user: Whether the upstream must have seen the identity that asked.
    """

    address: str
    authority: Path | None
    credentials: bool = True
    certificates: bool = False
    headers: tuple[tuple[str, str], ...] = ()
    check_user: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is asked; the fields are the load generator's (bench/load/plan.go)."""

    mode: str
    targets: tuple[str, ...]
    connections: int = 1
    concurrency: int = 1
    rotate_tokens: bool = False
    seed: int = 0
    warmup: int = 0
    once: bool = False
    seconds: float = 0.0
    count: int = 0
    upload_bytes: int = 0
    check_target: bool = True
    accept: str = AS_TABLE


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What came of a plan.

    Attributes:
        answers: Right answers within the window; of watches, events.
        seconds: The window's length.
        refused: Answers before the system was ready, other than 200.
        bytes: Of bodies, within the window.
        latency: Quantiles in microseconds: ``p50_us``, ``p90_us``, ``p99_us``, ``max_us``.
        event_last_us: Of each event, when the last watch had it.
        cipher: What was agreed on with the system.
        all_answers: Right answers, the warm-up's included.
        all_audit_ids: How many of them carried an audit id.
        audit_sum: The sum of those ids' CRC-32.
    """

    answers: int
    refused: int
    seconds: float
    bytes: int
    latency: dict[str, float]
    event_last_us: tuple[float, ...]
    cipher: str
    all_answers: int
    all_audit_ids: int
    audit_sum: int

    @classmethod
    def parse(cls, text: str) -> "Report":
        """Read what the load generator wrote.

        Raises:
            CannotRunError: It is no report, or a request failed.
        """
        try:
            read: dict[str, Any] = json.loads(text)
        except ValueError as error:
            raise CannotRunError(f"the load generator said {text!r}") from error
        if read["failures"]:
            raise CannotRunError(f"{read['failures']} requests failed: {read['errors']}")
        return cls(
            answers=read["answers"],
            refused=read["refused"],
            seconds=read["seconds"],
            bytes=read["bytes"],
            latency=read.get("latency") or {},
            event_last_us=tuple(read.get("event_last_us") or ()),
            cipher=read["cipher"],
            all_answers=read["all_answers"],
            all_audit_ids=read["all_audit_ids"],
            audit_sum=int(read["audit_sum"]),
        )


@dataclass(slots=True, kw_only=True)
class Loader:
    """Starts load generators."""

    program: Path
    directory: Path
    core: int | None
    identities: tuple[Identity, ...]
    control: str = ""
    _plans: int = field(default=0, init=False)

    def begin(self, door: Door, plan: Plan) -> "Run":
        """Start one; it is ready, and waits for ``Run.go``."""
        self._plans += 1
        file = self.directory / f"plan-{self._plans}.json"
        document = {
            **asdict(plan),
            "address": door.address,
            "authority": "" if door.authority is None else str(door.authority),
            "server_name": SERVER_NAME,
            "headers": [*HEADERS, ("Accept", plan.accept), *door.headers],
            "credentials": door.credentials,
            "certificates": door.certificates,
            "check_user": door.check_user and plan.check_target,
            "identities": [asdict(each) for each in self.identities],
            "control": self.control,
        }
        file.touch(0o600)
        file.write_text(json.dumps(document, default=str))
        command = pinned(self.core, [str(self.program), "-plan", str(file)])
        return Run(command, file)

    def run(self, door: Door, plan: Plan, around: Callable[[], None] = lambda: None) -> Report:
        """Run one from start to end; ``around`` is called at both ends of the window."""
        with self.begin(door, plan) as run:
            around()
            report = run.go()
            around()
        return report


class Run:
    """One load generator, ready and waiting."""

    def __init__(self, command: list[str], plan: Path) -> None:
        self._plan = plan
        self._process = subprocess.Popen(  # noqa: S603 - a command of ours
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._wait_until_ready()

    def go(self, meanwhile: Callable[[], None] = lambda: None) -> Report:
        """Let the window begin, and return what came of it.

        ``meanwhile`` is called now and then; it may raise what ends the waiting.
        """
        self._say_go()
        while not self._has_spoken():
            meanwhile()
        return Report.parse(self._answer())

    def go_and_hold(self, between: Callable[[], None]) -> Report:
        """Do as ``go`` does; call ``between`` after the window, everything being open still."""
        self._say_go()
        self._wait_until_ready()
        between()
        self._say_go()
        return Report.parse(self._answer())

    def __enter__(self) -> "Run":
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.communicate()
        self._plan.unlink(missing_ok=True)

    def _say_go(self) -> None:
        if self._process.stdin is not None:
            self._process.stdin.write("go\n")
            self._process.stdin.flush()

    def _has_spoken(self) -> bool:
        if self._process.stdout is None:
            return True
        descriptor = self._process.stdout.fileno()
        return bool(select.select([descriptor], [], [], _LOOK_SECONDS)[0])

    def _wait_until_ready(self) -> None:
        if (line := line_of(self._process.stdout)) != "ready":
            _, errors = self._process.communicate()
            raise CannotRunError(f"the load generator said {line!r}: {errors.strip()}")

    def _answer(self) -> str:
        text = line_of(self._process.stdout)
        if not text:
            _, errors = self._process.communicate()
            raise CannotRunError(f"the load generator failed: {errors.strip()}")
        return text
