"""Say where and with what was measured."""

import os
import platform
import re
import ssl
import sys
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

from bench.programs import cache_directory, output_of

_REPOSITORY = Path(__file__).parents[1]


def commit() -> str:
    """Return the commit that is measured, and ``-dirty`` where files differ from it."""
    said = output_of("git", "-C", str(_REPOSITORY), "rev-parse", "--short=12", "HEAD")
    changed = output_of("git", "-C", str(_REPOSITORY), "status", "--porcelain", "--", "kzproxy")
    return f"{said}-dirty" if changed else said


def commit_since(begun: str) -> str:
    """Return the commit that was measured; both, where it changed after ``begun`` was read.

    Every start of kzproxy takes the files as they are then.
    """
    now = commit()
    return begun if now == begun else f"{begun}..{now}"


def versions(nginx: str, kubectl: Path | None) -> dict[str, str]:
    """Return the versions of everything that takes part."""
    found = {
        "kzproxy": version("kzproxy"),
        "python": _python(),
        "openssl": ssl.OPENSSL_VERSION,
        "nginx": output_of(nginx, "-v").removeprefix("nginx version: nginx/"),
        "go": output_of("go", "env", "GOVERSION").removeprefix("go"),
    }
    if kubectl is not None:
        said = output_of(str(kubectl), "version", "--client")
        found["kubernetes"] = _first(r"Client Version: v(\S+)", said)
        peers = (Path(__file__).parent / "peers" / "go.mod").read_text()
        found["kube-rbac-proxy"] = _first(r"require \S+/kube-rbac-proxy v(\S+)", peers)
    return found


def _python() -> str:
    """Return the interpreter's version, and whether it is the distribution's.

    Those are built with profile and link time optimisation, though they do not say so; what a
    version manager compiles is not, by default.
    """
    whose = "the distribution's" if sys.base_prefix == "/usr" else "not the distribution's"
    return f"{platform.python_version()} ({whose})"


def machine() -> Mapping[str, str]:
    """Return what figures depend on besides."""
    processor = _first(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    return {
        "processor": processor,
        "cores": str(os.cpu_count()),
        "kernel": platform.release(),
        "log_file_system": _file_system(cache_directory()),
        "platform": sys.platform,
    }


def _file_system(directory: Path) -> str:
    """Return the type of file system that ``directory`` is on."""
    mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    holding = [each for each in mounts if directory.is_relative_to(each[1])]
    return max(holding, key=lambda each: len(each[1]))[2]


def _first(pattern: str, text: str) -> str:
    found = re.search(pattern, text)
    return found.group(1).strip() if found else "unknown"
