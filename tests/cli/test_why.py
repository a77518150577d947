"""``kzproxy why``: which id is meant, and how an answer is shown; the rest is in tests/server."""

import time
from collections.abc import Iterator

import pytest
from click.testing import CliRunner

from kzproxy.cli import why
from kzproxy.cli.command_group import group
from kzproxy.client.failure import ClientFailure

ONE = "14e1a941-c016-4b81-9094-acd64fc07f69"
OTHER = "2b1c7c0e-6a64-4f3e-9c0b-7d0f5a1b2c3d"
ASKED = {"at": "2026-01-14T10:00:00Z", "verb": "list", "resource": "pods", "namespace": "prod"}


@pytest.mark.parametrize(
    "words",
    [
        ONE,
        ONE.upper(),
        f"({ONE})",
        f"(audit id {ONE})",
        f"audit id: {ONE}",
        f'Error from server (Forbidden): cannot get pods "{OTHER}" (audit id {ONE})',
        f"one was refused (audit id {OTHER})\nand another (audit id {ONE})\n",
    ],
)
def test_the_id_is_found_among_words(words: str) -> None:
    assert why._audit_id(words) == ONE


@pytest.mark.parametrize("words", ["", "pods", ONE[:-1], f"x{ONE}", f"{ONE}0", f"{ONE} {OTHER}"])
def test_what_names_no_one_id_is_a_mistake(words: str) -> None:
    result = CliRunner().invoke(group, ["why", words], prog_name="kzproxy")
    assert result.exit_code == 2
    assert "give one audit id" in result.output


def shown(**told: object) -> list[str]:
    answer = {"answer": "denied", "asked": ASKED} | told
    return list(why._lines(answer))


@pytest.fixture
def in_utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Be a user in UTC, wherever this machine is: the variable alone is read once, at the start."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("in_utc")
def test_the_answer_comes_first_then_why_then_what_to_do() -> None:
    step = {"kind": "reason", "text": "give a reason", "command": 'kzproxy reason "why"'}
    to_do = {"text": "give a reason", "steps": [step]}
    assert shown(failed="rule r asks for a reason", unmet=["reason"], toDo=to_do) == [
        "denied: list pods in namespace prod",
        "  asked at  2026-01-14 10:00:00 UTC",
        "  why       rule r asks for a reason",
        "  unmet     reason",
        "  to do     give a reason",
        '            kzproxy reason "why"',
    ]


@pytest.mark.usefixtures("in_utc")
def test_times_are_the_users_own() -> None:
    to_do = {"text": "wait", "allowedFrom": "2026-01-15T06:00:00Z"}
    assert shown(toDo=to_do)[-1] == "  allowed   from 2026-01-15 06:00:00 UTC"
    to_do["allowedUntil"] = "2026-01-15T19:00:00Z"
    assert shown(toDo=to_do)[-1].endswith(" until 2026-01-15 19:00:00 UTC")
    assert shown(toDo=to_do | {"allowedNow": True})[-1].startswith("  allowed   now until 2026")
    with pytest.raises(ClientFailure, match="cannot be read"):
        shown(asked=ASKED | {"at": "soon"})


def test_what_was_allowed_names_its_rule_and_how_it_ended() -> None:
    ended = {"termination": "normal", "statusCode": 200}
    lines = shown(answer="allowed", rule="r", ended=ended)
    assert lines[0] == "allowed: list pods in namespace prod"
    assert lines[2:] == ["  why       rule r allows it", "  ended     normal, status 200"]


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"verb": "get", "path": "/metrics"}, "get /metrics"),
        ({"verb": "connect", "resource": "pods", "subresource": "exec", "name": "p"},
         "connect pods/exec p"),
        ({"verb": "get", "resource": "scales", "apiGroup": "apps"}, "get scales of apps"),
        ({}, "a request"),
    ],
)  # fmt: skip
def test_what_was_asked_is_said_in_a_line(asked: dict[str, str], words: str) -> None:
    assert shown(asked=ASKED | {"resource": "", "verb": "", "namespace": ""} | asked)[0] == (
        f"denied: {words}"
    )


def test_a_tree_that_is_missing_is_said_to_be() -> None:
    policy = {"decidedBy": "r1", "inForce": "r2", "explainedBy": "", "tree": None, "missing": "x"}
    decision = {"answer": "denied", "asked": ASKED}
    lines = list(why._whole({"decision": decision, "policy": policy, "source": "192.0.2.7"}))
    assert lines[-3:] == [
        "  policy    decided by r1",
        "            in force now: r2, which is another one",
        "  no tree   x",
    ]


def test_the_command_and_its_options_are_completed() -> None:
    def completed(words: str) -> list[str]:
        environment = {"_KZPROXY_COMPLETE": "bash_complete", "COMP_WORDS": words}
        environment["COMP_CWORD"] = str(len(words.split()) - 1)
        result = CliRunner().invoke(group, [], env=environment, prog_name="kzproxy")
        return [line.partition(",")[2] for line in result.output.splitlines()]

    assert completed("kzproxy wh") == ["whoami", "why"]
    assert completed("kzproxy why --f") == ["--full"]
