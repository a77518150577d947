"""The programs that are run: ours built from Go, the others found or built."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

_BEGUN = time.perf_counter()
_HERE = Path(__file__).parent
_KUBE_RBAC_PROXY = "github.com/brancz/kube-rbac-proxy/cmd/kube-rbac-proxy"


class CannotRunError(Exception):
    """Something is missing, or something ended that should run; the message says what."""


def say(line: str) -> None:
    """Report progress, on standard error."""
    elapsed = time.perf_counter() - _BEGUN
    sys.stderr.write(f"bench: {elapsed:5.1f} s: {line}\n")
    sys.stderr.flush()


def cache_directory() -> Path:
    """Return where builds and runs are kept: a disk, not a file system in memory."""
    directory = Path.home() / ".cache" / "kzproxy-build" / "bench"
    directory.mkdir(parents=True, exist_ok=True)
    return directory


def build_upstream() -> Path:
    """Build the fixed upstream; Go does nothing where nothing has changed."""
    return _go_build(_HERE, "./upstream", "upstream")


def build_load() -> Path:
    """Build the load generator."""
    return _go_build(_HERE, "./load", "load")


def build_kube_rbac_proxy() -> Path:
    """Build kube-rbac-proxy as released, from the module proxy."""
    return _go_build(_HERE / "peers", _KUBE_RBAC_PROXY, "kube-rbac-proxy")


def find_nginx() -> str:
    """Return nginx's path.

    Raises:
        CannotRunError: It is not installed.
    """
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin"
    found = shutil.which("nginx", path=path)
    if found is None:
        raise CannotRunError("nginx is not installed: `make bench` does so (nginx-light)")
    return found


def output_of(*command: str) -> str:
    """Return what a command says, on either stream; a version, as a rule."""
    done = subprocess.run(  # noqa: S603 - a command of ours
        command, capture_output=True, text=True, check=False
    )
    return (done.stdout + done.stderr).strip()


def _go_build(module: Path, package: str, name: str) -> Path:
    output = cache_directory() / "tools" / name
    command = ["go", "build", "-trimpath", "-o", str(output), package]
    environment = {
        **os.environ,
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
        "GOFLAGS": "-mod=readonly",
    }
    try:
        done = subprocess.run(  # noqa: S603 - a command of ours
            command, cwd=module, env=environment, stdout=sys.stderr, check=False
        )
    except FileNotFoundError as missing:
        raise CannotRunError("Go is needed to build the benchmark: no `go` in PATH") from missing
    if done.returncode != 0:
        raise CannotRunError(f"go build {package} failed: see above")
    return output
