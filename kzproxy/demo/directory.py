"""The demo's directory: what is where in it, and who may use it at a time."""

import fcntl
import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from kzproxy.demo.failure import DemoFailure
from kzproxy.demo.private_file import write_private_file

_OTHERS = 0o077
_ATTEMPTS = 4
_ATTEMPT_SECONDS = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningDemo:
    """What a further ``kzproxy demo`` needs to know of the one that runs.

    Attributes:
        pid: Of the process that keeps it running.
        kubectl: The kubectl that goes with its cluster.
        cluster: Which cluster it is in front of: see ``cluster_name``.
    """

    pid: int
    kubectl: str
    cluster: str


class AlreadyRuns(DemoFailure):
    """Another process runs the demo in this directory."""


class DemoDirectory:
    """Names the files; makes the directory, for its owner alone."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.ca = root / "ca.crt"
        self.tls_certificate = root / "tls.crt"
        self.tls_key = root / "tls.key"
        self.device_ca = root / "device-ca.crt"
        self.device_certificate = root / "device.crt"
        self.device_key = root / "device.key"
        self.upstream_ca = root / "upstream-ca.crt"
        self.upstream_token = root / "upstream.token"
        self.configuration = root / "kzproxy.yaml"
        self.authentication = root / "authentication.yaml"
        self.policy = root / "policy.yaml"
        self.decisions = root / "decisions.jsonl"
        self.proxy_log = root / "kzproxy.log"
        self.kubeconfig = root / "kubeconfig"
        self.control_plane = root / "control-plane"
        self._owner_lock = root / "owner.lock"
        self._user_lock = root / "users.lock"
        self._running = root / "running.json"

    def scripted_kubeconfig(self, user: str) -> Path:
        """Return the kubeconfig whose sign-in needs no browser: ``--as USER``."""
        return self.root / f"kubeconfig-as-{user}"

    def cache(self, name: str) -> Path:
        """Return where one context keeps its sign-in."""
        return self.root / "cache" / name

    def prepare(self) -> None:
        """Make the directory where it is missing.

        Raises:
            DemoFailure: It cannot be made, or is not this user's alone: private keys go into it.
        """
        try:
            self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
            status = self.root.stat()
        except OSError as error:
            raise DemoFailure(f"{self.root} cannot be used: {error.strerror}") from error
        if status.st_uid != os.getuid() or status.st_mode & _OTHERS:
            raise DemoFailure(
                f"{self.root} is open to others, and private keys go into it; run"
                f" `chmod 700 {self.root}`, or name another directory with --dir"
            )

    @contextmanager
    def owned(self) -> Iterator[None]:
        """Be the one process that runs the demo here.

        Raises:
            AlreadyRuns: Another one is.
        """
        with self._owner_lock.open("a+") as lock:
            if not _locked_soon(lock.fileno()):
                raise AlreadyRuns(
                    f"a demo already runs in {self.root}{self._owner_pid()}; stop it, or name"
                    " another directory with --dir"
                )
            lock.truncate(0)
            lock.write(f"{os.getpid()}\n")
            lock.flush()
            # Left by one that was killed.
            self.withdraw()
            try:
                yield
            finally:
                self.withdraw()
                lock.truncate(0)

    @contextmanager
    def used(self) -> Iterator[RunningDemo | None]:
        """Keep the demo that runs here from ending by itself; None where none is ready.

        One in the foreground still ends when it is told to.
        """
        with self._user_lock.open("a+") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH)
            yield self._announced() if self._is_owned() else None

    def announce(self, running: RunningDemo) -> None:
        """Let further commands use the demo."""
        write_private_file(self._running, json.dumps(asdict(running)).encode())

    def withdraw(self) -> None:
        """Let no further command use the demo."""
        self._running.unlink(missing_ok=True)

    def withdraw_unless_used(self) -> bool:
        """Withdraw and return True, unless a command uses the demo just now."""
        with self._user_lock.open("a+") as lock:
            if not _locked_at_once(lock.fileno(), fcntl.LOCK_EX):
                return False
            self.withdraw()
            return True

    def _is_owned(self) -> bool:
        with self._owner_lock.open("a+") as lock:
            return not _locked_at_once(lock.fileno(), fcntl.LOCK_EX)

    def _announced(self) -> RunningDemo | None:
        with suppress(FileNotFoundError, ValueError, TypeError, KeyError):
            found = json.loads(self._running.read_bytes())
            return RunningDemo(
                pid=int(found["pid"]), kubectl=str(found["kubectl"]), cluster=str(found["cluster"])
            )
        return None

    def _owner_pid(self) -> str:
        with suppress(OSError, ValueError):
            return f" (pid {int(self._owner_lock.read_text())})"
        return ""


def default_directory(environment: Mapping[str, str]) -> Path:
    """Return where the demo lives where ``--dir`` names nothing (XDG Base Directory).

    Raises:
        DemoFailure: Nothing says where.
    """
    base = environment.get("XDG_STATE_HOME", "")
    # A relative path is to be ignored, says the specification.
    home = Path(base) if base.startswith("/") else _home() / ".local" / "state"
    return home / "kzproxy" / "demo"


def _home() -> Path:
    try:
        return Path.home()
    except RuntimeError:
        raise DemoFailure(
            "you have no home directory; set HOME, or name a place by --dir"
        ) from None


def _locked_soon(descriptor: int) -> bool:
    """Lock it, past those who hold it for a moment to see whether somebody does."""
    for _ in range(_ATTEMPTS):
        if _locked_at_once(descriptor, fcntl.LOCK_EX):
            return True
        time.sleep(_ATTEMPT_SECONDS)
    return False


def _locked_at_once(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
