"""The upstreams: the fixed one, whose cost is small and known, and the real kube-apiserver."""

import json
import time
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.machine import pinned
from bench.process import Process
from bench.programs import CannotRunError
from bench.world import World
from kzproxy.demo.kubeconfig_file import KubeconfigUser
from kzproxy.demo.loopback_ports import free_ports

_READY_SECONDS = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Upstream:
    """Where kube-apiserver is, and who one can be there.

    Attributes:
        token_file: The token of the account that may impersonate.
        kubeconfig: Of one who needs not impersonate: for kubectl proxy.
        client_certificate: The same one's, for kube-rbac-proxy; None where nobody is asked.
        client_key: Its key.
    """

    port: int
    authority: Path
    token_file: Path
    kubeconfig: Path
    client_certificate: Path | None = None
    client_key: Path | None = None

    @property
    def address(self) -> str:
        """``HOST:PORT``."""
        return f"127.0.0.1:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """What the fixed upstream has been asked, startup reviews aside.

    Attributes:
        impersonated: Requests with our credential and exactly one Impersonate-User.
        audit_sum: The sum of the CRC-32 of the audit ids.
    """

    requests: int
    impersonated: int
    audit_ids: int
    audit_sum: int
    bytes_received: int
    cipher_suite: str

    def since(self, before: "Counts") -> "Counts":
        """Return the difference."""
        return Counts(
            requests=self.requests - before.requests,
            impersonated=self.impersonated - before.impersonated,
            audit_ids=self.audit_ids - before.audit_ids,
            audit_sum=self.audit_sum - before.audit_sum,
            bytes_received=self.bytes_received - before.bytes_received,
            cipher_suite=self.cipher_suite,
        )

    @classmethod
    def sum_of(cls, parts: "Sequence[Counts]") -> "Counts":
        """Return the sum of ``parts``, of which there is one at least."""
        return cls(
            requests=sum(each.requests for each in parts),
            impersonated=sum(each.impersonated for each in parts),
            audit_ids=sum(each.audit_ids for each in parts),
            audit_sum=sum(each.audit_sum for each in parts),
            bytes_received=sum(each.bytes_received for each in parts),
            cipher_suite=parts[-1].cipher_suite,
        )


class FixedUpstream:
    """Runs bench/upstream from its making until ``stop``."""

    def __init__(self, program: Path, world: World, core: int | None) -> None:
        """Start it.

        Raises:
            CannotRunError: It does not come up.
        """
        port, control = free_ports(2)
        self.control = f"127.0.0.1:{control}"
        token_file = world.directory / "upstream.token"
        self.upstream = Upstream(
            port=port,
            authority=world.authority,
            token_file=token_file,
            kubeconfig=_kubeconfig(world, port),
        )
        command = [str(program), "-listen", self.upstream.address, "-control", self.control]
        command += ["-certificate", str(world.directory / "upstream.crt")]
        command += ["-key", str(world.directory / "upstream.key")]
        command += ["-token-file", str(token_file)]
        self._process = Process(pinned(core, command), world.directory / "upstream.log")
        self._wait_until_ready()

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def counts(self) -> Counts:
        """Ask what it has been asked so far."""
        url = f"http://{self.control}/counts"
        with urllib.request.urlopen(url, timeout=5) as answer:
            read = json.load(answer)
        return Counts(
            requests=read["requests"],
            impersonated=read["impersonated"],
            audit_ids=read["audit_ids"],
            audit_sum=int(read["audit_sum"]),
            bytes_received=read["bytes_received"],
            cipher_suite=read["cipher_suite"],
        )

    def stop(self) -> None:
        """End it."""
        self._process.stop()

    def _wait_until_ready(self) -> None:
        for _ in range(int(_READY_SECONDS / 0.05)):
            self._process.check()
            try:
                self.counts()
            except OSError:
                time.sleep(0.05)
            else:
                return
        raise CannotRunError(f"the upstream is not ready: {self._process.last_words()}")


def _kubeconfig(world: World, port: int) -> Path:
    file = world.directory / "upstream.kubeconfig"
    KubeconfigUser(
        name="bench",
        server=f"https://127.0.0.1:{port}",
        certificate_authority=world.authority,
        user={"token": world.upstream_token},
    ).write(file)
    return file
