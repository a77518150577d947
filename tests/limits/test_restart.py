"""The real kube-apiserver crashes under kzproxy and comes back."""

import httpx
import pytest

from kzproxy.demo.control_plane import ControlPlane
from tests.cluster.namespaces import fresh_namespace
from tests.limits.told import ended, is_broken_off, told
from tests.proxy.fixtures import Real
from tests.proxy.world import request

pytestmark = pytest.mark.cluster

CONFIGMAPS = "/api/v1/namespaces/default/configmaps"


def crash(control_plane: ControlPlane) -> None:
    process = control_plane.components["kube-apiserver"]._process
    assert process is not None
    process.kill()
    process.wait()


def restart(control_plane: ControlPlane) -> None:
    """Start the API server again, at the same port and on the same data."""
    server = control_plane.components["kube-apiserver"]
    server.start(control_plane._launcher)
    with control_plane.administrator() as api:
        api.timeout = httpx.Timeout(60)

        def ready() -> bool:
            try:
                return api.get("/readyz").is_success
            except httpx.TransportError:
                return False

        server.wait_until(ready)
        # Also for whoever speaks to it here: they may be a while in coming back.
        with fresh_namespace(api, seconds=120):
            pass


def test_a_crash_is_told_and_costs_nobody_his_connection(real: Real) -> None:
    world = real.world
    token = world.token("resi", "testers")
    read = request("GET", f"{CONFIGMAPS}?limit=1", token)
    write = request("DELETE", f"{CONFIGMAPS}/none", token)
    with world.client() as watching, world.client() as client:
        assert client.ask(read).status == 200
        watching.send(request("GET", f"{CONFIGMAPS}?watch=1", token))
        status, headers = watching.head()
        assert status == 200
        crash(real.control_plane)
        try:
            assert is_broken_off(watching)
            refused = [client.ask(read), client.ask(write)]
        finally:
            restart(real.control_plane)
        again = client.ask(read)

    for answer in refused:
        assert told(answer) == (503, "ServiceUnavailable", "1")
        assert "nothing was done" in answer.message
        assert ended(world.proxy, answer.audit_id) == ("upstream-refused", 503)
    assert again.status == 200
    assert ended(world.proxy, headers["audit-id"][0]) == ("upstream-reset", 200)
    for component in real.control_plane.components.values():
        component.wait_until(lambda: True)  # raises where it has ended
