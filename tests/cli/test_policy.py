"""``kzproxy policy``: what the commands print and how they exit."""

import json
import os
from pathlib import Path
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner

from kzproxy.cli.command_group import group
from kzproxy.cli.policy import SUBCOMMANDS
from kzproxy.errors.configuration import ConfigurationError

CONFIG = Path(__file__).parents[2] / "config"
ROLES = str(CONFIG / "policies/roles.yaml")
CASES = CONFIG / "policies/roles.test.yaml"
NETWORK_ONLY = """\
apiVersion: kzproxy.dev/v1
kind: AccessPolicy
metadata: {name: p}
networks: {office: ["192.0.2.0/24"], lab: ["198.51.100.0/24"]}
rules:
- id: a
  effect: allow
  subjects: {groups: [g]}
  match: [{verbs: [get], apiGroups: [""], resources: [pods]}]
  conditions: {networks: [office]}
"""


def kzproxy(*arguments):
    return CliRunner().invoke(group, ["policy", *arguments], prog_name="kzproxy")


@pytest.fixture
def suspicious(tmp_path):
    path = tmp_path / "policy.yaml"
    path.write_text(NETWORK_ONLY)
    return str(path)


@pytest.mark.parametrize("name", SUBCOMMANDS)
def test_each_command_has_help_with_examples_and_exit_codes(name):
    result = kzproxy(name, "--help")
    assert result.exit_code == 0
    assert "Examples:" in result.output
    assert "Exits 0" in result.output


def test_the_group_lists_its_commands_without_importing_them():
    result = kzproxy("--help")
    assert all(f"  {name} " in result.output for name in SUBCOMMANDS)


def test_the_commands_are_completed():
    environment = {"_KZPROXY_COMPLETE": "bash_complete", "COMP_WORDS": "kzproxy policy w"}
    environment["COMP_CWORD"] = "2"
    result = CliRunner().invoke(group, [], env=environment, prog_name="kzproxy")
    assert result.output == "plain,who-can\n"


def test_check_says_that_a_sound_policy_is_one():
    result = kzproxy("check", "--strict", ROLES)
    assert (result.exit_code, result.output) == (0, "1 file: ok\n")


def test_check_names_each_finding_with_its_place(suspicious):
    result = kzproxy("check", suspicious)
    assert result.exit_code == 1
    first, second, total = result.output.splitlines()
    assert first == f"{suspicious}:4:38: warning: network lab is used by no rule [unused]"
    assert second.startswith(f"{suspicious}:10:15: error: rule a: rests on the network alone")
    assert total == "1 file: 1 errors, 1 warnings"


def test_warnings_fail_only_a_strict_check(suspicious):
    assert kzproxy("check", "--allow-network-only", suspicious).exit_code == 0
    assert kzproxy("check", "--allow-network-only", "--strict", suspicious).exit_code == 1


def from_a_pipe(text):
    """Return a path like that of <(...), which gives ``text`` once."""
    end, begin = os.pipe()
    with os.fdopen(begin, "w") as written:
        written.write(text)
    return f"/dev/fd/{end}"


@pytest.fixture
def piped(suspicious):
    path = from_a_pipe(Path(suspicious).read_text())
    yield path
    os.close(int(Path(path).name))


def test_a_policy_from_a_pipe_is_linted_like_a_file(suspicious, piped):
    of_file = kzproxy("check", suspicious)
    assert kzproxy("check", piped).output == of_file.output.replace(suspicious, piped)


@pytest.mark.parametrize(
    "question",
    [
        ("explain", "--user", "ana", "--group", "g", "get", "pods", "web", "-n", "dev"),
        ("who-can", "get", "pods", "-n", "dev"),
    ],
)
def test_a_policy_from_a_pipe_is_asked_like_a_file(suspicious, piped, question):
    command, *arguments = question
    of_file = kzproxy(command, "-p", suspicious, *arguments)
    result = kzproxy(command, "-p", piped, *arguments)
    assert (result.exit_code, result.output) == (
        of_file.exit_code,
        of_file.output.replace(suspicious, piped),
    )
    assert "rule a" in result.output


