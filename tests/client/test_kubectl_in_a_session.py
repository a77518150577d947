"""The whole way where kzproxy keeps the session: kubectl, Chromium, provider, kube-apiserver."""

import json
import re
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from kzproxy.demo.control_plane import ControlPlane
from tests.client.chromium import UrlPipe, chromium_page, sign_in
from tests.client.plugin_runs import NEVER_COMES_BACK
from tests.cluster.kubectl import Kubectl
from tests.proxy.fixtures import Real
from tests.proxy.process import free_ports
from tests.proxy.session_world import Member, SessionWorld, session_world
from tests.proxy.world import PREFIX

pytestmark = [pytest.mark.cluster, pytest.mark.browser]

PATIENCE_SECONDS = 60
WATCHES = 20
TOKEN_SECONDS = 60


@pytest.fixture(scope="module")
def around(
    real: Real, upstream_kubeconfig: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[SessionWorld]:
    upstream = {"kubeconfig": {"file": str(upstream_kubeconfig)}}
    directory = tmp_path_factory.mktemp("house")
    with session_world(
        directory, upstream, sessions={"tokenSeconds": TOKEN_SECONDS, "idleSeconds": 600}
    ) as running:
        yield running


@pytest.fixture
def program(control_plane: ControlPlane) -> Path:
    return control_plane.binaries.kubectl


@pytest.fixture
def alice(around: SessionWorld, tmp_path: Path) -> Member:
    """Somebody who signs in with what is given to the pipe; see ``signed_in``."""
    return around.member(tmp_path, f"--browser-command={UrlPipe(tmp_path).command}")


def signed_in(member: Member, *arguments: str) -> str:
    """Have alice run ``kzproxy login`` and sign in with Chromium; return what that said."""
    pipe = UrlPipe.__new__(UrlPipe)
    pipe._fifo = member.home / "browser"
    process = member.starts("login", *arguments)
    with chromium_page() as page:
        page.goto(pipe.url())
        sign_in(page, "alice")
        page.get_by_role("heading", name="You are signed in").wait_for()
        _, err = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 0, err
    return err


def nobody_there(member: Member) -> None:
    """From here on the browser of the plugin never comes back."""
    config = member.home / "config"
    lines = config.read_text().splitlines()
    kept = [line for line in lines if "--browser-command=" not in line and "--timeout" not in line]
    indent = next(line for line in lines if "--browser-command=" in line).partition("-")[0]
    at = next(i for i, line in enumerate(kept) if "--sign-in-url=" in line)
    kept[at:at] = [f"{indent}- --browser-command={NEVER_COMES_BACK}", f"{indent}- --timeout=1"]
    config.write_text("\n".join(kept) + "\n")


def test_kubectl_signs_its_user_in_at_kzproxy(
    around: SessionWorld, program: Path, namespace: str, tmp_path: Path
) -> None:
    pipe = UrlPipe(tmp_path)
    member = around.member(tmp_path, f"--browser-command={pipe.command}")
    kubectl = member.kubectl(program, namespace)
    with chromium_page() as page, kubectl.running("auth", "whoami") as process:
        page.goto(pipe.url())
        sign_in(page, "alice")
        page.get_by_role("heading", name="You are signed in").wait_for()
        out, err = process.communicate(timeout=PATIENCE_SECONDS)
        assert page.url.startswith("http://127.0.0.1:")
    assert process.returncode == 0, err
    assert f"{PREFIX}alice" in out.decode()
    assert f"{PREFIX}testers" in out.decode()
    # The next commands need no browser: nobody reads the pipe now.
    kubectl.out("get", "pods")
    kubectl.out("create", "configmap", "c1", "--from-literal=a=b")
    said = json.loads(member.runs("whoami", "-o", "json").stdout)
    assert said["name"] == f"{PREFIX}alice"
    assert said["device"]["names"][0].startswith("urn:kzproxy:client:")
    asked = member.runs("whoami", "--ask", "-o", "json")
    assert said["session"]["id"] in asked.stdout, asked.stderr
    given = member.runs("reason", "looking around", "--for", "5m")
    assert given.returncode == 0, given.stderr


def test_the_token_alone_is_of_no_use(
    around: SessionWorld, alice: Member, program: Path, namespace: str
) -> None:
    signed_in(alice)
    [file] = alice.cache.glob("*.json")
    entry = json.loads(file.read_text())
    trust = ssl.create_default_context(cafile=around.world.authority_file)
    url = f"https://localhost:{around.world.proxy.port}/api/v1/namespaces/{namespace}/pods"
    headers = {"Authorization": f"Bearer {entry['session']['token']}"}
    answer = httpx.get(url, headers=headers, verify=trust)
    assert answer.status_code == 401
    assert "certificate" in answer.json()["message"]
    # And the renewal token without the certificate as little.
    form = {
        "grant_type": "refresh_token",
        "refresh_token": entry["refresh_token"],
        "client_id": "kzproxy-cli",
    }
    refused = httpx.post(f"{around.url}/token", data=form, verify=trust)
    assert refused.status_code == 400
    assert refused.json()["error"] == "invalid_grant"
    alice.kubectl(program, namespace).out("get", "pods")


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
    around: SessionWorld, alice: Member, program: Path, namespace: str
) -> None:
    """client-go's own transport: it would close every connection, were the certificate another."""
    signed_in(alice)
    kubectl = alice.kubectl(program, namespace)
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    user = f"{PREFIX}alice"
    with kubectl_proxy(kubectl) as url:
        watches = [Watch(f"{url}{path}?watch=1&n={number}") for number in range(WATCHES)]
        for watch in watches:
            watch.start()
        tokens = set()
        ends = time.monotonic() + 2.2 * TOKEN_SECONDS
        while time.monotonic() < ends:
            assert httpx.get(f"{url}/api/v1/namespaces/{namespace}/pods").status_code == 200
            [file] = alice.cache.glob("*.json")
            tokens.add(json.loads(file.read_text())["session"]["token"])
            time.sleep(1)
        kubectl.out("create", "configmap", "seen-by-all", "--from-literal=a=b")
        deadline = time.monotonic() + 10
        while not all("seen-by-all" in watch.seen for watch in watches):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert not any(watch.ended for watch in watches)
    for watch in watches:
        watch.join(PATIENCE_SECONDS)
    assert len(tokens) >= 4, "it was renewed again and again"
    asked = [
        record
        for record in around.world.proxy.decisions_of(user)
        if record["request"].get("verb") == "watch"
        and record["request"].get("namespace") == namespace
    ]
    assert len(asked) == WATCHES, "nobody had to connect again"


