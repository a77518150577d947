#!/usr/bin/env python3
"""Build the real control plane that the tests and the demo run against, once per key.

The binaries are etcd, kube-apiserver, kube-controller-manager, the test node ("nodelet") and the
RequestInfo oracle, linked as one, and kubectl, which starts faster alone. They are kept in
``${KZPROXY_CONTROLPLANE_CACHE:-~/.cache/kzproxy-build/controlplane}/KEY``, where KEY covers
everything that goes into them; ``~/.cache/kzproxy`` is the client's, which takes it only where
nobody else may read it. ``current`` beside KEY leads to the last one built or found: the demo,
which cannot work out a key, uses that.

Only the standard library is used: this runs before the virtual environment exists. Progress goes to
stderr; the last line of stdout is the directory.
"""

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MODULE = Path(__file__).resolve().parent / "controlplane"
COMPONENTS = ("etcd", "kube-apiserver", "kube-controller-manager", "nodelet", "requestinfo")
# Written last: a directory without it is half built.
WHOLE = "whole"
NICENESS = 10


class CannotBuildError(Exception):
    """The control plane cannot be built here; the message says what is missing."""


def main() -> int:
    """Build what is missing, print its directory, and return the exit code."""
    os.nice(NICENESS)
    try:
        directory = build(cache_directory())
    except CannotBuildError as mistake:
        say(str(mistake))
        return 1
    print(directory)
    return 0


def cache_directory() -> Path:
    """Return the directory that holds one directory per key."""
    given = os.environ.get("KZPROXY_CONTROLPLANE_CACHE")
    return Path(given or Path.home() / ".cache" / "kzproxy-build" / "controlplane").resolve()


def build(cache: Path) -> Path:
    """Return the directory of whole binaries for this checkout, building them if need be.

    Any number of processes may call it at once: one builds, the others wait for it.
    """
    directory = cache / key(go_version())
    if not is_whole(directory):
        directory.mkdir(parents=True, exist_ok=True)
        with locked(cache / f"{directory.name}.lock"):
            if not is_whole(directory):
                build_into(directory)
    lead_current_to(directory)
    return directory


def is_whole(directory: Path) -> bool:
    """Tell whether a build ended in ``directory``."""
    return (directory / WHOLE).is_file()


def key(version: str) -> str:
    """Return the name for what these sources, sums, flags and this Go build here."""
    digest = hashlib.sha256()
    for part in (version, *go_env("GOOS", "GOARCH"), *build_flags()):
        digest.update(part.encode() + b"\0")
    for source in sources():
        digest.update(str(source.relative_to(MODULE)).encode() + b"\0")
        digest.update(hashlib.sha256(source.read_bytes()).digest())
    return digest.hexdigest()[:16]


def sources() -> list[Path]:
    """Return every file that goes into the binaries, in a fixed order."""
    go_files = (path for path in MODULE.rglob("*.go") if not path.name.endswith("_test.go"))
    return sorted([MODULE / "go.mod", MODULE / "go.sum", *go_files])


def build_flags() -> list[str]:
    """Return go's flags: no debugging data, which is half the time, and the version."""
    # Without the -X flags the API server calls itself v0.0.0-master.
    version = kubernetes_version()
    major, minor, _ = version.lstrip("v").split(".", 2)
    package = "k8s.io/component-base/version"
    stamps = {"gitVersion": version, "gitMajor": major, "gitMinor": minor}
    linked = " ".join(f"-X {package}.{name}={value}" for name, value in stamps.items())
    return [
        "-mod=readonly",
        "-trimpath",
        "-buildvcs=false",
        "-gcflags=all=-dwarf=false",
        f"-ldflags=-s -w {linked}",
    ]


def kubernetes_version() -> str:
    """Return the version of k8s.io/kubernetes in go.mod, such as ``v1.36.3``."""
    return first_match(r"^\s+k8s\.io/kubernetes (v\S+)", (MODULE / "go.mod").read_text())


def go_version() -> str:
    """Return Go's version, such as ``1.26.8``.

    Raises:
        CannotBuildError: Go is not there, or older than go.mod wants.
    """
    wanted = first_match(r"^go (\S+)", (MODULE / "go.mod").read_text())
    if shutil.which("go") is None:
        raise CannotBuildError(
            f"Go {wanted} or newer is needed to build the control plane: no `go` found in PATH"
        )
    (found,) = go_env("GOVERSION")
    found = found.removeprefix("go")
    if numbers(found) < numbers(wanted):
        raise CannotBuildError(
            f"Go {wanted} or newer is needed to build the control plane: found {found}"
        )
    return found


def numbers(version: str) -> tuple[int, ...]:
    """Return the numbers of a version's first three parts, for comparing."""
    return tuple(int(number) for number in re.findall(r"\d+", version)[:3])


def go_env(*names: str) -> list[str]:
    """Return what ``go env`` says of each name, of the Go that is installed."""
    # From the root, where no go.mod makes an old Go refuse before it has said its version.
    command = ["go", "env", *names]
    done = subprocess.run(
        command, cwd="/", env=go_environment(), capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise CannotBuildError(f"`go env` failed: {done.stderr.strip()}")
    return done.stdout.split()


def go_environment() -> dict[str, str]:
    """Return the environment for go: it must not fetch another Go by itself."""
    return {**os.environ, "GOTOOLCHAIN": "local", "GOWORK": "off"}


def build_into(directory: Path) -> None:
    """Build everything into ``directory``, and mark it whole."""
    begun = time.monotonic()
    say(f"building Kubernetes {kubernetes_version()} into {directory}")
    say("once only: some seconds with a warm Go cache, 6 to 12 minutes without")
    go_build(directory / "controlplane", ".")
    for component in COMPONENTS:
        link(directory / component, "controlplane")
    go_build(directory / "kubectl", "k8s.io/kubernetes/cmd/kubectl")
    (directory / WHOLE).write_text(kubernetes_version() + "\n")
    say(f"built in {time.monotonic() - begun:.0f} s")


def go_build(output: Path, package: str) -> None:
    """Build one binary; ``output`` is there only if that went well."""
    unfinished = output.with_name(output.name + ".unfinished")
    say(f"go build {package}")
    command = ["go", "build", *build_flags(), "-o", str(unfinished), package]
    done = subprocess.run(command, cwd=MODULE, env=go_environment(), stdout=sys.stderr, check=False)
    if done.returncode != 0:
        raise CannotBuildError(f"go build {package} failed: see above")
    unfinished.replace(output)


def lead_current_to(directory: Path) -> None:
    """Let ``current`` beside ``directory`` lead to it."""
    current = directory.parent / "current"
    if not (current.is_symlink() and current.readlink() == Path(directory.name)):
        link(current, directory.name)


def link(path: Path, target: str) -> None:
    """Make ``path`` a symbolic link in one step, in place of what was there."""
    unfinished = path.with_name(f"{path.name}.{os.getpid()}")
    unfinished.symlink_to(target)
    unfinished.replace(path)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock file ``path``; the kernel lets go of it if we die."""
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def first_match(pattern: str, text: str) -> str:
    """Return the first group of ``pattern`` in ``text``; go.mod without it is a broken checkout."""
    found = re.search(pattern, text, re.MULTILINE)
    if found is None:
        raise CannotBuildError(f"{MODULE / 'go.mod'} lacks {pattern}")
    return found.group(1)


def say(line: str) -> None:
    """Report progress."""
    print(f"controlplane: {line}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
