"""kubectl as a test calls it: one account, one namespace, one way of streaming."""

import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

from kzproxy.demo.control_plane import ControlPlane

TIMEOUT_SECONDS = 60.0

WEBSOCKET: Mapping[str, str] = {}
"""kubectl's first choice. Where the upgrade fails it falls back to SPDY without a word: only the
audit log tells (``get`` is WebSocket, ``create`` is SPDY)."""

SPDY: Mapping[str, str] = {
    "KUBECTL_REMOTE_COMMAND_WEBSOCKETS": "false",
    "KUBECTL_PORT_FORWARD_WEBSOCKETS": "false",
}
"""SPDY/3.1 alone, as kubectl before 1.30 speaks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kubectl:
    """Runs kubectl, without anything of the tester's own environment but PATH.

    Attributes:
        home: ``HOME`` and the discovery cache; kubectl writes below it.
        namespace: Used for every call; empty for the kubeconfig's own.
        extra: Further environment, such as ``SPDY``.
    """

    program: Path
    kubeconfig: Path
    home: Path
    namespace: str = ""
    extra: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, control_plane: ControlPlane) -> Self:
        """Return kubectl as the control plane's administrator."""
        return cls(
            program=control_plane.binaries.kubectl,
            kubeconfig=control_plane.admin_kubeconfig,
            home=control_plane.directory / "kubectl-home",
        )

    def using(self, **changes: Any) -> Self:
        """Return one like it, with other values."""
        return replace(self, **changes)

    def command(self, *arguments: str) -> list[str]:
        """Return the command line; a namespace among the arguments goes before ours."""
        namespace = [f"--namespace={self.namespace}"] if self.namespace else []
        return [str(self.program), *namespace, *arguments]

    def environment(self) -> dict[str, str]:
        """Return the whole environment that kubectl gets."""
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "KUBECACHEDIR": str(self.home / "cache"),
            "KUBECONFIG": str(self.kubeconfig),
            **self.extra,
        }

    def __call__(
        self, *arguments: str, stdin: bytes = b"", timeout: float = TIMEOUT_SECONDS
    ) -> "subprocess.CompletedProcess[bytes]":
        """Run to the end, whatever the exit code."""
        return subprocess.run(
            self.command(*arguments),
            input=stdin,
            env=self.environment(),
            capture_output=True,
            timeout=timeout,
            check=False,
        )

    def out(self, *arguments: str, stdin: bytes = b"", timeout: float = TIMEOUT_SECONDS) -> str:
        """Run to the end, insist that it went well, and return what it printed."""
        done = self(*arguments, stdin=stdin, timeout=timeout)
        assert done.returncode == 0, f"kubectl {' '.join(arguments)}: {describe(done)}"
        return done.stdout.decode()

    @contextmanager
    def running(self, *arguments: str) -> "Iterator[subprocess.Popen[bytes]]":
        """Run in the background, with pipes for all three streams; left, it is ended."""
        with subprocess.Popen(
            self.command(*arguments),
            env=self.environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as process:
            try:
                yield process
            finally:
                process.kill()


def until_printed(process: "subprocess.Popen[bytes]", mark: bytes) -> None:
    """Wait until what runs in the background has printed ``mark``."""
    assert process.stdout is not None
    seen = b""
    while mark not in seen:
        more = process.stdout.read1(4096)  # type: ignore[attr-defined]
        assert more, seen
        seen += more


def describe(done: "subprocess.CompletedProcess[bytes]") -> str:
    """Return an outcome in one line, for an assertion's message."""
    shown = f"exit code {done.returncode}; stderr {done.stderr[-2000:]!r}"
    return f"{shown}; stdout {done.stdout[-500:]!r}"
