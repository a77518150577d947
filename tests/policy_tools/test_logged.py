"""One decision of a log, explained."""

from pathlib import Path

import msgspec
import pytest
import yaml
from click.testing import CliRunner, Result
from msgspec.structs import replace

from kzproxy.audit.chain import GENESIS, seal
from kzproxy.cli.policy_explain import command
from tests.policy.samples import ENROLLED, asked, subject
from tests.policy_tools.test_replay import POLICY, TARGETS, engine_of, record_of

SECRETIVE = POLICY["rules"][0] | {
    "conditions": {"object": {"privileged": False}},
    "needs": ["object"],
}


@pytest.fixture
def log(tmp_path: Path) -> Path:
    (tmp_path / "old").mkdir()
    engine = engine_of(tmp_path / "old", POLICY)
    questions = [
        asked(*TARGETS[0], device=ENROLLED),
        asked(*TARGETS[4]),
        asked(*TARGETS[0], who=replace(subject("x" * 3000), groups=("dev",))),
    ]
    records = [record_of(engine, question, number) for number, question in enumerate(questions)]
    lines, _ = seal(GENESIS, "0", [msgspec.json.encode(record) for record in records])
    (tmp_path / "decisions.jsonl").write_bytes(b"".join(lines))
    return tmp_path


def explained(log: Path, audit_id: str, *more: str, rules: object = None) -> Result:
    policy = log / "policy.yaml"
    policy.write_text(yaml.safe_dump(POLICY | ({"rules": rules} if rules else {})))
    words = ["-p", str(policy), "--log", str(log / "decisions.jsonl"), "--from-record", audit_id]
    return CliRunner().invoke(command, [*words, *more])


def test_a_permit_of_the_log_is_explained_as_it_was(log: Path) -> None:
    result = explained(log, "a-0")
    assert result.exit_code == 0
    assert result.output.startswith(
        "in the log: permit (allow-rule) by rule devs\nallowed by rule devs\n"
    )


def test_another_policy_and_another_answer_are_said(log: Path) -> None:
    result = explained(log, "a-0", rules=POLICY["rules"][1:])
    assert result.exit_code == 1
    assert "by another policy" in result.output
    assert "it comes out otherwise here" in result.output


def test_a_command_of_the_log_is_not_shown(log: Path) -> None:
    result = explained(log, "a-1")
    assert (result.exit_code, "secret words" in result.output) == (1, False)
    assert "use an enrolled device" in result.output


def test_what_is_not_in_the_log_is_said_and_can_be_given(log: Path) -> None:
    result = explained(log, "a-0", rules=[SECRETIVE])
    assert result.exit_code == 1
    assert "not certain: what the object of the request was like is not in the log" in result.output
    pod = log / "pod.yaml"
    pod.write_text("{apiVersion: v1, kind: Pod, spec: {containers: [{name: a, image: b}]}}")
    told = explained(log, "a-0", "--object", str(pod), rules=[SECRETIVE])
    assert (told.exit_code, "not certain" in told.output) == (0, False)


@pytest.mark.parametrize(
    ("audit_id", "more", "said"),
    [
        ("a-9", (), "no decision has the audit id a-9"),
        ("a-2", (), "a-2 cannot be explained by a policy: a text was cut"),
        ("a-0", ("--user", "ann", "list"), "VERB, --user: the record says it; leave it out"),
    ],
)
def test_what_cannot_be_explained_says_why(
    log: Path, audit_id: str, more: tuple[str, ...], said: str
) -> None:
    result = explained(log, audit_id, *more)
    assert result.exit_code == 2
    assert said in result.output
