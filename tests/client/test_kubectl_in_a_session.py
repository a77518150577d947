"""The whole way where kzproxy keeps the session: kubectl, Chromium, provider, kube-apiserver."""

import json
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
import yaml

from kzproxy.demo.control_plane import ControlPlane
from tests.client.chromium import chromium_page
from tests.cluster.kubectl import Kubectl
from tests.proxy.process import free_ports
from tests.proxy.session_member import Member
from tests.proxy.sign_in_world import SignInWorld, running_sign_in_world
from tests.servers.authority import Authority

pytestmark = pytest.mark.cluster

PATIENCE_SECONDS = 60
WATCHES = 20
TOKEN_SECONDS = 60
FRESH_SECONDS = 20  # enough for a sign-in and a kubectl, also on a slow machine
USER = "idp:operator"
ACCESS = {
    "apiVersion": "rbac.authorization.k8s.io/v1",
    "kind": "ClusterRoleBinding",
    "metadata": {"name": "kzproxy-tests-operators"},
    "roleRef": {
        "apiGroup": "rbac.authorization.k8s.io",
        "kind": "ClusterRole",
        "name": "cluster-admin",
    },
    "subjects": [
        {"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "idp:operators"}
    ],
}


# Of operators; secrets want a sign-in of the last seconds.
POLICY = {
    "apiVersion": "kzproxy.dev/v1",
    "kind": "AccessPolicy",
    "metadata": {"name": "fresh-for-secrets"},
    "rules": [
        {
            "id": "most",
            "effect": "allow",
            "subjects": {"groups": ["idp:operators"]},
            "match": [
                {"verbs": ["*"], "apiGroups": [""], "resources": ["pods", "configmaps"]},
                {"verbs": ["create"], "apiGroups": ["*"], "resources": ["selfsubjectreviews"]},
                {"verbs": ["*"], "nonResourceURLs": ["*"]},
            ],
        },
        {
            "id": "secrets",
            "effect": "allow",
            "subjects": {"groups": ["idp:operators"]},
            "match": [{"verbs": ["*"], "apiGroups": [""], "resources": ["secrets"]}],
            "obligations": {"reauth": {"maxAge": f"{FRESH_SECONDS}s"}},
        },
    ],
}


@pytest.fixture(scope="module")
def world(
    control_plane: ControlPlane,
    upstream_kubeconfig: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[SignInWorld]:
    Kubectl.of(control_plane).out("apply", "-f", "-", stdin=json.dumps(ACCESS).encode())
    upstream = {"kubeconfig": {"file": str(upstream_kubeconfig)}}
    directory = tmp_path_factory.mktemp("sessions")
    (directory / "secrets.yaml").write_text(yaml.safe_dump(POLICY))
    changes = {
        "sessions": {"tokenSeconds": TOKEN_SECONDS, "idleSeconds": 600},
        "policyFiles": ["secrets.yaml"],
    }
    with running_sign_in_world(directory, Authority.root(), upstream, **changes) as running:
        yield running


@pytest.fixture
def program(control_plane: ControlPlane) -> Path:
    return control_plane.binaries.kubectl


@pytest.fixture
def member(world: SignInWorld, tmp_path: Path) -> Member:
    return Member.of(world, tmp_path)


@pytest.mark.browser
def test_kubectl_signs_its_user_in_at_kzproxy(
    member: Member, program: Path, namespace: str
) -> None:
    kubectl = member.kubectl(program, namespace)
    with chromium_page() as page, kubectl.running("auth", "whoami") as process:
        page.goto(member.pipe.url())
        page.get_by_role("button", name="Sign in as operator").click()
        page.get_by_text("You can close this tab").wait_for()
        out, err = process.communicate(timeout=PATIENCE_SECONDS)
        assert page.url.startswith("http://127.0.0.1:")
    assert process.returncode == 0, err
    assert USER in out.decode()
    # The next commands need no browser: nobody reads the pipe now.
    kubectl.out("get", "pods")
    kubectl.out("create", "configmap", "c1", "--from-literal=a=b")
    said = json.loads(member.runs("whoami", "-o", "json").stdout)
    assert said["name"] == USER
    assert said["device"]["names"][0].startswith("urn:kzproxy:client:")
    asked = member.runs("whoami", "--ask", "-o", "json")
    assert said["session"]["id"] in asked.stdout, asked.stderr


def test_the_token_alone_is_of_no_use(
    world: SignInWorld, member: Member, program: Path, namespace: str
) -> None:
    member.signs_in()
    entry = json.loads(member.entry_file.read_text())
    trust = ssl.create_default_context(cafile=world.ca_file)
    url = f"https://localhost:{world.proxy.port}/api/v1/namespaces/{namespace}/pods"
    headers = {"Authorization": f"Bearer {entry['session']['token']}"}
    answer = httpx.get(url, headers=headers, verify=trust, timeout=PATIENCE_SECONDS)
    assert answer.status_code == 401
    assert "certificate" in answer.json()["message"]
    # And the renewal token without the certificate as little.
    form = {
        "grant_type": "refresh_token",
        "refresh_token": entry["refresh_token"],
        "client_id": "kzproxy-cli",
    }
    refused = httpx.post(f"{world.url}/token", data=form, verify=trust, timeout=PATIENCE_SECONDS)
    assert refused.status_code == 400
    assert refused.json()["error"] == "invalid_grant"
    member.kubectl(program, namespace).out("get", "pods")


@contextmanager
def kubectl_proxy(kubectl: Kubectl) -> Iterator[str]:
    """Run ``kubectl proxy``: client-go with the plugin, for as many watches as one likes."""
    [port] = free_ports(1)
    with kubectl.running("proxy", f"--port={port}") as process:
        assert process.stdout
        assert b"Starting to serve" in process.stdout.readline()
        yield f"http://127.0.0.1:{port}"


class Watch(threading.Thread):
    """A watch, for as long as it goes."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self._url = url
        self.seen: list[str] = []
        self.ended = False

    def run(self) -> None:
        try:
            with httpx.stream("GET", self._url, timeout=None) as response:
                for line in response.iter_lines():
                    self.seen.append(json.loads(line)["object"]["metadata"]["name"])
        except (httpx.HTTPError, KeyError):
            pass
        self.ended = True


def test_watches_go_on_over_renewals_of_the_token(
    world: SignInWorld, member: Member, program: Path, namespace: str
) -> None:
    """client-go's own transport: it would close every connection, were the certificate another."""
    member.signs_in()
    kubectl = member.kubectl(program, namespace)
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    with kubectl_proxy(kubectl) as url:
        watches = [Watch(f"{url}{path}?watch=1&n={number}") for number in range(WATCHES)]
        for watch in watches:
            watch.start()
        tokens = set()
        ends = time.monotonic() + 1.2 * TOKEN_SECONDS
        while time.monotonic() < ends:
            pods = f"{url}/api/v1/namespaces/{namespace}/pods"
            assert httpx.get(pods, timeout=PATIENCE_SECONDS).status_code == 200
            tokens.add(json.loads(member.entry_file.read_text())["session"]["token"])
            time.sleep(1)
        kubectl.out("create", "configmap", "seen-by-all", "--from-literal=a=b")
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not all("seen-by-all" in watch.seen for watch in watches):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert not any(watch.ended for watch in watches)
    for watch in watches:
        watch.join(PATIENCE_SECONDS)
    assert len(tokens) >= 3, "it was renewed again and again"
    asked = [
        record
        for record in world.proxy.decisions_of(USER)
        if record["request"].get("verb") == "watch"
        and record["request"].get("namespace") == namespace
    ]
    assert len(asked) == WATCHES, "nobody had to connect again"


def test_signing_out_ends_what_runs_and_kubectl_is_refused(
    world: SignInWorld, member: Member, program: Path, namespace: str
) -> None:
    member.signs_in()
    kubectl = member.kubectl(program, namespace)
    file = member.entry_file
    kept = file.read_bytes()
    with kubectl.running("get", "configmaps", "--watch") as watching:
        assert watching.stdout
        assert watching.stdout.readline()
        done = member.runs("logout")
        assert (done.returncode, done.stderr) == (0, "Signed out here and at kzproxy.\n")
        watching.wait(PATIENCE_SECONDS)
    member.leave()
    refused = kubectl("get", "pods")
    assert refused.returncode == 1
    # A copy that somebody kept is worth nothing, and the plugin is told why.
    file.write_bytes(kept)
    file.chmod(0o600)
    refused = kubectl("get", "pods")
    assert refused.returncode == 1
    assert b"signed out" in refused.stderr, refused.stderr


def test_a_session_that_an_administrator_ends_says_so(
    world: SignInWorld, member: Member, program: Path, namespace: str, tmp_path: Path
) -> None:
    member.signs_in()
    kubectl = member.kubectl(program, namespace)
    kubectl.out("get", "pods")
    session = json.loads(member.runs("whoami", "-o", "json").stdout)["session"]["id"]
    office = tmp_path / "office"
    office.mkdir()
    administrator = Member.of(world, office)
    administrator.signs_in()
    ended = administrator.runs("sessions", "revoke", session, "--message", "It was found.")
    assert ended.returncode == 0, ended.stderr
    member.leave()
    refused = kubectl("get", "pods")
    assert refused.returncode == 1
    assert b"It was found." in refused.stderr
    said = member.runs("whoami")
    assert said.returncode == 1
    assert "It was found." in said.stderr


def test_what_wants_a_fresher_sign_in_gets_one_by_itself(
    member: Member, program: Path, namespace: str
) -> None:
    member.signs_in()
    session = json.loads(member.runs("whoami", "-o", "json").stdout)["session"]["id"]
    kubectl = member.kubectl(program, namespace)
    kubectl.out("get", "pods")
    time.sleep(FRESH_SECONDS)  # the sign-in grows old
    # The command is refused, but its plugin hears why and opens the browser for it.
    with kubectl.running("get", "secrets") as process:
        member.browses()
        _, err = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 1
    assert b"you are asked to sign in again: " in err
    assert f"rule secrets asks for a sign-in at most {FRESH_SECONDS}s" in err.decode()
    assert f"kzproxy login --max-age {FRESH_SECONDS}s" in err.decode()
    kubectl.out("get", "secrets")
    assert json.loads(member.runs("whoami", "-o", "json").stdout)["session"]["id"] == session


@pytest.mark.browser
def test_without_a_browser_a_code_is_entered_elsewhere(
    member: Member, program: Path, namespace: str
) -> None:
    process = member.starts("login", "--flow=device-code")
    assert process.stderr
    lines = [process.stderr.readline() for _ in range(3)]
    uri, code = lines[1].split()[-1], lines[2].split()[-1]
    with chromium_page() as page:
        page.goto(uri)
        page.get_by_role("textbox").fill(code)
        page.keyboard.press("Enter")
        page.get_by_text(code).first.wait_for()
        page.get_by_role("button").first.click()
        page.get_by_role("button", name="Sign in as operator").click()
        page.get_by_role("heading", name="You are signed in").wait_for()
        _, err = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 0, err
    member.kubectl(program, namespace).out("get", "pods")


@pytest.mark.browser
def test_without_a_second_device_a_code_is_pasted(
    member: Member, program: Path, namespace: str
) -> None:
    process = member.starts("login", "--flow=paste")
    assert process.stderr
    url = [process.stderr.readline() for _ in range(2)][1].split()[-1]
    with chromium_page() as page:
        page.goto(url)
        page.get_by_role("button", name="Sign in as operator").click()
        code = page.locator(".shown").inner_text()
    _, err = process.communicate(input=f"{code}\n", timeout=PATIENCE_SECONDS)
    assert process.returncode == 0, err
    member.kubectl(program, namespace).out("get", "pods")