def test_signing_out_ends_what_runs_and_kubectl_is_refused(
    around: SessionWorld, alice: Member, program: Path, namespace: str
) -> None:
    signed_in(alice)
    kubectl = alice.kubectl(program, namespace)
    [file] = alice.cache.glob("*.json")
    kept = file.read_bytes()
    with kubectl.running("get", "configmaps", "--watch") as watching:
        assert watching.stdout
        assert watching.stdout.readline()
        done = alice.runs("logout")
        assert (done.returncode, done.stderr) == (0, "Signed out here and at kzproxy.\n")
        watching.wait(PATIENCE_SECONDS)
    nobody_there(alice)
    refused = kubectl("get", "pods")
    assert refused.returncode == 1
    # A copy that somebody kept is worth nothing, and the plugin is told why.
    file.write_bytes(kept)
    refused = kubectl("get", "pods")
    assert refused.returncode == 1
    assert b"signed out" in refused.stderr, refused.stderr


def test_a_session_that_an_administrator_ends_says_so(
    around: SessionWorld, alice: Member, program: Path, namespace: str
) -> None:
    signed_in(alice)
    kubectl = alice.kubectl(program, namespace)
    kubectl.out("get", "pods")
    session = json.loads(alice.runs("whoami", "-o", "json").stdout)["session"]["id"]
    ended = alice.runs("sessions", "revoke", session, "--message", "Your laptop was found.")
    assert ended.returncode == 0, ended.stderr
    nobody_there(alice)
    refused = kubectl("get", "pods")
    assert refused.returncode == 1
    again = kubectl("get", "pods")
    assert b"Your laptop was found." in refused.stderr + again.stderr
    said = alice.runs("whoami")
    assert said.returncode == 1
    assert "Your laptop was found." in said.stderr


def test_without_a_browser_a_code_is_entered_elsewhere(
    around: SessionWorld, alice: Member, program: Path, namespace: str
) -> None:
    process = alice.starts("login", "--flow=device-code")
    assert process.stderr
    lines = [process.stderr.readline() for _ in range(3)]
    uri, code = lines[1].split()[-1], lines[2].split()[-1]
    with chromium_page() as page:
        page.goto(uri)
        page.get_by_role("textbox").first.fill(code)
        page.get_by_role("button").first.click()
        page.get_by_role("button").first.click()
        sign_in(page, "alice")
        page.get_by_role("heading", name="You are signed in").wait_for()
        _, err = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 0, err
    alice.kubectl(program, namespace).out("get", "pods")


def test_without_a_second_device_a_code_is_pasted(
    around: SessionWorld, alice: Member, program: Path, namespace: str
) -> None:
    process = alice.starts("login", "--flow=paste")
    assert process.stderr
    url = re.findall(r"https://\S+", process.stderr.readline() + process.stderr.readline())[0]
    with chromium_page() as page:
        page.goto(url)
        sign_in(page, "alice")
        code = page.locator(".shown").inner_text()
    _, err = process.communicate(input=f"{code}\n", timeout=PATIENCE_SECONDS)
    assert process.returncode == 0, err
    alice.kubectl(program, namespace).out("get", "pods")
