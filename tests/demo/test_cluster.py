"""Another cluster is used as its kubeconfig says, or refused."""

import base64
import json
from pathlib import Path

import pytest

from kzproxy.demo.cluster import OtherCluster, _authority, _only_cluster, other_cluster
from kzproxy.demo.directory import DemoDirectory
from kzproxy.demo.failure import DemoFailure

NAMED = OtherCluster(kubeconfig=Path("/some/kubeconfig"), context="theirs")


def view(**cluster):
    return json.dumps({"clusters": [{"name": "theirs", "cluster": cluster}]})


def test_its_server_and_authority_are_read():
    pem = "-----BEGIN CERTIFICATE-----"
    data = base64.b64encode(pem.encode()).decode()
    entry = _only_cluster(
        view(**{"server": "https://x", "certificate-authority-data": data}), NAMED
    )
    assert entry["server"] == "https://x"
    assert _authority(entry) == pem
    assert _authority({"server": "https://x"}) == ""


@pytest.mark.parametrize("field", ["insecure-skip-tls-verify", "proxy-url", "tls-server-name"])
def test_what_kzproxy_would_not_honour_is_refused(field):
    with pytest.raises(DemoFailure, match=field):
        _only_cluster(view(server="https://x", **{field: "y"}), NAMED)


def test_a_context_that_is_not_there_is_named():
    with pytest.raises(DemoFailure, match="no context 'theirs'"):
        _only_cluster("{}", NAMED)


def test_a_damaged_authority_is_refused():
    with pytest.raises(DemoFailure, match="damaged"):
        _authority({"certificate-authority-data": "é"})


async def test_a_kubeconfig_that_is_not_there_is_named(tmp_path):
    named = OtherCluster(kubeconfig=tmp_path / "nothing", context="x")
    with pytest.raises(DemoFailure, match="nothing is not a file"):
        await other_cluster(named, DemoDirectory(tmp_path))
