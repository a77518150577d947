"""Drive k9s by its keys, in a terminal of its own, through what its users do."""

import fcntl
import os
import pty
import struct
import subprocess
import termios
import threading
import time
from pathlib import Path

_ROWS, _COLUMNS = 50, 200
_STARTS_SECONDS = 12.0
_STEP_SECONDS = 2.5
_ENTER, _ESCAPE, _TAB, _CTRL_D, _SHIFT_F = b"\r", b"\x1b", b"\t", b"\x04", b"F"

VIEWS = [
    "nodes",
    "namespaces",
    "deployments",
    "statefulsets",
    "daemonsets",
    "replicasets",
    "jobs",
    "cronjobs",
    "services",
    "endpoints",
    "ingresses",
    "configmaps",
    "secrets",
    "serviceaccounts",
    "persistentvolumes",
    "persistentvolumeclaims",
    "storageclasses",
    "events",
    "crds",
    "clusterroles",
    "rolebindings",
    "horizontalpodautoscalers",
    "poddisruptionbudgets",
    "networkpolicies",
    "apiservices",
    "leases",
    "pulses",
    "portforwards",
    "users",
    "groups",
    "aliases",
]
# What is typed, and what it is to k9s.
STEPS = (
    b"d",  # describe
    _ESCAPE,
    b"y",  # YAML
    _ESCAPE,
    b"l",  # logs
    _ESCAPE,
    b"p",  # logs of the one before
    _ESCAPE,
    b"s",  # a shell
    b"exit" + _ENTER,
    b"a",  # attach
    b"\x03",
    _SHIFT_F,  # port-forward
    _TAB * 6 + _ENTER,
    _ESCAPE,
    _ENTER,  # the pod's containers
    _ESCAPE,
    b"0",  # of all namespaces
    b":pods kube-system" + _ENTER,
    b":pods app=web" + _ENTER,
    *(f":{view}".encode() + _ENTER for view in VIEWS),
    b":xray deployments" + _ENTER,
    b":workloads" + _ENTER,
    b":deployments" + _ENTER,
    b"0",
    b"s" + _TAB + _ENTER,  # scale
    _ESCAPE,
    b"r",  # restart
    _TAB + _ENTER,
    _ESCAPE,
    b":configmaps" + _ENTER,
    b"0",
    _CTRL_D,  # delete
    _TAB + _ENTER,
    _ESCAPE,
    b":q" + _ENTER,
)


def drive(program: Path, kubeconfig: Path, home: Path, namespace: str) -> str:
    """Run k9s through ``STEPS``; return the last of what was on its screen."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", _ROWS, _COLUMNS, 0, 0))
    command = [
        *("setsid", "--ctty", str(program)),
        *("--kubeconfig", str(kubeconfig), "--namespace", namespace, "--command", "pods"),
        *("--logFile", str(home / "k9s.log"), "--splashless"),
    ]
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "TERM": "xterm-256color",
        "K9S_CONFIG_DIR": str(home / "config"),
        "EDITOR": "true",
    }
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment)
    os.close(theirs)
    seen = bytearray()
    reading = threading.Thread(target=_read, args=(ours, seen))
    reading.start()
    try:
        time.sleep(_STARTS_SECONDS)
        for keys in STEPS:
            os.write(ours, keys)
            time.sleep(_STEP_SECONDS)
    except OSError:  # it has ended
        pass
    finally:
        process.terminate()
        process.wait(10)
        reading.join(10)
        os.close(ours)
    return bytes(seen[-4000:]).decode(errors="replace")


def _read(terminal: int, seen: bytearray) -> None:
    """Take what is drawn, as a terminal does: who draws would wait otherwise."""
    try:
        while data := os.read(terminal, 65536):
            seen += data
    except OSError:
        return
