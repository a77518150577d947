"""A real ``kzproxy serve`` as its own process."""

import contextlib
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from kzproxy.demo.loopback_ports import free_ports
from tests.proxy.json_lines import json_lines

_READY_SECONDS = 60.0


class ProxyProcess:
    """kzproxy while it runs.

    Attributes:
        port: The API listener's.
        ops_port: The operators' listener's.
        directory: Holds its configuration and its logs.
        program: What is started.
    """

    program: Sequence[str] = (sys.executable, "-m", "kzproxy")

    def __init__(self, directory: Path, configuration: dict[str, Any], *arguments: str) -> None:
        self.directory = directory
        self._arguments = arguments
        self.port, self.ops_port = free_ports(2)
        configuration["listen"]["address"] = f"127.0.0.1:{self.port}"
        configuration["ops"] = {"address": f"127.0.0.1:{self.ops_port}"}
        self._file = directory / "kzproxy.yaml"
        self._file.write_text(yaml.safe_dump(configuration))
        self._log = directory / "diagnostic.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        self.launch()
        self.wait_until_ready()

    def launch(self, stdout: int | None = None, stderr: int | None = None) -> None:
        """Start it without waiting until it is ready; its output may go somewhere else."""
        command = [*self.program, "serve", "--config", str(self._file), *self._arguments]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                command,
                stdout=log if stdout is None else stdout,
                stderr=log if stderr is None else stderr,
                stdin=subprocess.DEVNULL,
                env=os.environ.copy(),
            )

    def wait_until_ready(self) -> None:
        process = self._process
        assert process is not None
        deadline = time.monotonic() + _READY_SECONDS
        while time.monotonic() < deadline:
            assert process.poll() is None, self.diagnostics
            with contextlib.suppress(OSError, urllib.error.HTTPError):
                if self.ops("/readyz")[0] == 200:
                    return
            time.sleep(0.05)
        raise AssertionError(f"not ready: {self.diagnostics}")

    def ops(self, path: str) -> tuple[int, str]:
        """Ask the operators' listener."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.ops_port}{path}", timeout=5) as r:
                return r.status, r.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    @property
    def diagnostics(self) -> str:
        return self._log.read_text()

    @property
    def decision_log(self) -> Path:
        return self.directory / "decisions.jsonl"

    def records(self) -> list[dict[str, Any]]:
        """Return every record of the decision log."""
        return json_lines(self.decision_log)

    def records_of(self, audit_id: str) -> list[dict[str, Any]]:
        return [record for record in self.records() if record.get("audit_id") == audit_id]

    def decisions_of(self, user: str) -> list[dict[str, Any]]:
        """Return what was decided for a user, by the name that kube-apiserver is told."""
        return [
            record
            for record in self.records()
            if record["kind"] == "decision" and record.get("user", {}).get("name") == user
        ]

    def finished(self, audit_id: str) -> list[dict[str, Any]]:
        """Return a permitted request's two records; the second follows the answer shortly."""
        deadline = time.monotonic() + 10
        while len(records := self.records_of(audit_id)) < 2:
            assert time.monotonic() < deadline, records
            time.sleep(0.02)
        return records

    def signal(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def wait(self, seconds: float = 30.0) -> int:
        """Wait for its end and return its exit code."""
        assert self._process is not None
        return self._process.wait(seconds)

    def stop(self) -> None:
        if self._process is None or self._process.poll() is not None:
            return
        self._process.terminate()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


@contextlib.contextmanager
def running_proxy(
    directory: Path, configuration: dict[str, Any], *arguments: str
) -> Iterator[ProxyProcess]:
    """Run kzproxy until the block ends; ``arguments`` are further ones of ``kzproxy serve``."""
    proxy = ProxyProcess(directory, configuration, *arguments)
    try:
        proxy.start()
        yield proxy
    finally:
        proxy.stop()
