"""Record what real clients send: ``python -m tests.traffic.record --kubectl --helm HELM ...``.

Runs kubectl through all verbs of the tests, Helm through a release's life, the Kubernetes Python
client through ``client_of_python.py``, those of JavaScript and Java through ``client_of_node.mjs``
and ``ClientOfFabric8.java``, and k9s by its keys (``k9s_in_terminal.py``), against the real
control plane, and writes every head that differs from those before it to ``heads.jsonl``.
What was recorded of a client that is not named stays. Helm (helm.sh/helm/v3), k9s
(github.com/derailed/k9s, by a go.mod that names its version), a Python that has ``kubernetes``, a
directory into which npm has installed ``@kubernetes/client-node``, and one of jars with
``io.fabric8:kubernetes-client`` and what it depends on are to be brought along.
"""

import argparse
import json
import os
import re
import shutil
import ssl
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from kzproxy.clock.system import SystemClock
from kzproxy.demo.binaries import Binaries
from kzproxy.demo.control_plane import ControlPlane
from kzproxy.demo.kubeconfig_file import KubeconfigUser
from tests.cluster.binaries import built_directory
from tests.cluster.kubectl import SPDY, WEBSOCKET, Kubectl
from tests.cluster.namespaces import fresh_namespace
from tests.cluster.plain_verbs import PLAIN_VERBS
from tests.cluster.pods import start_pods
from tests.cluster.streaming_verbs import STREAMING_VERBS
from tests.servers.authority import Authority
from tests.traffic.k9s_in_terminal import drive
from tests.traffic.recorder import Recorder, server_context

CORPUS = Path(__file__).with_name("heads.jsonl")
_HERE = Path(__file__).parent
_CHART = _HERE / "chart"
# What is of one run alone: two heads that differ in it only are one.
_OF_ONE_RUN = (
    (rb"(?i)(\r\nhost: )[^\r]*", rb"\1localhost:8443"),
    (rb"(?i)(\r\norigin: )[^\r]*", rb"\1https://localhost:8443"),
    (rb"(?i)(\r\nkubectl-session: )[^\r]*", rb"\g<1>00000000-0000-0000-0000-000000000000"),
    (rb"(?i)(\r\nsec-websocket-key: )[^\r]*", rb"\1AAAAAAAAAAAAAAAAAAAAAA=="),
    (rb"resourceVersion=[1-9]\d*", b"resourceVersion=1234"),
    (rb"timeout(Seconds)?=\d+", rb"timeout\1=300"),
    (rb"(?i)(\r\ncontent-length: )\d\d+", rb"\g<1>100"),
    (rb"-[0-9a-f]{8}(?=[/?&% .-])", b"-00000000"),
    (rb"continue=[^& ]+", b"continue=AAAA"),
)


def main() -> None:
    """Record."""
    options = _options()
    clock = SystemClock()
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        binaries = Binaries.find(os.environ, built=built_directory())
        with ControlPlane(binaries, directory / "cluster", clock=clock) as plane:
            clients = _clients(options, plane)
            found = _kept(set(clients)) | {
                client: _recorded(plane, directory, run) for client, run in clients.items()
            }
    with CORPUS.open("w", encoding="ascii") as corpus:
        for client, heads in found.items():
            for head in heads:
                text = head.decode("latin-1")
                corpus.write(json.dumps({"client": client, "head": text}) + "\n")
    print({client: len(heads) for client, heads in found.items()})


def _clients(options: argparse.Namespace, plane: ControlPlane) -> dict[str, Callable[[Path], None]]:
    """Return those that were named, each with what runs it by a kubeconfig."""
    clients: dict[str, Callable[[Path], None]] = {}
    if options.kubectl:
        clients["kubectl"] = lambda file: _kubectl(plane, file)
    if options.helm:
        clients["helm"] = lambda file: _helm(options.helm, file)
    if options.python:
        clients["python"] = lambda file: _python(options.python, file)
    if options.node:
        clients["node"] = lambda file: _node(options.node, file)
    if options.fabric8:
        clients["fabric8"] = lambda file: _fabric8(options.fabric8, plane, file)
    if options.k9s:
        clients["k9s"] = lambda file: _k9s(options.k9s, plane, file)
    return clients


def _kept(recorded_anew: set[str]) -> dict[str, list[bytes]]:
    """Return what the corpus has of the other clients."""
    kept: dict[str, list[bytes]] = {}
    for line in CORPUS.read_text(encoding="ascii").splitlines():
        read = json.loads(line)
        if read["client"] not in recorded_anew:
            kept.setdefault(read["client"], []).append(read["head"].encode("latin-1"))
    return kept


def _recorded(plane: ControlPlane, directory: Path, run: Callable[[Path], None]) -> list[bytes]:
    authority = Authority.root()
    certificate, key = authority.server("localhost", "127.0.0.1").write_to(directory, "recorder")
    (directory / "recorder-ca.crt").write_bytes(authority.pem)
    recorder = Recorder(
        server_context(certificate, key), _administrator(plane), int(plane.server.split(":")[-1])
    )
    with recorder.running():
        kubeconfig = directory / "recorder.kubeconfig"
        KubeconfigUser(
            name="recorded",
            server=f"https://localhost:{recorder.port}",
            certificate_authority=directory / "recorder-ca.crt",
            user={"token": "recorded-token"},
        ).write(kubeconfig)
        run(kubeconfig)
    return list(dict.fromkeys(_of_any_run(head) for head in recorder.heads))