def test_check_speaks_json_github_and_sarif(suspicious):
    found = json.loads(kzproxy("check", "-o", "json", suspicious).stdout)
    assert found["ok"] is False
    assert [row["lint"] for row in found["findings"]] == ["unused", "network-only"]
    annotations = kzproxy("check", "-o", "github", suspicious).stdout.splitlines()
    assert annotations[1].startswith(f"::error file={suspicious},line=10,col=15,title=kzproxy ")
    (run,) = json.loads(kzproxy("check", "-o", "sarif", suspicious).stdout)["runs"]
    assert [one["level"] for one in run["results"]] == ["warning", "error"]


def test_check_reports_a_file_that_is_no_policy(tmp_path):
    path = tmp_path / "policy.yaml"
    path.write_text("apiVersion: kzproxy.dev/v1\nkind: Other\nrules: 3\n")
    result = kzproxy("check", "-o", "json", str(path))
    assert result.exit_code == 2
    assert len(json.loads(result.stdout)["findings"]) >= 2
    assert isinstance(kzproxy("check", str(path)).exception, ConfigurationError)


def test_check_says_of_each_test_file_what_it_is_and_no_more():
    """As policies/*.yaml names them where they stand beside the policies; none is passed over."""
    with pytest.raises(ConfigurationError) as error:
        CliRunner().invoke(
            group, ["policy", "check", ROLES, str(CASES)], catch_exceptions=False, prog_name="k"
        )
    assert [str(mistake) for mistake in error.value.mistakes] == [
        f"{CASES}:1:1: is a PolicyTest and no policy; `kzproxy policy test` takes it, leave it out"
    ]


def test_a_time_without_an_offset_is_refused(suspicious):
    result = kzproxy("check", "--at", "2026-03-04T10:00:00", suspicious)
    assert result.exit_code == 2
    assert "has no offset" in result.output


def test_test_runs_the_cases_and_writes_a_junit_report(tmp_path):
    report = tmp_path / "report.xml"
    result = kzproxy("test", "--junit", str(report), str(CASES))
    assert result.exit_code == 0
    assert result.output == f"{CASES}: 13 passed, 0 failed, 0 not tried\n"
    suite = ElementTree.parse(report).getroot()[0]
    assert suite.get("tests") == "13"
    assert suite.get("failures") == "0"


def failing(tmp_path):
    (tmp_path / "roles.yaml").write_text(Path(ROLES).read_text())
    path = tmp_path / "cases.yaml"
    text = CASES.read_text().replace("decision: allow, rule: admins-everything", "decision: deny")
    path.write_text(text)
    return path


def test_test_shows_what_differs_and_fails(tmp_path):
    path, report = failing(tmp_path), tmp_path / "report.xml"
    result = kzproxy("test", "--junit", str(report), str(path))
    assert result.exit_code == 1
    assert "FAILED an admin reads secrets" in result.output
    assert "decision: expected deny" in result.output
    assert "got allow" in result.output
    assert "allowed by rule admins-everything" in result.output
    failure = ElementTree.parse(report).getroot().find(".//failure")
    assert failure is not None
    assert failure.get("message") == "decision: expected deny, got allow"
    found = json.loads(kzproxy("test", "-o", "json", str(path)).stdout)
    assert not found["ok"]
    assert sum(not case["ok"] for case in found["files"][0]["cases"]) == 1


@pytest.mark.parametrize("place", ["nowhere/report.xml", ""])
def test_a_report_that_cannot_be_written_takes_no_result_with_it(tmp_path, place):
    result = kzproxy("test", "--junit", str(tmp_path / place), str(CASES))
    assert (result.exit_code, result.stdout) == (2, kzproxy("test", str(CASES)).stdout)
    assert f"{tmp_path / place} cannot be written" in result.stderr


def test_explain_shows_the_first_condition_that_fails_and_what_would_help():
    arguments = ("-p", ROLES, "--user", "dana", "--group", "oidc:developers")
    asked = ("delete", "pods", "web", "-n", "dev-web")
    result = kzproxy("explain", *arguments, *asked)
    assert result.exit_code == 1
    assert "[no ] device enrolled: true   <- first that fails" in result.output
    assert "  - use an enrolled device\n" in result.output
    allowed = kzproxy("explain", *arguments, "--device-enrolled", *asked)
    assert allowed.exit_code == 0
    assert allowed.output.startswith("allowed by rule developers-work\n")


