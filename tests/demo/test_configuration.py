"""What the demo writes is what ``kzproxy serve`` accepts."""

import pytest

from kzproxy.config.proxy import load_proxy_settings
from kzproxy.demo.configuration import Endpoints, write_configuration
from kzproxy.demo.directory import DemoDirectory
from kzproxy.demo.issue import issue_certificates
from kzproxy.demo.sample import Namespaces, Sample, WorkingHours

ENDPOINTS = Endpoints(
    proxy="127.0.0.1:8443",
    ops="127.0.0.1:9090",
    issuer="https://127.0.0.1:9443",
    api_server="https://127.0.0.1:6443",
)


@pytest.fixture
def directory(tmp_path, clock) -> DemoDirectory:
    directory = DemoDirectory(tmp_path / "demo")
    directory.prepare()
    issue_certificates(directory, clock)
    directory.upstream_token.write_text("token")
    directory.upstream_ca.write_text(directory.ca.read_text())
    return directory


def test_it_is_loaded_without_a_mistake(directory):
    sample = Sample(WorkingHours(zone_name="Europe/Prague"), Namespaces(dev="a", prod="b"))
    write_configuration(directory, ENDPOINTS, sample)
    settings = load_proxy_settings(directory.configuration)
    assert (settings.listen.host, settings.listen.port) == ("127.0.0.1", 8443)
    assert settings.tls.device_authority_file == directory.device_ca
    assert settings.upstream.token_file == directory.upstream_token
    assert [issuer.url for issuer in settings.issuers] == [ENDPOINTS.issuer]
    (issuer,) = settings.issuers
    assert issuer.username.prefix == "kzproxy-demo:"
    assert issuer.groups
    assert issuer.groups.prefix == "kzproxy-demo:"
    assert settings.decision_log.file == directory.decisions


def test_a_cluster_that_the_system_trusts_needs_no_authority(directory):
    directory.upstream_ca.write_text("")
    sample = Sample(WorkingHours(zone_name="UTC"), Namespaces())
    write_configuration(directory, ENDPOINTS, sample)
    assert load_proxy_settings(directory.configuration).upstream.authority_pem == ""


def test_keys_are_the_owners_alone(directory):
    for key in (directory.tls_key, directory.device_key):
        assert key.stat().st_mode & 0o777 == 0o600
