"""The Dockerfile is clean, and what it copies is there. Whether it builds, only an engine says."""

import fnmatch
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from zipfile import ZipFile

import pytest
import yaml

from kzproxy import __version__

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text()


def instructions(name: str) -> list[list[str]]:
    """Return the words of every such instruction, without its flags."""
    joined = DOCKERFILE.replace("\\\n", " ")
    lines = re.findall(rf"^{name} (.*)$", joined, flags=re.MULTILINE)
    return [[word for word in line.split() if not word.startswith("--")] for line in lines]


def sources() -> list[str]:
    """What is copied from the checkout, not from another stage."""
    local = [line for line in DOCKERFILE.splitlines() if line.startswith("COPY ")]
    return [source for line in local if "--from=" not in line for source in line.split()[1:-1]]


def test_hadolint_finds_nothing() -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    done = subprocess.run(
        [hadolint, "Dockerfile"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.stdout + done.stderr == ""
    assert done.returncode == 0


@pytest.mark.parametrize("source", sources())
def test_what_it_copies_is_there_and_is_not_ignored(source: str) -> None:
    assert (ROOT / source).exists()
    kept = [
        line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line[:1] == "!"
    ]
    assert any(fnmatch.fnmatch(source, pattern) for pattern in kept)


def test_a_wheel_of_a_checkout_installs_no_package_but_our_own(tmp_path: Path) -> None:
    """The checkout has bench and soak beside it, which are names that others have too."""
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, capture_output=True, check=True)
    (wheel,) = tmp_path.glob("*.whl")
    with ZipFile(wheel) as file:
        installed = {name.split("/")[0] for name in file.namelist()}
    assert installed == {"kzproxy", f"kzproxy-{__version__}.dist-info"}


def test_everything_is_ignored_that_is_not_named() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    assert next(line for line in lines if line and line[0] not in "#!") == "*"


def test_it_runs_as_the_user_of_the_deployment_and_not_as_root() -> None:
    pod = yaml.safe_load((ROOT / "deploy/base/deployment.yaml").read_text())["spec"]["template"]
    context = pod["spec"]["securityContext"]
    assert instructions("USER") == [[f"{context['runAsUser']}:{context['runAsGroup']}"]]
    assert context["runAsUser"] != 0


def test_it_exposes_the_ports_of_the_deployment() -> None:
    pod = yaml.safe_load((ROOT / "deploy/base/deployment.yaml").read_text())["spec"]["template"]
    ports = [str(port["containerPort"]) for port in pod["spec"]["containers"][0]["ports"]]
    assert instructions("EXPOSE") == [ports]


def test_it_names_the_version_of_the_package() -> None:
    assert f'org.opencontainers.image.version="{__version__}"' in DOCKERFILE
    image = yaml.safe_load((ROOT / "deploy/base/deployment.yaml").read_text())
    assert image["spec"]["template"]["spec"]["containers"][0]["image"] == f"kzproxy:{__version__}"


def test_every_package_it_installs_is_pinned_by_hash() -> None:
    for name in ("build.txt", "server.txt"):
        text = (ROOT / "requirements" / name).read_text().replace("\\\n", " ")
        pins = [line for line in text.splitlines() if line and not line.lstrip().startswith("#")]
        assert pins
        assert all("==" in pin and "--hash=sha256:" in pin for pin in pins)
    assert DOCKERFILE.count("--require-hashes") == 2


def test_the_build_backend_is_the_one_that_is_locked() -> None:
    build = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]
    locked = (ROOT / "requirements" / "build.txt").read_text()
    for requirement in build["requires"]:
        assert requirement in locked
