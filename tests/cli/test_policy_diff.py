"""``kzproxy policy diff`` and ``policy schema``: what they print and how they exit."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from kzproxy.cli.command_group import group
from kzproxy.config.policy_schema import access_policy_schema
from kzproxy.errors.configuration import ConfigurationError
from kzproxy.policy_tools.case_schema import policy_test_schema

OLD = """\
apiVersion: kzproxy.dev/v1
kind: AccessPolicy
metadata: {name: team}
networks:
  office: ["203.0.113.0/24"]
rules:
- id: developers
  effect: allow
  subjects: {groups: ["oidc:developers"]}
  match:
  - verbs: [get, list, watch]
    apiGroups: [""]
    resources: [pods]
    namespaces: ["dev-*"]
- id: operators
  effect: allow
  subjects: {groups: ["oidc:operators"]}
  match: [{verbs: ["*"], apiGroups: ["*"], resources: ["*"]}]
  conditions: {networks: [office]}
- id: nobody
  effect: deny
  subjects: {groups: ["system:authenticated"]}
  match: [{verbs: ["*"], apiGroups: ["*"], resources: [secrets]}]
"""
NEW = (
    OLD.replace(
        'namespaces: ["dev-*"]',
        'namespaces: ["dev-*", staging]\n  conditions:\n    device: {enrolled: true}',
    )
    .replace('"203.0.113.0/24"', '"203.0.113.0/25"')
    .partition("- id: nobody")[0]
)
TOLD = """\
~ network office (old.yaml:5 -> new.yaml:5): used by operators
    office: [203.0.113.0/24] -> [203.0.113.0/25]
- deny rule nobody (old.yaml:20): can widen access
    - subjects.groups: ["system:authenticated"]
    - match[0]: {verbs: ["*"], apiGroups: ["*"], resources: [secrets]}
~ allow rule developers (old.yaml:7 -> new.yaml:7): may go either way
    match[0].namespaces: ["dev-*"] -> ["dev-*", staging]   [can widen access]
    + conditions.device.enrolled: true   [can narrow access]
~ allow rule operators (old.yaml:15 -> new.yaml:17): can narrow access
    through network office
1 definition and 3 rules: may go either way
"""


@pytest.fixture
def directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "old.yaml").write_text(OLD)
    (tmp_path / "new.yaml").write_text(NEW)
    return tmp_path


def diff(*arguments):
    return CliRunner().invoke(group, ["policy", "diff", *arguments], prog_name="kzproxy")


def test_each_change_is_told_with_its_place_and_what_it_can_do(directory):
    result = diff("old.yaml", "new.yaml")

    assert result.output == TOLD
    assert result.exit_code == 1


def test_two_spellings_of_one_policy_do_not_differ(directory):
    (directory / "new.yaml").write_text("# The same.\n" + OLD.replace("[get, list,", "[list, get,"))
    result = diff("old.yaml", "new.yaml")

    assert result.output.startswith("no difference (3 rules, revision ")
    assert result.exit_code == 0


def test_the_same_is_said_to_programs(directory):
    result = diff("old.yaml", "new.yaml", "-o", "json")
    told = json.loads(result.output)

    assert result.exit_code == 1
    assert (told["identical"], told["access"]) == (False, "either")
    assert told["old_revision"] != told["new_revision"]
    assert [(each["id"], each["became"], each["access"]) for each in told["rules"]] == [
        ("nobody", "removed", "can-widen"),
        ("developers", "changed", "either"),
        ("operators", "reached", "can-narrow"),
    ]
    assert told["rules"][1]["fields"] == [
        {
            "path": "match[0].namespaces",
            "old": ["dev-*"],
            "new": ["dev-*", "staging"],
            "access": "can-widen",
        },
        {
            "path": "conditions.device.enrolled",
            "old": None,
            "new": True,
            "access": "can-narrow",
        },
    ]
    assert told["rules"][2]["through"] == [{"section": "networks", "name": "office"}]
    assert told["definitions"] == [
        {
            "became": "changed",
            "section": "networks",
            "name": "office",
            "fields": [{"path": "office", "old": ["203.0.113.0/24"], "new": ["203.0.113.0/25"]}],
            "rules": ["operators"],
        }
    ]


def test_directories_and_common_files_are_whole_policies(directory):
    head, _, rules = OLD.partition("rules:\n")
    (directory / "networks.yaml").write_text(f"{head}rules: []\n")
    head = head.partition("networks")[0].replace("team", "rules")
    for name, text in (("a", rules), ("b", rules.replace("[pods]", "[services]"))):
        (directory / name).mkdir()
        (directory / name / "rules.yaml").write_text(f"{head}rules:\n{text}")
        (directory / name / "rules.test.yaml").write_text("no policy")
    result = diff("a", "b", "--with", "networks.yaml")

    assert "~ allow rule developers (a/rules.yaml:5 -> b/rules.yaml:5): may go either" in (
        result.output
    )
    assert result.output.endswith("\n1 rule: may go either way\n")
    assert result.exit_code == 1


def test_what_cannot_be_read_is_trouble_and_no_difference(directory):
    (directory / "bad.yaml").write_text(OLD.replace("effect: deny", "effect: refuse"))
    (directory / "empty").mkdir()
    bad = diff("old.yaml", "bad.yaml")

    assert isinstance(bad.exception, ConfigurationError)  # which main turns into exit code 2
    assert "bad.yaml:21:11" in str(bad.exception)
    for arguments in (["old.yaml"], ["old.yaml", "none.yaml"], ["old.yaml", "empty"]):
        result = diff(*arguments)
        assert result.exit_code == 2
        assert result.output


def test_the_old_policy_may_come_from_a_pipe(directory):
    """Such as <(git show main:policy.yaml), which can be read once."""
    root = str(Path(__file__).parents[2])
    program = f"{sys.executable} -m kzproxy policy diff <(cat old.yaml) new.yaml"
    done = subprocess.run(
        ["/bin/bash", "-c", program],
        cwd=directory,
        env={**os.environ, "PYTHONPATH": root},
        capture_output=True,
        text=True,
        check=False,
    )

    assert re.sub(r"/dev/fd/[0-9]+", "old.yaml", done.stdout) == TOLD
    assert (done.returncode, done.stderr) == (1, "")


@pytest.mark.parametrize(
    ("arguments", "schema"),
    [
        ([], access_policy_schema()),
        (["--kind", "AccessPolicy"], access_policy_schema()),
        (["--kind", "PolicyTest"], policy_test_schema()),
    ],
)
def test_the_schemas_are_printed(arguments, schema):
    result = CliRunner().invoke(group, ["policy", "schema", *arguments])

    assert json.loads(result.output) == schema
