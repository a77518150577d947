"""The whole way: kubectl, plugin, browser, a foreign provider, kzproxy, kube-apiserver."""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from kzproxy.demo.control_plane import ControlPlane
from tests.client.chromium import UrlPipe, chromium_page, enter_device_code, sign_in
from tests.cluster.kubectl import Kubectl, describe
from tests.proxy.fixtures import Real
from tests.proxy.issuer_thread import issuer_in_thread
from tests.proxy.process import running_proxy
from tests.proxy.world import PREFIX, World, configuration
from tests.servers.authority import Authority
from tests.servers.foreign_idp.process import CLIENT_ID, ForeignIdp, running_foreign_idp

pytestmark = [pytest.mark.cluster, pytest.mark.browser]

PATIENCE_SECONDS = 60
USERS = {
    "alice": {"groups": ["testers"], "email": "alice@example.test"},
    "bob": {"groups": ["enrolled"], "email": "bob@example.test"},
}
DISCOVERY = {
    "id": "enrolled-discovery",
    "effect": "allow",
    "subjects": {"groups": [f"{PREFIX}enrolled"]},
    "match": [{"verbs": ["get"], "nonResourceURLs": ["/api", "/api/*", "/apis", "/apis/*"]}],
}


@dataclass
class Office:
    """A kzproxy that trusts two issuers: the tests' own and a foreign one."""

    world: World
    idp: ForeignIdp
    real: Real

    def kubectl(self, home: Path, namespace: str, *arguments: str, device: bool = True) -> Kubectl:
        """Return kubectl with a kubeconfig that ``kzproxy kubeconfig`` wrote."""
        config = home / "config"
        command = [
            *(sys.executable, "-m", "kzproxy", "kubeconfig", f"--output={config}"),
            f"--server=https://localhost:{self.world.proxy.port}",
            f"--server-ca={self.world.authority_file}",
            f"--issuer={self.idp.issuer}",
            f"--client-id={CLIENT_ID}",
            f"--issuer-ca={self.idp.ca_file}",
            *arguments,
        ]
        if device:
            certificate, key = self.world.device("laptop-7")
            command += [f"--device-cert={certificate}", f"--device-key={key}"]
        subprocess.run(command, check=True, capture_output=True)
        return Kubectl.of(self.real.control_plane).using(
            kubeconfig=config,
            home=home,
            namespace=namespace,
            extra={"KZPROXY_CACHE_DIR": str(home / "sign-ins")},
        )


def let_discover(directory: Path) -> None:
    """Let bob's kubectl find out what there is; without that it cannot even be refused well."""
    file = directory / "policy.yaml"
    document = yaml.safe_load(file.read_text())
    document["rules"].append(DISCOVERY)
    file.write_text(yaml.safe_dump(document))


def trust_also(directory: Path, idp: ForeignIdp) -> None:
    """Add the foreign issuer to kzproxy's AuthenticationConfiguration."""
    file = directory / "authentication.yaml"
    document = yaml.safe_load(file.read_text())
    document["jwt"].append(
        {
            "issuer": {
                "url": idp.issuer,
                "audiences": [CLIENT_ID],
                "certificateAuthority": idp.ca_file.read_text(),
            },
            "claimMappings": {
                "username": {"claim": "sub", "prefix": PREFIX},
                "groups": {"claim": "groups", "prefix": PREFIX},
            },
        }
    )
    file.write_text(yaml.safe_dump(document))


@pytest.fixture(scope="module")
def office(
    real: Real,
    control_plane: ControlPlane,
    upstream_kubeconfig: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Office]:
    directory = tmp_path_factory.mktemp("office")
    authority = Authority.root()
    certificate, key = authority.server("localhost").write_to(directory, "foreign-idp")
    with issuer_in_thread(directory, authority) as issuer:
        upstream = {"kubeconfig": {"file": str(upstream_kubeconfig)}}
        settings = configuration(directory, authority, issuer, upstream)
        with running_foreign_idp(
            directory,
            certificate_file=certificate,
            private_key_file=key,
            ca_file=directory / "ca.crt",
            users=USERS,
        ) as idp:
            trust_also(directory, idp)
            let_discover(directory)
            with running_proxy(directory, settings) as proxy:
                yield Office(World(directory, authority, issuer, proxy), idp, real)


def test_kubectl_signs_its_user_in_with_a_browser(
    office: Office, namespace: str, tmp_path: Path
) -> None:
    pipe = UrlPipe(tmp_path)
    kubectl = office.kubectl(tmp_path, namespace, f"--browser-command={pipe.command}")
    with chromium_page() as page, kubectl.running("auth", "whoami") as process:
        page.goto(pipe.url())
        sign_in(page, "alice")
        page.get_by_role("heading", name="You are signed in").wait_for()
        out, err = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 0, err
    assert f"{PREFIX}alice" in out.decode()
    assert f"{PREFIX}testers" in out.decode()
    assert "laptop-7" in out.decode(), "the device came with the token"
    # The next command needs no browser: nobody reads the pipe now.
    kubectl.out("create", "configmap", "c1", "--from-literal=a=b")
    assert "c1" in kubectl.out("get", "configmaps")


def test_kubectl_signs_its_user_in_with_a_device_code(
    office: Office, namespace: str, tmp_path: Path
) -> None:
    kubectl = office.kubectl(tmp_path, namespace, "--flow=device-code")
    with chromium_page() as page, kubectl.running("get", "configmaps", "-o=name") as process:
        assert process.stderr
        _, uri, code = (process.stderr.readline().decode().split()[-1] for _ in range(3))
        page.goto(uri)
        enter_device_code(page, "bob", code)
        out, err = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 0, err
    assert b"configmap/kube-root-ca.crt" in out


def test_without_the_device_the_same_user_is_told_what_is_missing(
    office: Office, namespace: str, tmp_path: Path
) -> None:
    kubectl = office.kubectl(tmp_path, namespace, "--flow=device-code", device=False)
    with chromium_page() as page, kubectl.running("get", "configmaps") as process:
        assert process.stderr
        _, uri, code = (process.stderr.readline().decode().split()[-1] for _ in range(3))
        page.goto(uri)
        enter_device_code(page, "bob", code)
        _, err = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 1
    assert b"Error from server (Forbidden)" in err
    assert b"device" in err


def test_tokens_of_two_issuers_work_at_once(office: Office, namespace: str, tmp_path: Path) -> None:
    pipe = UrlPipe(tmp_path)
    foreign = office.kubectl(tmp_path, namespace, f"--browser-command={pipe.command}")
    own = Real(office.world, office.real.audit_log, office.real.control_plane).kubectl(
        "tess", "testers", namespace=namespace
    )
    with chromium_page() as page, foreign.running("get", "configmaps") as process:
        page.goto(pipe.url())
        sign_in(page, "alice")
        out, err = process.communicate(timeout=PATIENCE_SECONDS)
        assert process.returncode == 0, (out, err)
    with foreign.running("get", "configmaps", "--watch") as watching:
        assert watching.stdout
        assert watching.stdout.readline()
        done = own("auth", "whoami")
        assert done.returncode == 0, describe(done)
        assert f"{PREFIX}tess" in done.stdout.decode()
        own.out("create", "configmap", "seen-by-both", "--from-literal=a=b")
        while b"seen-by-both" not in watching.stdout.readline():
            """The foreign issuer's user goes on reading meanwhile."""
