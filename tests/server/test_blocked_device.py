"""What kubectl sees when the device that it runs on is blocked: on the real control plane."""

import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from kzproxy.demo.kubeconfig_file import KubeconfigUser
from tests.cluster.kubectl import Kubectl, until_printed
from tests.cluster.namespaces import fresh_namespace
from tests.proxy.fixtures import Real
from tests.proxy.issuer_thread import issuer_in_thread
from tests.proxy.process import running_proxy
from tests.proxy.world import World, configuration
from tests.server.test_devices import DEVICES, ask, enrolled, with_devices
from tests.servers.authority import Authority

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def enrolling(
    real: Real, upstream_kubeconfig: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Real]:
    directory = tmp_path_factory.mktemp("blocked")
    authority = Authority.root()
    with issuer_in_thread(directory, authority) as issuer:
        upstream = {"kubeconfig": {"file": str(upstream_kubeconfig)}}
        settings = configuration(directory, authority, issuer, upstream)
        with running_proxy(directory, with_devices(settings, directory, authority)) as proxy:
            world = World(directory, authority, issuer, proxy)
            yield Real(world, real.audit_log, real.control_plane)


def on_device(real: Real, device_id: str, user: str, namespace: str) -> Kubectl:
    """Return kubectl as a user on an enrolled device."""
    world = real.world
    certificate, key = enrolled(world, device_id, user)
    file = world.directory / f"{user}.kubeconfig"
    KubeconfigUser(
        name=user,
        server=f"https://localhost:{world.proxy.port}",
        certificate_authority=world.authority_file,
        user={
            "token": world.token(user, "testers"),
            "client-certificate": str(certificate),
            "client-key": str(key),
        },
    ).write(file)
    return Kubectl.of(real.control_plane).using(kubeconfig=file, namespace=namespace)


def test_kubectl_on_a_blocked_device_ends_and_says_why(
    enrolling: Real, administrator: httpx.Client
) -> None:
    world = enrolling.world
    with fresh_namespace(administrator, "blocked") as namespace:
        mine = on_device(enrolling, "b1", "mia", namespace)
        other = on_device(enrolling, "b2", "noa", namespace)
        watch = ("get", "configmaps", "--watch")
        with mine.running(*watch) as cut, other.running(*watch) as neighbour:
            until_watched(world, "t:mia")
            until_watched(world, "t:noa")
            seen = {"metadata": {"name": "seen"}}
            administrator.post(f"/api/v1/namespaces/{namespace}/configmaps", json=seen)
            until_printed(cut, b"seen")
            until_printed(neighbour, b"seen")
            blocked = ask(world, "POST", f"{DEVICES}/b1/block", body={"reason": "stolen"})
            assert blocked.status == 200
            said = b"".join(cut.communicate(timeout=20))
            assert neighbour.poll() is None
        # What kubectl makes of it: a row of its table that says why, and exit code 0.
        assert b"was blocked by t:root: stolen" in said
        assert cut.returncode == 0
        again = mine("get", "pods")
        assert again.returncode == 1
        assert b"was blocked by t:root: stolen" in again.stderr
        # Not even what is answered here, under no lease.
        own = mine("get", "--raw", "/kzproxy.dev/v1/session")
        assert own.returncode == 1
        assert b"was blocked by t:root: stolen" in own.stderr


def until_watched(world: World, user: str) -> None:
    """Wait until a user's watch is permitted."""
    deadline = time.monotonic() + 20
    while not any(
        record["request"].get("stream") == "watch" for record in world.proxy.decisions_of(user)
    ):
        assert time.monotonic() < deadline
        time.sleep(0.05)
