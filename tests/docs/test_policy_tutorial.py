"""docs/policy.md: every file in it is written, every command run, and prints what stands there."""

import os
import re
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from kzproxy.clock.system import SystemClock
from kzproxy.demo.certificates import CertificateAuthority
from kzproxy.policy_tools.case_fields import FIELDS, MAPPINGS
from kzproxy.policy_tools.finding import SEVERITIES

PAGE = (Path(__file__).parents[2] / "docs" / "policy.md").read_text()
BLOCKS = re.findall(r"```(yaml|console)\n(.*?)```", PAGE, re.DOTALL)
COMMAND = re.compile(r"^\$ (.*?)(?:   # exits ([0-9]))?$", re.MULTILINE)
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
            name = text.partition("\n")[0].removeprefix("# ")
            (directory / name).write_text(text)
            continue
        for (command, code), printed in zip(COMMAND.findall(text), outputs(text), strict=True):
            done = subprocess.run(
                ["/bin/sh", "-c", command],
                cwd=directory,
                env=environment,
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.stdout + done.stderr == printed, command
            assert done.returncode == int(code or 0), command
            commands += 1
    assert commands >= 7
    assert (directory / "report.xml").exists()


def outputs(text):
    """Return what the page shows after each command of a block."""
    return [part.partition("\n")[2] for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]]


@pytest.mark.parametrize("lint", SEVERITIES)
def test_every_lint_stands_there_with_its_severity(lint):
    assert f"| `{lint}` | {SEVERITIES[lint]} |" in PAGE


@pytest.mark.parametrize("field", [*FIELDS, *(n for names in MAPPINGS.values() for n in names)])
def test_every_field_of_a_case_stands_there(field):
    assert f"`{field}`" in PAGE
