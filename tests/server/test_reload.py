"""Files change while kzproxy runs: the new counts at once, the bad never, and streams live on."""

import contextlib
import os
import re
import signal
import ssl
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from kzproxy.config.sources import Sources
from kzproxy.server.reload import FileWatch
from tests.proxy.fixtures import Real
from tests.proxy.issuer_thread import issuer_in_thread
from tests.proxy.process import running_proxy
from tests.proxy.raw_client import RawClient
from tests.proxy.world import POLICY, World, configuration, request
from tests.servers.authority import Authority

pytestmark = pytest.mark.cluster

PODS = "/api/v1/namespaces/default/pods"
WATCH = f"{PODS}?watch=1"
CONFIGMAPS = "/api/v1/namespaces/default/configmaps"


class Reloads:
    """A kzproxy whose files a test changes, and puts back at its end."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._before: dict[Path, bytes] = {}

    def put(self, name: str, content: bytes | str) -> None:
        """Write a file in place of the old one."""
        file = self.world.directory / name
        self._before.setdefault(file, file.read_bytes())
        data = content.encode() if isinstance(content, str) else content
        new = file.with_name(f"{name}.new")
        new.write_bytes(data)
        new.rename(file)

    def change(self, name: str, change: Callable[[dict[str, Any]], object]) -> None:
        """Change what a YAML file holds."""
        content = yaml.safe_load((self.world.directory / name).read_text())
        change(content)
        self.put(name, yaml.safe_dump(content))

    def put_back(self) -> None:
        if self._before:
            with self.reloading("success"):
                for file, content in self._before.items():
                    self.put(file.name, content)
        self._before.clear()

    @contextlib.contextmanager
    def reloading(self, outcome: str) -> Iterator[None]:
        """Wait at the end of the block until it made kzproxy read its files again."""
        before = self.counted(outcome)
        yield
        deadline = time.monotonic() + 10
        while self.counted(outcome) == before:
            assert time.monotonic() < deadline, self.world.proxy.diagnostics
            time.sleep(0.05)

    def counted(self, outcome: str) -> float:
        return self.metric(f'kzproxy_config_reloads_total{{outcome="{outcome}"}}')

    def metric(self, name: str) -> float:
        text = self.world.proxy.ops("/metrics")[1]
        found = re.search(rf"^{re.escape(name)} (.*)$", text, re.MULTILINE)
        return float(found[1]) if found else 0.0


@pytest.fixture(scope="module")
def _reloads(
    real: Real, upstream_kubeconfig: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Reloads]:
    assert real.control_plane.components
    directory = tmp_path_factory.mktemp("reload")
    authority = Authority.root()
    (directory / "upstream.kubeconfig").write_bytes(upstream_kubeconfig.read_bytes())
    with issuer_in_thread(directory, authority) as issuer:
        upstream = {"kubeconfig": {"file": "upstream.kubeconfig"}}
        settings = configuration(directory, authority, issuer, upstream)
        (directory / "device-ca.crt").write_bytes(authority.pem)
        settings["devices"] = {"certificateAuthorityFile": "device-ca.crt"}
        with running_proxy(directory, settings) as proxy:
            yield Reloads(World(directory, authority, issuer, proxy))


@pytest.fixture
def reloads(_reloads: Reloads) -> Iterator[Reloads]:
    yield _reloads
    _reloads.put_back()


@contextlib.contextmanager
def watching(world: World, token: str, **options: Any) -> Iterator[RawClient]:
    with world.client(**options) as client:
        client.send(request("GET", WATCH, token))
        assert client.head()[0] == 200
        yield client


def lives(client: RawClient) -> bool:
    """Whether nothing but events has come."""
    client.tls.settimeout(0.3)
    try:
        while True:
            data = client.receive()
            if not data or b'"ERROR"' in data:
                return False
    except TimeoutError:
        return True


def served_certificate(world: World, authority: Path) -> bytes:
    with RawClient(world.proxy.port, authority) as client:
        return client.tls.getpeercert(binary_form=True) or b""


def without(rule: str) -> Callable[[dict[str, Any]], None]:
    def remove(policy: dict[str, Any]) -> None:
        policy["rules"] = [each for each in policy["rules"] if each["id"] != rule]

    return remove


def test_a_policy_ends_the_streams_that_it_does_not_permit_and_no_others(reloads: Reloads) -> None:
    world = reloads.world
    reader, tester = world.token("rea", "readers"), world.token("tes", "testers")
    with watching(world, reader) as cut, watching(world, tester) as kept, world.client() as client:
        assert client.ask(request("GET", PODS, reader)).status == 200
        with reloads.reloading("success"):
            reloads.change("policy.yaml", without("readers-pods"))
        last = cut.to_end()
        assert lives(kept)
        refused = client.ask(request("GET", PODS, reader))

    assert b'"type":"ERROR"' in last
    assert b'"code":403' in last
    assert refused.status == 403


def test_a_certificate_is_shown_to_new_connections_and_streams_live_on(reloads: Reloads) -> None:
    world = reloads.world
    other = Authority.root("another root")
    (world.directory / "other-ca.crt").write_bytes(other.pem)
    issued = other.server("localhost", "127.0.0.1")
    with watching(world, world.token("cer", "testers")) as client:
        with reloads.reloading("success"):
            reloads.put("tls.crt", issued.pem)
            reloads.put("tls.key", issued.key_pem)
        assert lives(client)
        shown = served_certificate(world, world.directory / "other-ca.crt")

    assert shown == issued.der_chain[0]
    with pytest.raises(ssl.SSLCertVerificationError):
        served_certificate(world, world.authority_file)


def test_a_bad_file_keeps_all_of_the_last_good_ones_and_is_told(reloads: Reloads) -> None:
    world = reloads.world
    token = world.token("bad", "testers")
    before = served_certificate(world, world.authority_file)
    issued = world.authority.server("localhost", "127.0.0.1")
    with watching(world, token) as client:
        with reloads.reloading("failure"):
            reloads.put("policy.yaml", "apiVersion: kzproxy.dev/v1\nkind: [unfinished\n")
            reloads.put("tls.crt", issued.pem)
            reloads.put("tls.key", issued.key_pem)
        assert lives(client)
    with world.client() as client:
        assert client.ask(request("GET", PODS, token)).status == 200
    status, detail = world.proxy.ops("/readyz")
    place = re.escape(f"{world.directory}/policy.yaml:3:1: is not YAML")

    assert served_certificate(world, world.authority_file) == before
    assert status == 200
    assert re.search(
        f"the last reload failed, what was read at .*Z stays in force: {place}", detail
    )
    assert re.search(f"ERROR .*: configuration not reloaded: {place}", world.proxy.diagnostics)
    assert reloads.metric("kzproxy_config_reload_success") == 0

    with reloads.reloading("success"):
        reloads.put("policy.yaml", yaml.safe_dump(POLICY))
    assert served_certificate(world, world.authority_file) == issued.der_chain[0]
    assert reloads.metric("kzproxy_config_reload_success") == 1
    assert '"configuration": "ok"' in world.proxy.ops("/readyz")[1]


def test_a_key_that_is_not_the_certificates_changes_nothing(reloads: Reloads) -> None:
    world = reloads.world
    before = served_certificate(world, world.authority_file)
    with reloads.reloading("failure"):
        reloads.put("tls.key", world.authority.server("localhost").key_pem)

    assert served_certificate(world, world.authority_file) == before
    assert "key values mismatch" in world.proxy.ops("/readyz")[1]


def test_tokens_of_an_issuer_that_was_removed_stop_holding_at_once(reloads: Reloads) -> None:
    world = reloads.world
    token = world.token("gone", "testers")

    def elsewhere(content: dict[str, Any]) -> None:
        content["jwt"][0]["issuer"]["url"] = f"{world.issuer.url}-elsewhere"

    with watching(world, token) as stream, world.client() as client:
        assert client.ask(request("GET", PODS, token)).status == 200
        with reloads.reloading("success"):
            reloads.change("authentication.yaml", elsewhere)
        refused = client.ask(request("GET", PODS, token))
        last = stream.to_end()

    assert refused.status == 401
    assert "not an issuer that is configured" in refused.message
    assert b'"code":401' in last

    reloads.put_back()
    with world.client() as client:
        assert client.ask(request("GET", PODS, token)).status == 200


def test_a_device_ca_that_was_removed_vouches_for_nobody_on_open_connections(
    reloads: Reloads,
) -> None:
    world = reloads.world
    token = world.token("enna", "enrolled")
    asked = request("GET", CONFIGMAPS, token)
    with world.client(certificate=world.device("laptop-1")) as client:
        assert client.ask(asked).status == 200
        with reloads.reloading("success"):
            reloads.put("device-ca.crt", Authority.root("another device CA").pem)
        refused = client.ask(asked)

    assert refused.status == 403
    assert "not from the device CA" in refused.message


def test_a_ca_that_is_no_longer_the_mdms_makes_no_device_managed(reloads: Reloads) -> None:
    world = reloads.world
    asked = request("GET", CONFIGMAPS, world.token("enno", "enrolled"))
    watched = request("GET", f"{CONFIGMAPS}?watch=1", world.token("enno", "enrolled"))

    def managed_alone(policy: dict[str, Any]) -> None:
        rule = next(each for each in policy["rules"] if each["id"] == "enrolled-configmaps")
        rule["match"][0]["verbs"].append("watch")
        rule["conditions"] = {"device": {"managed": True}}

    def believed_as(field: str) -> Callable[[dict[str, Any]], None]:
        def believe(settings: dict[str, Any]) -> None:
            settings["devices"] = {field: "device-ca.crt"}

        return believe

    with reloads.reloading("success"):
        reloads.change("policy.yaml", managed_alone)
        reloads.change("kzproxy.yaml", believed_as("managedAuthorityFile"))
    files = world.device("laptop-2")
    with world.client(certificate=files) as client, world.client(certificate=files) as stream:
        assert client.ask(asked).status == 200
        stream.send(watched)
        assert stream.head()[0] == 200
        with reloads.reloading("success"):
            reloads.change("kzproxy.yaml", believed_as("certificateAuthorityFile"))
        assert client.ask(asked).status == 403
        assert b'"code":403' in stream.to_end()


def test_the_kubelets_way_of_changing_a_file_is_seen(reloads: Reloads) -> None:
    world = reloads.world
    directory, policy = world.directory, world.directory / "policy.yaml"
    reader = world.token("kub", "readers")
    for name, rules in (("..1", POLICY["rules"]), ("..2", [])):
        (directory / name).mkdir()
        (directory / name / "policy.yaml").write_text(yaml.safe_dump(POLICY | {"rules": rules}))
    (directory / "..data").symlink_to("..1")
    with reloads.reloading("success"):
        reloads.put("policy.yaml", policy.read_bytes())
        policy.unlink()
        policy.symlink_to("..data/policy.yaml")
    with world.client() as client:
        assert client.ask(request("GET", PODS, reader)).status == 200
        with reloads.reloading("success"):
            (directory / "..new").symlink_to("..2")
            (directory / "..new").rename(directory / "..data")
        assert client.ask(request("GET", PODS, reader)).status == 403


def test_a_credential_that_kube_apiserver_does_not_take_is_not_used(reloads: Reloads) -> None:
    world = reloads.world
    token = world.token("cred", "testers")

    def spoil(kubeconfig: dict[str, Any]) -> None:
        kubeconfig["users"][0]["user"] = {"token": "spoilt"}

    with watching(world, token) as client:
        with reloads.reloading("failure"):
            reloads.change("upstream.kubeconfig", spoil)
        assert "does not accept kzproxy's credential: 401" in world.proxy.ops("/readyz")[1]
        with reloads.reloading("success"):
            reloads.put_back()
        assert lives(client)
    with world.client() as client:
        assert client.ask(request("GET", PODS, token)).status == 200


def test_another_way_to_kube_apiserver_is_taken_by_new_requests(reloads: Reloads) -> None:
    world = reloads.world
    token = world.token("way", "testers")

    def renamed(kubeconfig: dict[str, Any]) -> None:
        cluster = kubeconfig["clusters"][0]["cluster"]
        cluster["tls-server-name"] = "localhost"

    with watching(world, token) as stream, world.client() as client:
        assert client.ask(request("GET", PODS, token)).status == 200
        made = reloads.metric("kzproxy_upstream_connections_total")
        with reloads.reloading("success"):
            reloads.change("upstream.kubeconfig", renamed)
        assert client.ask(request("GET", PODS, token)).status == 200
        assert reloads.metric("kzproxy_upstream_connections_total") > made
        assert lives(stream)


def test_sighup_reads_everything_again_though_nothing_has_changed(reloads: Reloads) -> None:
    with reloads.reloading("success"):
        reloads.world.proxy.signal(signal.SIGHUP)


def test_what_needs_a_restart_is_named(reloads: Reloads) -> None:
    with reloads.reloading("success"):
        reloads.change("kzproxy.yaml", lambda content: content.update(drainTimeoutSeconds=7))

    said = reloads.world.proxy.diagnostics
    assert "drainTimeoutSeconds has changed, which takes a restart of kzproxy" in said
    assert "listen.address has changed" not in said


def test_a_change_is_read_once_it_has_been_seen_twice(tmp_path: Path) -> None:
    file = tmp_path / "f"
    sources = Sources()
    sources.look_at(file)
    watch = FileWatch(sources)
    assert [watch.due(), watch.due()] == [False, False]
    file.write_text("here")
    assert [watch.due(), watch.due()] == [False, True]


def test_a_change_that_is_taken_back_before_the_second_look_is_none(tmp_path: Path) -> None:
    file = tmp_path / "f"
    file.write_text("here")
    sources = Sources()
    sources.look_at(file)
    watch = FileWatch(sources)
    kept = file.rename(tmp_path / "kept")
    assert not watch.due()
    kept.rename(file)
    assert [watch.due(), watch.due()] == [False, False]
    os.utime(file, ns=(1, 1))
    assert [watch.due(), watch.due()] == [False, True]


def test_a_file_that_is_still_being_written_is_not_read(tmp_path: Path) -> None:
    """Half of a policy is a policy, without its last rules."""
    file, sources = tmp_path / "a", Sources()
    sources.look_at(file)
    watch = FileWatch(sources)
    with file.open("w") as writing:
        for _ in range(5):
            writing.write("- a rule\n")
            writing.flush()
            assert not watch.due()

    assert watch.due()
