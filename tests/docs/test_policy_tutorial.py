"""docs/policy.md: every file in it is written, every command run, and prints what stands there."""

import os
import re
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import pytest
import yaml

from kzproxy.clock.system import SystemClock
from kzproxy.demo.certificates import CertificateAuthority
from kzproxy.demo.kubeconfig_file import KubeconfigUser
from kzproxy.policy_tools.case_fields import FIELDS, MAPPINGS
from kzproxy.policy_tools.finding import SEVERITIES
from tests.cluster.kubectl import Kubectl
from tests.proxy.issuer_thread import issuer_in_thread
from tests.proxy.process import running_proxy
from tests.proxy.world import World
from tests.servers.authority import Authority

PAGE = (Path(__file__).parents[2] / "docs" / "policy.md").read_text()
BLOCKS = re.findall(r"```(yaml|console|console live)\n(.*?)```", PAGE, re.DOTALL)
COMMAND = re.compile(r"^\$ (.*?)(?:   # exits ([0-9]))?$", re.MULTILINE)
AUDIT_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
DAY = timedelta(days=1)


@pytest.fixture
def directory(tmp_path):
    """The certificates and the token that the page says its reader has."""
    authority = CertificateAuthority.create("CA", validity=DAY, clock=SystemClock())
    files = authority.server("127.0.0.1", validity=DAY)
    files.write(tmp_path / "tls.crt", tmp_path / "tls.key")
    (tmp_path / "tls.key").chmod(0o600)
    for name in ("device-ca.crt", "kube-ca.crt"):
        (tmp_path / name).write_bytes(authority.certificate_pem)
    (tmp_path / "token").write_text("a-token")
    (tmp_path / "token").chmod(0o600)
    return tmp_path


@pytest.fixture
def environment(tmp_path_factory):
    """A PATH on which this kzproxy is found."""
    programs = tmp_path_factory.mktemp("bin")
    program = programs / "kzproxy"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m kzproxy "$@"\n')
    program.chmod(0o755)
    root = str(Path(__file__).parents[2])
    return {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}", "PYTHONPATH": root}


def test_a_reader_who_does_what_it_says_sees_what_it_says(directory, environment):
    commands = 0
    for kind, text in BLOCKS:
        if kind == "yaml":
            write(directory, text)
        elif kind == "console":
            commands += run(text, directory, environment)
    assert commands >= 7
    assert (directory / "report.xml").exists()


def write(directory, text):
    """Write a file of the page under the name in its first line."""
    name = text.partition("\n")[0].removeprefix("# ")
    (directory / name).write_text(text)


def run(text, directory, environment):
    """Run the commands of a block as a shell would, and return how many."""
    commands = COMMAND.findall(text)
    for (command, code), printed in zip(commands, outputs(text), strict=True):
        done = subprocess.run(
            ["/bin/sh", "-c", command],
            cwd=directory,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert AUDIT_ID.sub("AUDIT-ID", done.stdout + done.stderr) == printed, command
        assert done.returncode == int(code or 0), command
    return len(commands)


def outputs(text):
    """Return what the page shows after each command of a block."""
    return [part.partition("\n")[2] for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]]


@pytest.mark.cluster
def test_a_reader_with_a_cluster_sees_the_policy_at_work(
    directory, environment, control_plane, upstream_kubeconfig, administrator
):
    """The page's own files, but for what a test cannot have: issuer, cluster, office and ports."""
    kubectl = Kubectl.of(control_plane)
    kubectl.out("create", "clusterrolebinding", "tutorial", "--clusterrole=edit", GROUP)
    namespaces = administrator.post("/api/v1/namespaces", json={"metadata": {"name": "dev-web"}})
    namespaces.raise_for_status()
    authority = Authority.root()
    files = dict(text.split("\n", 1) for kind, text in BLOCKS if kind == "yaml")
    for name, text in files.items():
        changed = text.replace("203.0.113.0/24", "127.0.0.0/8")
        (directory / name.removeprefix("# ")).write_text(f"{name}\n{changed}")
    try:
        with issuer_in_thread(directory, authority) as issuer:
            served = placed(directory, authority, issuer, upstream_kubeconfig)
            with running_proxy(directory, yaml.safe_load(served)) as proxy:
                ports = {"127.0.0.1:8443": proxy.port, "127.0.0.1:9443": proxy.ops_port}
                for address, port in ports.items():
                    served = served.replace(address, f"127.0.0.1:{port}")
                (directory / "kzproxy.yaml").write_text(served)
                sees_it(World(directory, authority, issuer, proxy), kubectl, environment)
    finally:
        kubectl.out("delete", "clusterrolebinding", "tutorial")
        administrator.delete("/api/v1/namespaces/dev-web")


GROUP = "--group=oidc:developers"


def placed(directory, authority, issuer, upstream_kubeconfig):
    """Return the text of the page's kzproxy.yaml, for this machine; its other files are written."""
    (directory / "ca.crt").write_bytes(authority.pem)
    authority.server("localhost", "127.0.0.1").write_to(directory, "tls")
    authority.device("laptop").write_to(directory, "laptop")
    (directory / "device-ca.crt").write_bytes(authority.pem)
    authentication = yaml.safe_load((directory / "authentication.yaml").read_text())
    authentication["jwt"][0]["issuer"] |= {
        "url": issuer.url,
        "certificateAuthority": issuer.certificate_authority_pem,
    }
    (directory / "authentication.yaml").write_text(yaml.safe_dump(authentication))
    file = directory / "kzproxy.yaml"
    upstream = f"upstream:\n  kubeconfig: {{file: {upstream_kubeconfig}}}\n"
    file.write_text(re.sub(r"upstream:\n  server: .*\n", upstream, file.read_text()))
    return file.read_text()


def sees_it(world, kubectl, environment):
    """Do what a reader does with a kzproxy that runs, in two terminals."""
    developer = KubeconfigUser(
        name="dev",
        server=f"https://localhost:{world.proxy.port}",
        certificate_authority=world.authority_file,
        user={"token": world.token("dev", "developers")},
    )
    file = world.directory / "kubeconfig"
    developer.write(file)
    # A home of its own: with what was found out for an earlier test, of a kzproxy that had the same
    # port, kubectl asks for less than a reader's does, and the page counts its requests.
    kubectl = kubectl.using(kubeconfig=file, home=world.directory / "home")
    own = kubectl.environment()
    path = f"{kubectl.program.parent}:{environment['PATH']}"
    terminal = environment | own | {"PATH": path}
    before, after = [text for kind, text in BLOCKS if kind == "console live"]
    ops = f"127.0.0.1:{world.proxy.ops_port}"
    assert run(before.replace("127.0.0.1:9443", ops), world.directory, terminal) == 4
    turned_on = next(line for line in PAGE.splitlines() if line.startswith("$ sed "))
    subprocess.run(["/bin/sh", "-c", turned_on[2:]], cwd=world.directory, check=True)
    deadline = time.monotonic() + 20
    while b"kzproxy" not in kubectl("get", "pods").stderr:
        assert time.monotonic() < deadline, world.proxy.diagnostics
    assert run(after, world.directory, terminal) == 3


@pytest.mark.parametrize("lint", SEVERITIES)
def test_every_lint_stands_there_with_its_severity(lint):
    assert f"| `{lint}` | {SEVERITIES[lint]} |" in PAGE


@pytest.mark.parametrize("field", [*FIELDS, *(n for names in MAPPINGS.values() for n in names)])
def test_every_field_of_a_case_stands_there(field):
    assert f"`{field}`" in PAGE
