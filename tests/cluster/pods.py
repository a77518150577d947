"""The pods that the verbs are tried on. Their commands run on this machine: see the nodelet."""

import json
import sys
from typing import Any

from tests.cluster.kubectl import Kubectl

WEB = "web"
"""A pod with three containers: ``main`` serves HTTP, ``ticker`` writes a line now and then,
``shell`` answers each line of its input."""

CONSOLE = "console"
"""A pod whose one container is a shell on a terminal."""

# Answers on a port of its own choice, which it writes into the file ``port``: pods share this
# machine's ports.
_SERVE = """
import functools, http.server, pathlib
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
pathlib.Path("port").write_text(str(server.server_address[1]))
server.serve_forever()
"""
_TICK = "i=0; while sleep 0.2; do i=$((i+1)); echo tick $i; done"
_ANSWER = 'while read line; do echo "got $line"; echo "heard $line" >&2; done; echo end of input'
_CONSOLE = 'while printf "prompt> " && read line; do echo "said $line"; done'


def start_pods(kubectl: Kubectl) -> None:
    """Make both pods in ``kubectl``'s namespace, and return once they are ready."""
    main = _container("main", sys.executable, "-c", _SERVE)
    ticker = _container("ticker", "sh", "-c", _TICK)
    shell = {**_container("shell", "sh", "-c", _ANSWER), "stdin": True}
    console = {**_container("shell", "sh", "-c", _CONSOLE), "stdin": True, "tty": True}
    pods = [pod(WEB, main, ticker, shell), pod(CONSOLE, console)]
    apply(kubectl, *pods)
    kubectl.out("wait", "--for=condition=Ready", f"pod/{WEB}", f"pod/{CONSOLE}", "--timeout=120s")


def apply(kubectl: Kubectl, *objects: dict[str, Any]) -> None:
    """Apply objects."""
    everything = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
    kubectl.out("apply", "--filename=-", stdin=json.dumps(everything).encode())


def pod(name: str, *containers: dict[str, Any], **spec: Any) -> dict[str, Any]:
    """Return a pod that is never restarted and ends at once."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {
            "terminationGracePeriodSeconds": 0,
            "restartPolicy": "Never",
            "containers": list(containers),
            **spec,
        },
    }


def shell_pod(name: str, script: str, **spec: Any) -> dict[str, Any]:
    """Return a pod that runs a shell script."""
    return pod(name, _container("main", "sh", "-c", script), **spec)


def _container(name: str, *command: str) -> dict[str, Any]:
    return {"name": name, "image": "none.invalid/none", "command": list(command)}