def _of_any_run(head: bytes) -> bytes:
    for pattern, replacement in _OF_ONE_RUN:
        head = re.sub(pattern, replacement, head)
    return head


def _administrator(plane: ControlPlane) -> ssl.SSLContext:
    files = plane._files
    context = ssl.create_default_context(cafile=files.authority)
    context.load_cert_chain(files.certificate("admin"), files.private_key("admin"))
    return context


def _kubectl(plane: ControlPlane, kubeconfig: Path) -> None:
    with plane.administrator() as api, fresh_namespace(api, "record") as namespace:
        start_pods(Kubectl.of(plane).using(namespace=namespace))
        kubectl = Kubectl.of(plane).using(namespace=namespace, kubeconfig=kubeconfig)
        for verb in PLAIN_VERBS:
            verb(kubectl)
        for transport in (WEBSOCKET, SPDY):
            for verb in STREAMING_VERBS:
                verb(kubectl.using(extra=transport))
        for words in _MORE_KUBECTL:
            kubectl(*words.split())


_MORE_KUBECTL = (
    "api-resources",
    "api-versions",
    "auth can-i --list",
    "auth can-i get pods",
    "auth whoami",
    "cluster-info",
    "describe pods",
    "describe namespace default",
    "explain deployment.spec",
    "get all --all-namespaces",
    "get events --watch-only --request-timeout=1s",
    "get nodes --output=wide",
    "get pods --field-selector=status.phase=Running --show-labels",
    "get --raw /readyz?verbose",
    "create deployment web --image=x --replicas=0",
    "rollout status deployment/web --timeout=1s",
    "rollout history deployment/web",
    "scale deployment/web --replicas=0",
    "set image deployment/web x=y",
    "label deployment/web a=b",
    "annotate deployment/web a=b",
    "autoscale deployment/web --max=2",
    "expose deployment/web --port=80",
    "create token default",
    "create configmap c --from-literal=a=b --dry-run=server",
    "diff --filename=/dev/null",
    "replace --filename=/dev/null",
    "delete deployment/web --wait=false --cascade=foreground",
    "drain none --ignore-daemonsets",
    "top pods",
    "version --output=json",
    "wait --for=condition=Ready pods --all --timeout=1s",
    "proxy --port=0 --help",
)


def _helm(helm: Path, kubeconfig: Path) -> None:
    with tempfile.TemporaryDirectory() as home:
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": home,
            "KUBECONFIG": str(kubeconfig),
        }
        for words in (
            f"install web {_CHART} --namespace=helm --create-namespace",
            "list --namespace=helm --all",
            "status web --namespace=helm",
            "get manifest web --namespace=helm",
            f"upgrade web {_CHART} --namespace=helm --set=colour=blue --atomic --timeout=20s",
            "history web --namespace=helm",
            "rollback web 1 --namespace=helm",
            f"template {_CHART} --validate",
            "test web --namespace=helm --timeout=5s",
            "uninstall web --namespace=helm --wait",
        ):
            done = subprocess.run(
                [str(helm), *words.split()], env=environment, capture_output=True, check=False
            )
            if done.returncode:
                print("helm", words, done.stderr.decode()[-400:], file=sys.stderr)


def _python(python: Path, kubeconfig: Path) -> None:
    script = _HERE / "client_of_python.py"
    environment = {"PATH": os.environ["PATH"], "KUBECONFIG": str(kubeconfig)}
    subprocess.run([str(python), str(script)], env=environment, check=True)


def _node(installed: Path, kubeconfig: Path) -> None:
    script = installed / "client_of_node.mjs"  # It finds what is installed beside itself.
    shutil.copy(_HERE / script.name, script)
    environment = {"PATH": os.environ["PATH"], "KUBECONFIG": str(kubeconfig)}
    subprocess.run(["node", str(script)], env=environment, check=True)


def _fabric8(jars: Path, plane: ControlPlane, kubeconfig: Path) -> None:
    with plane.administrator() as api, fresh_namespace(api, "record") as namespace:
        start_pods(Kubectl.of(plane).using(namespace=namespace))
        environment = {
            "PATH": os.environ["PATH"],
            "KUBECONFIG": str(kubeconfig),
            "NAMESPACE": namespace,
        }
        command = ["java", "--class-path", f"{jars}/*", str(_HERE / "ClientOfFabric8.java")]
        subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, check=True)


def _k9s(k9s: Path, plane: ControlPlane, kubeconfig: Path) -> None:
    with (
        tempfile.TemporaryDirectory() as home,
        plane.administrator() as api,
        fresh_namespace(api, "record") as namespace,
    ):
        kubectl = Kubectl.of(plane).using(namespace=namespace)
        start_pods(kubectl)
        kubectl.out("create", "deployment", "web", "--image=x", "--replicas=0")
        screen = drive(k9s, kubeconfig, Path(home), namespace)
        print("k9s", screen[-500:], file=sys.stderr)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.traffic.record", description=__doc__)
    parser.add_argument("--kubectl", action="store_true", help="that of the control plane")
    parser.add_argument("--helm", type=Path)
    parser.add_argument("--python", type=Path, help="one that has `kubernetes`")
    parser.add_argument("--node", type=Path, help="a directory that has the client installed")
    parser.add_argument("--fabric8", type=Path, help="a directory of jars")
    parser.add_argument("--k9s", type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    main()
