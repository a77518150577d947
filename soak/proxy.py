"""kzproxy with two workers, its files, and a look at it from outside."""

import json
import os
import re
import signal
import sys
from pathlib import Path

import httpx

from bench.process import Process
from bench.systems.kzproxy import authentication
from kzproxy.demo.certificates import CertificateAndKey
from kzproxy.demo.loopback_ports import free_ports
from soak.growth import Held
from soak.policy import policy
from soak.stage import PROBES, Stage

WORKERS = 2
_SCRAPE_SECONDS = 5.0
_READY = 200


class Proxy:
    """One kzproxy; started by its making, ended by ``stop``."""

    def __init__(self, stage: Stage) -> None:
        """Write its files and start it; it may not be ready yet."""
        self._directory = stage.directory / "kzproxy"
        self._directory.mkdir()
        self.port, self._ops_port = free_ports(2)
        self._device_authority = (stage.world.directory / "device-ca.crt").read_bytes()
        self.put_serving_certificate(stage.serving_certificate())
        self.put_device_authorities()
        self.put_policy(policy(PROBES[1]))
        self._put("authentication.yaml", json.dumps(authentication(stage.world)).encode())
        self._put("kzproxy.yaml", json.dumps(self._configuration(stage), indent=1).encode())
        self.log = self._directory / "kzproxy.log"
        self._process = Process(
            [
                *(sys.executable, "-m", "kzproxy", "serve"),
                *("--config", str(self._directory / "kzproxy.yaml")),
                *("--workers", str(WORKERS)),
            ],
            self.log,
        )

    @property
    def supervisor(self) -> int:
        """The supervisor's process id."""
        return self._process.pid

    def workers(self) -> dict[int, int]:
        """Return the process id of each worker by its number."""
        found = {}
        children = Path(f"/proc/{self.supervisor}/task/{self.supervisor}/children")
        for pid in map(int, children.read_text().split()):
            try:
                words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
            except OSError:
                continue
            if "--worker" in words:
                found[int(words[words.index("--worker") + 1])] = pid
        return found

    def held(self) -> dict[str, Held]:
        """Return what the supervisor and each worker hold now."""
        found = {"supervisor": Held.by(self.supervisor)}
        for number, pid in sorted(self.workers().items()):
            try:
                found[f"worker {number}"] = Held.by(pid)
            except OSError:
                continue
        return found

    def check(self) -> None:
        """Do nothing while it runs; raises `CannotRunError` where it has ended."""
        self._process.check()

    async def is_ready(self) -> bool:
        """Whether both workers are there and ready."""
        status, _ = await self._ops("/readyz")
        return status == _READY and len(self.workers()) == WORKERS

    async def readiness(self) -> str:
        """Return what it says of its readiness."""
        return (await self._ops("/readyz"))[1]

    async def metrics(self) -> dict[str, float]:
        """Return each metric summed over its labels."""
        totals: dict[str, float] = {}
        _, text = await self._ops("/metrics")
        for name, value in re.findall(r"^(kzproxy_\w+)(?:\{.*\})? (\S+)$", text, re.MULTILINE):
            totals[name] = totals.get(name, 0.0) + float(value)
        return totals

    def decision_logs(self) -> dict[int, list[Path]]:
        """Return the files of each worker, oldest first."""
        found: dict[int, list[Path]] = {}
        for number in range(1, WORKERS + 1):
            current = self._directory / f"decisions.{number}.jsonl"
            aside = sorted(set(self._directory.glob(f"decisions.{number}*.jsonl*")) - {current})
            found[number] = [*aside, current]
        return found

    def kill(self, number: int) -> None:
        """End a worker as the kernel would for want of memory."""
        os.kill(self.workers()[number], signal.SIGKILL)

    def hang_up(self) -> None:
        """Ask it to read everything again."""
        os.kill(self.supervisor, signal.SIGHUP)

    def stop(self) -> None:
        """End it in order. Safe to repeat."""
        self._process.stop()

    def put_policy(self, text: str) -> None:
        """Put a policy in place of the one before."""
        self._put("policy.yaml", text.encode())

    def put_serving_certificate(self, pair: CertificateAndKey) -> None:
        """Put a certificate and its key, in one file, in place of those before."""
        self._put("serving.pem", pair.private_key_pem + pair.certificate_pem)

    def put_device_authorities(self, *further: bytes) -> None:
        """Put the users' device authority, and others beside it, in place of those before."""
        self._put("devices.crt", b"".join((self._device_authority, *further)))

    def _put(self, name: str, content: bytes) -> None:
        new = self._directory / f".{name}.new"
        new.touch(0o600)
        new.write_bytes(content)
        new.rename(self._directory / name)

    async def _ops(self, path: str) -> tuple[int, str]:
        url = f"http://127.0.0.1:{self._ops_port}"
        async with httpx.AsyncClient(
            base_url=url, trust_env=False, timeout=_SCRAPE_SECONDS
        ) as client:
            try:
                answer = await client.get(path)
            except httpx.TransportError as error:
                return 0, str(error)
        return answer.status_code, answer.text

    def _configuration(self, stage: Stage) -> dict[str, object]:
        server = {
            "url": stage.control_plane.server,
            "certificateAuthorityFile": str(stage.control_plane.certificate_authority),
            "tokenFile": str(stage.upstream_token),
        }
        return {
            "apiVersion": "kzproxy.dev/v1",
            "kind": "ProxyConfiguration",
            "listen": {
                "address": f"127.0.0.1:{self.port}",
                # One file for both, so that no reload finds a certificate beside another's key.
                "certificateFile": "serving.pem",
                "privateKeyFile": "serving.pem",
            },
            "devices": {"certificateAuthorityFile": "devices.crt"},
            "ops": {"address": f"127.0.0.1:{self._ops_port}"},
            "upstream": {"server": server},
            "authenticationFile": "authentication.yaml",
            "policyFiles": ["policy.yaml"],
            "decisionLog": {"file": "decisions.jsonl"},
            "drainTimeoutSeconds": 5,
        }
