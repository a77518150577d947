"""The real kube-apiserver as upstream: a control plane with 5,000 objects in it."""

import json
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from bench.ledger import MismatchError
from bench.policy import PREFIX
from bench.programs import say
from bench.upstreams import Upstream
from kzproxy.clock.system import Clock
from kzproxy.demo.control_plane import ControlPlane, find_binaries

OBJECTS = 5000
LIST_TARGET = "/api/v1/namespaces/apps-0/configmaps"
# Together about 7 MB of JSON.
_PADDING = "0123456789abcdef" * 60
_RIGHTS = Path(__file__).parents[1] / "deploy" / "rbac" / "constrained"
_AUDIT_SECONDS = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiServer:
    """A running control plane, filled."""

    upstream: Upstream
    kubectl: Path
    audit_log: Path

    def check_audited(self, permits: Iterable[str]) -> None:
        """Compare the decision log's permits with kube-apiserver's own audit log.

        Raises:
            MismatchError: A permit is not there exactly once.
        """
        wanted = set(permits)
        deadline = time.perf_counter() + _AUDIT_SECONDS
        while (counts := self._audited(wanted)) != dict.fromkeys(wanted, 1):
            if time.perf_counter() > deadline:
                missing = len(wanted) - len(counts)
                raise MismatchError(
                    f"kube-apiserver's audit log lacks {missing} permits, or has some of them twice"
                )
            time.sleep(0.2)

    def _audited(self, wanted: set[str]) -> dict[str, int]:
        counts: dict[str, int] = {}
        with self.audit_log.open("rb") as log:
            for line in log:
                if b'"stage":"ResponseComplete"' not in line or not line.endswith(b"\n"):
                    continue
                audit_id = json.loads(line)["auditID"]
                if audit_id in wanted:
                    counts[audit_id] = counts.get(audit_id, 0) + 1
        return counts


@contextmanager
def api_server(directory: Path, clock: Clock) -> Iterator[ApiServer]:
    """Run a control plane until the block ends."""
    say("starting the real control plane")
    control_plane = ControlPlane(find_binaries(), directory / "control-plane", clock=clock)
    with control_plane:
        account = control_plane.upstream_account
        account.create([_RIGHTS])
        token_file = directory / "account.token"
        token_file.touch(0o600)
        token_file.write_text(account.token())
        with control_plane.administrator() as administrator:
            _grant(administrator)
            _fill(administrator)
        admin = json.loads(control_plane.admin_kubeconfig.read_text())["users"][0]["user"]
        yield ApiServer(
            upstream=Upstream(
                port=urlsplit(control_plane.server).port or 443,
                authority=control_plane.certificate_authority,
                token_file=token_file,
                kubeconfig=control_plane.admin_kubeconfig,
                client_certificate=Path(admin["client-certificate"]),
                client_key=Path(admin["client-key"]),
            ),
            kubectl=control_plane.binaries.kubectl,
            audit_log=control_plane.audit_log,
        )


def _grant(administrator: httpx.Client) -> None:
    """Let the benchmark's people read everything, by their names: nginx sends no groups."""
    group = "rbac.authorization.k8s.io"
    subjects = [
        {"kind": "Group", "apiGroup": group, "name": f"{PREFIX}engineers"},
        {"kind": "User", "apiGroup": group, "name": f"{PREFIX}user-0000"},
    ]
    binding = {
        "apiVersion": f"{group}/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": "bench"},
        "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": "view"},
        "subjects": subjects,
    }
    _create(administrator, f"/apis/{group}/v1/clusterrolebindings", binding)


def _fill(administrator: httpx.Client) -> None:
    say(f"making {OBJECTS} objects")
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "apps-0"}}
    _create(administrator, "/api/v1/namespaces", namespace)
    for number in range(OBJECTS):
        name = f"settings-{number:05}"
        config_map = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": name, "labels": {"app": f"web-{number % 50}"}},
            "data": {"settings": _PADDING},
        }
        _create(administrator, LIST_TARGET, config_map)


def _create(administrator: httpx.Client, target: str, body: object) -> None:
    administrator.post(target, json=body).raise_for_status()