def test_explain_explains_a_case_of_a_test_file():
    name = "a developer without a device is told what to do"
    result = kzproxy("explain", "-o", "json", "--case-file", str(CASES), "--case", name)
    found = json.loads(result.stdout)
    assert (result.exit_code, found["decision"], found["rule"]) == (1, "deny", "developers-work")
    assert found["changes"] == [{"kinds": ["device"], "text": "use an enrolled device"}]
    assert kzproxy("explain", "--case-file", str(CASES), "--case", "none").exit_code == 2


EVERY_FACT = """\
apiVersion: kzproxy.dev/v1
kind: AccessPolicy
metadata: {name: p}
rules:
- id: enter
  effect: allow
  subjects: {groups: [g]}
  match:
  - verbs: [connect]
    apiGroups: [""]
    resources: [pods/exec]
    namespaceSelector: {matchLabels: {env: dev}}
  conditions:
    request: {userAgents: ["kubectl/*"], commands: ["ls *"], containers: [app]}
    object: {privileged: false, labels: {matchLabels: {app: web}}}
    session: {maxAge: 1h}
  needs: [object]
  when: |-
    user.uid == "7" && user.extra["k/d"] == ["v", "w"] && user.issuer == "https://i.example" &&
    device.id == "laptop-7" && authentication.age < duration("3h")
  obligations: {bound: true}
- id: list
  effect: allow
  subjects: {groups: [g]}
  conditions: {countries: [DE], asns: [64500]}
  match:
  - {verbs: [list], apiGroups: [apps], resources: [deployments], labelSelector: "team=a"}
  when: request.version == "v1beta1" && request.field_selector == "a=b"
- id: try
  effect: allow
  subjects: {groups: [g]}
  match: [{verbs: [update], apiGroups: [""], resources: [pods]}]
  conditions: {request: {dryRun: true}, object: {images: ["nginx:*"]}}
  needs: [object]
"""
POD = """\
apiVersion: v1
kind: Pod
metadata: {name: web, labels: {app: web}}
spec: {containers: [{name: app, image: "nginx:1"}]}
"""


@pytest.fixture
def every_fact(tmp_path):
    (tmp_path / "every.yaml").write_text(EVERY_FACT)
    (tmp_path / "pod.yaml").write_text(POD)
    return ("explain", "-p", str(tmp_path / "every.yaml"), "--user", "ann", "--group", "g")


@pytest.mark.parametrize(
    "arguments",
    [
        "--namespace-label env=dev --user-agent kubectl/v1 --command ls --command=-l"
        " --container app --object POD --session-age 5m --signed-in 2h --uid 7 --extra k/d=v"
        " --extra k/d=w --issuer https://i.example --device-enrolled --device-id laptop-7 --bound"
        " connect pods/exec web -n dev",
        "--api-version v1beta1 --field-selector a=b --label-selector team=a --country DE"
        " --asn 64500 list deployments.apps",
        "--dry-run --object POD update pods web -n dev",
    ],
)
def test_explain_is_told_every_fact_that_a_rule_looks_at(every_fact, tmp_path, arguments):
    words = [str(tmp_path / "pod.yaml") if w == "POD" else w for w in arguments.split()]
    result = kzproxy(*every_fact, *words)
    if "--session-age" in words:  # the sign-in is what counts where it is known
        assert "[no ] session maxAge: 1h" in result.output
        words = [w.replace("2h", "30m") for w in words]
        result = kzproxy(*every_fact, *words)
    assert (result.exit_code, result.output.split()[0]) == (0, "allowed"), result.output
    for number, word in enumerate(words):
        if word in (
            "--bound",
            "--dry-run",
            "--container",
            "--uid",
            "--label-selector",
            "--country",
            "--asn",
        ):
            few = words[:number] + words[number + (1 if word in ("--bound", "--dry-run") else 2) :]
            assert kzproxy(*every_fact, *few).exit_code == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("--object POD list pods", "looks at no object of a request to list pods"),
        ("--object POD create deployments.apps", "holds a Pod, and the request is for deployments"),
        ("--signed-in 999999d list pods", "999999d is too long; write 36500d at most"),
        ("--session-age 999999d list pods", "too long"),
        ("--device-enrolled --posture-age 999999d list pods", "too long"),
        ("--at 9999-12-31T23:59:59Z list pods", "write a year from 1970 to 9998"),
        ("--at 0001-01-01T00:00:00+14:00 list pods", "too far away"),
        ("--country de list pods", "de is no ISO 3166-1 code"),
        ("--device-id x list pods", "add --device-enrolled"),
        ("--namespace-label env list pods", "env must be written KEY=VALUE"),
        ("--dry-run get /version", "dryRun goes with a resource, not with a path"),
        ("--object none.yaml update pods web -n d", "none.yaml"),
        ("--from-record a list pods", "--log must be given, with --from-record"),
    ],
)
def test_explain_says_what_does_not_go_together(every_fact, tmp_path, arguments, said):
    words = [str(tmp_path / "pod.yaml") if w == "POD" else w for w in arguments.split()]
    result = kzproxy(*every_fact, *words)
    if isinstance(result.exception, ConfigurationError):  # main prints it and exits 2
        assert said in str(result.exception)
    else:
        assert (result.exit_code, said in result.output) == (2, True), result.output


