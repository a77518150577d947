"""Files that kube-apiserver does not start with: kzproxy finds a mistake in the same entries."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from kzproxy.config.authentication import load_authentication
from kzproxy.config.document import Mistakes
from kzproxy.demo.control_plane import ControlPlane
from kzproxy.demo.loopback_ports import free_ports
from kzproxy.errors.configuration import ConfigurationError
from tests.authentication.claim_cases import claim_rule, mapped, user_rule, value
from tests.authentication.like_kube_apiserver import api_server_command

pytestmark = pytest.mark.cluster

_START_SECONDS = 60

# Each is wrong for kube-apiserver.
REFUSED: dict[str, dict[str, Any]] = {
    "no such function": value("claims.a.nonsense()"),
    "no such variable": value("claim.a"),
    "syntax": value("claims.a &&"),
    "types that do not go together": value("'a' + 1"),
    "lists of several types": value("['a', 1]"),
    "a choice of two types": value("claims.a ? 'x' : 1"),
    "a walk over a bare claim": value("claims.roles.map(r, r)"),
    "a pattern that is none": mapped("claims.sub", **claim_rule("claims.a.matches('[')")),
    "a duration that is none": mapped(
        "claims.sub", **claim_rule("duration('x') == duration('1h')")
    ),
    "a timestamp that is none": mapped(
        "claims.sub", **claim_rule("timestamp('x') == timestamp('2026-01-01T00:00:00Z')")
    ),
    "a rule that gives no bool": mapped("claims.sub", **claim_rule("claims.sub")),
    "a user rule that gives no bool": mapped("claims.sub", **user_rule("user.username")),
    "claims in a user rule": mapped("claims.sub", **user_rule("claims.sub == 'x'")),
    "user in a claim rule": mapped("claims.sub", **claim_rule("user.username == 'x'")),
    "no such field of the user": mapped("claims.sub", **user_rule("user.name == 'x'")),
    "an address that is not verified": mapped("claims.email"),
    "an optional address that is not verified": mapped("claims.?email.orValue('x')"),
    "the same rule twice": mapped(
        "claims.sub", claimValidationRules=[{"expression": "claims.a == 'x'"}] * 2
    ),
    "the same user rule twice": mapped(
        "claims.sub", userValidationRules=[{"expression": "user.uid == 'x'"}] * 2
    ),
    "an expression beside a prefix": {
        "claimMappings": {"username": {"expression": "claims.sub", "prefix": "x"}}
    },
    "an expression beside a claim": {
        "claimMappings": {"username": {"expression": "claims.sub", "claim": "sub"}}
    },
    "neither claim nor expression": {"claimMappings": {"username": {}}},
    "a claim without prefix": {"claimMappings": {"username": {"claim": "sub"}}},
    "a uid of both": {
        "claimMappings": {
            "username": {"expression": "claims.sub"},
            "uid": {"claim": "a", "expression": "claims.a"},
        }
    },
    "a required value beside an expression": mapped(
        "claims.sub",
        claimValidationRules=[{"expression": "claims.a == 'x'", "requiredValue": "x"}],
    ),
    "a message beside a claim": mapped(
        "claims.sub", claimValidationRules=[{"claim": "a", "message": "x"}]
    ),
    "an empty user rule": mapped("claims.sub", userValidationRules=[{"expression": ""}]),
    "an extra without domain": mapped("claims.sub", extra={"a": "claims.a"}),
    "an extra in capitals": mapped("claims.sub", extra={"example.com/A": "claims.a"}),
    "an extra of Kubernetes' own": mapped("claims.sub", extra={"x.k8s.io/a": "claims.a"}),
}


def file_of(directory: Path) -> Path:
    entries = [
        {"issuer": {"url": f"https://idp.example.com/{number}", "audiences": ["k"]}} | entry
        for number, entry in enumerate(REFUSED.values())
    ]
    file = directory / "authentication.yaml"
    file.write_text(
        yaml.dump(
            {
                "apiVersion": "apiserver.config.k8s.io/v1",
                "kind": "AuthenticationConfiguration",
                "jwt": entries,
            },
            Dumper=_WithoutAliases,
        )
    )
    return file


class _WithoutAliases(yaml.SafeDumper):
    def ignore_aliases(self, data: object) -> bool:
        return True


def test_what_kube_apiserver_refuses_to_start_with_is_a_mistake(
    control_plane: ControlPlane, tmp_path: Path
) -> None:
    file = file_of(tmp_path)
    run = subprocess.run(
        api_server_command(control_plane, free_ports(1)[0], file),
        capture_output=True,
        text=True,
        timeout=_START_SECONDS,
        check=False,
    )
    assert run.returncode != 0
    refused_there = {int(number) for number in re.findall(r"jwt\[(\d+)\]", run.stderr)}
    assert refused_there == set(range(len(REFUSED))), run.stderr

    assert refused_here(file) == refused_there


def refused_here(file: Path) -> set[int]:
    """Return the numbers of the entries in which kzproxy finds a mistake."""
    mistakes = Mistakes()
    load_authentication(file, mistakes)
    with pytest.raises(ConfigurationError) as raised:
        mistakes.raise_if_any()
    starts = [
        number
        for number, line in enumerate(file.read_text().splitlines(), start=1)
        if line.startswith("- ")
    ]
    lines = [mistake.line for mistake in raised.value.mistakes]
    return {sum(start <= line for start in starts) - 1 for line in lines}