@pytest.mark.parametrize("at", ["1970-01-01T00:00:00+14:00", "9998-12-31T23:59:59-12:00"])
def test_explain_reckons_with_the_longest_age_at_both_ends_of_time(every_fact, at):
    oldest = "--signed-in 36500d --session-age 36500d --device-enrolled --posture-age 36500d"
    result = kzproxy(*every_fact, "--at", at, *oldest.split(), "list", "pods")
    assert (result.exit_code, result.exception.__class__) == (1, SystemExit), result.output


def test_explain_shows_an_expression_part_by_part(every_fact):
    result = kzproxy(*every_fact, "--api-version", "v2", "list", "deployments.apps")
    assert "label selector none" in result.output
    words = ("--label-selector", "team=a", "--api-version", "v2", "list", "deployments.apps")
    text = kzproxy(*every_fact, *words).output
    assert '            request.version == "v1beta1" -> false\n' in text
    assert '              request.version -> "v2"\n' in text
    found = json.loads(kzproxy(*every_fact, "-o", "json", *words).stdout)
    (when,) = [p for r in found["rules"] for p in r["parts"] if r["rule"] == "list" and p["values"]]
    assert [part["value"] for part in when["values"]["parts"]] == ["false", "false"]
    assert found["standing"] == {"denies": [], "needsAllow": True, "nearest": "list"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("--case-file CASES --case x -p other.yaml --user bob list", "VERB, --policy, --user: the"),
        ("--case-file CASES --case x --at 2026-03-04T10:00:00Z", "--at: the case says it"),
        ("--case-file CASES --case x --from-record id --log l", "--from-record, --log: the case"),
        ("-p p.yaml --from-record id --log l --case x", "--case: the record says it"),
        ("-p p.yaml --user ana --log l list pods", "--log goes with --from-record"),
        ("-p p.yaml --user ana --case x list pods", "--case goes with --case-file"),
    ],
)
def test_explain_refuses_what_it_would_not_look_at(arguments, said):
    """Or the answer would be to another question than the one that was put."""
    result = kzproxy("explain", *arguments.replace("CASES", str(CASES)).split())
    assert (result.exit_code, said in result.output) == (2, True), result.output


def test_explain_says_what_is_missing():
    result = kzproxy("explain", "list", "pods")
    assert result.exit_code == 2
    assert "--policy, --user must be given" in result.output


def test_who_can_names_subjects_conditions_and_exceptions():
    result = kzproxy("who-can", "-p", ROLES, "get", "secrets")
    assert result.exit_code == 0
    assert "group oidc:admins\n    allows: rule admins-everything" in result.output
    assert "if: device enrolled: true" in result.output
    assert "Except where a deny rule" in result.output
    assert "only in: namespaces: kube-system" in result.output
    assert "RBAC" in result.output


def test_who_can_exits_1_where_nobody_can():
    result = kzproxy("who-can", "-p", ROLES, "get", "secrets", "-n", "kube-system", "-o", "json")
    assert result.exit_code == 1
    found = json.loads(result.stdout)
    assert found["grants"] == []
    assert [one["rule"] for one in found["exceptions"]] == ["nobody-system-secrets"]


@pytest.mark.parametrize(
    "arguments",
    [("post", "pods"), ("get", "pods/exec"), ("get", "pods", "-A", "-n", "dev"), ("list", "/api")],
)
def test_who_can_refuses_what_nobody_can_ask(arguments):
    assert kzproxy("who-can", "-p", ROLES, *arguments).exit_code == 2
