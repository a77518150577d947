"""``kzproxy why``: what failed, told to whom it failed, and to whom policy lets see it."""

import json
import re
import shlex
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from tests.cluster.namespaces import fresh_namespace
from tests.proxy.fixtures import Real
from tests.proxy.issuer_thread import issuer_in_thread
from tests.proxy.json_lines import json_lines
from tests.proxy.process import running_proxy
from tests.proxy.raw_client import Answer
from tests.proxy.shell import Shell
from tests.proxy.world import POLICY, PREFIX, World, configuration, request
from tests.servers.authority import Authority

pytestmark = pytest.mark.cluster

OWN = "/kzproxy.dev/v1/decisions"
WHOLE = "/kzproxy.dev/v1/explanations"
NOBODYS = "14e1a941-c016-4b81-9094-acd64fc07f69"
AUDIT_ID = re.compile(r"\(audit id ([0-9a-f-]{36})\)")


def rule(group: str, resource: str, **more: object) -> dict[str, Any]:
    return {
        "id": f"{group}-{resource}",
        "effect": "allow",
        "subjects": {"groups": [f"{PREFIX}{group}"]},
        "match": [{"verbs": ["get", "list"], "apiGroups": [""], "resources": [resource]}],
        **more,
    }


RULES = [
    {
        "id": "discovery",
        "effect": "allow",
        "subjects": {"groups": ["system:authenticated"]},
        "match": [{"verbs": ["get"], "nonResourceURLs": ["/api", "/api/*", "/apis", "/apis/*"]}],
    },
    rule("team", "pods"),
    rule("team", "services", conditions={"networks": ["office"]}, message="Come to the office."),
    rule("team", "configmaps", obligations={"reason": "required"}),
    rule("team", "serviceaccounts", conditions={"time": ["closed"]}),
    {
        "id": "security-explains",
        "effect": "allow",
        "subjects": {"groups": [f"{PREFIX}security"]},
        "match": [{"verbs": ["get"], "nonResourceURLs": [f"{WHOLE}/*"]}],
    },
]
# Opens for a minute, once, at a time that no test sees.
CLOSED = {
    "timeZone": "UTC",
    "dated": [{"from": "2101-01-03T00:00", "to": "2101-01-03T00:01"}],
}


@pytest.fixture(scope="module")
def asked(
    real: Real, upstream_kubeconfig: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Real]:
    """Two workers, each with a log of its own that is moved aside at a mebibyte."""
    directory = tmp_path_factory.mktemp("why")
    authority = Authority.root()
    with issuer_in_thread(directory, authority) as issuer:
        upstream = {"kubeconfig": {"file": str(upstream_kubeconfig)}}
        settings = configuration(directory, authority, issuer, upstream)
        settings["reasons"] = {"directory": "reasons"}
        settings["decisionLog"]["rotation"] = {"atMebibytes": 1, "keep": 20}
        definitions = {"networks": {"office": ["192.0.2.0/24"]}, "calendars": {"closed": CLOSED}}
        policy = POLICY | definitions | {"rules": RULES}
        (directory / "policy.yaml").write_text(yaml.safe_dump(policy))
        with running_proxy(directory, settings, "--workers", "2") as proxy:
            world = World(directory, authority, issuer, proxy)
            yield Real(world, real.audit_log, real.control_plane)


@pytest.fixture(scope="module")
def place(administrator: httpx.Client) -> Iterator[str]:
    with fresh_namespace(administrator, "why") as namespace:
        yield namespace


def get(asked: Real, token: str, target: str) -> Answer:
    """Ask on a connection of its own, which may come to either worker."""
    with asked.world.client() as client:
        return client.ask(request("GET", target, token))


def token(asked: Real, user: str = "tim", group: str = "team", **claims: object) -> str:
    return asked.world.token(user, group, **claims)


def refused(asked: Real, place: str, resource: str, user: str = "tim") -> str:
    """Have a user refused; return the audit id."""
    answer = get(asked, token(asked, user), f"/api/v1/namespaces/{place}/{resource}")
    assert answer.status == 403
    return answer.audit_id


def why(asked: Real, audit_id: str, user: str = "tim") -> dict[str, Any]:
    answer = get(asked, token(asked, user), f"{OWN}/{audit_id}")
    assert answer.status == 200, answer.body
    return answer.json


def records(asked: Real) -> list[dict[str, Any]]:
    """Return what all workers have written; a moved file may be read twice."""
    files = asked.world.directory.glob("decisions*.jsonl*")
    return [record for file in files for record in json_lines(file)]


def records_of(asked: Real, audit_id: str) -> list[dict[str, Any]]:
    return [record for record in records(asked) if record.get("audit_id") == audit_id]


def test_kubectl_is_refused_and_its_user_finds_out_why(
    asked: Real, place: str, tmp_path: Path
) -> None:
    done = asked.kubectl("tim", "team", namespace=place)("get", "services")
    assert done.returncode == 1
    printed = done.stderr.decode()

    told = Shell(asked.world, tmp_path, token(asked)).runs("why", printed)

    assert told.returncode == 0, told.stderr
    first, *rest = told.stdout.splitlines()
    assert first == f"denied: list services in namespace {place}"
    assert rest[0].startswith("  asked at  20")
    assert rest[1] == (
        "  why       rule team-services wants network office (you come from 127.0.0.1)."
        " Come to the office."
    )
    assert rest[2] == "  to do     come from network office"


def test_what_no_rule_allows_is_for_somebody_else_to_mend(asked: Real, place: str) -> None:
    told = why(asked, refused(asked, place, "secrets"))

    assert told["kind"] == "DecisionExplanation"
    assert told["apiVersion"] == "kzproxy.dev/v1"
    assert (told["answer"], told["cause"]) == ("denied", "no-rule")
    assert told["asked"]["resource"] == "secrets"
    assert told["asked"]["namespace"] == place
    assert "covers" in told["failed"] or told["failed"] == "no rule means you and this request"
    assert "ask whoever runs kzproxy for access" in told["toDo"]["text"]
    assert "steps" not in told["toDo"]


def test_an_obligation_is_named_with_the_command_that_meets_it(
    asked: Real, place: str, tmp_path: Path
) -> None:
    target = f"/api/v1/namespaces/{place}/configmaps"
    user = asked.world.token("rea", "team", "readers", sid="one")
    audit_id = get(asked, user, target).audit_id
    shell = Shell(asked.world, tmp_path, user)

    told = json.loads(shell.runs("why", audit_id, "-o", "json").stdout)
    assert (told["cause"], told["rule"]) == ("obligation", "team-configmaps")
    assert told["unmet"] == ["reason"]
    (step,) = told["toDo"]["steps"]
    assert step["kind"] == "reason"

    # The command does what it says it does.
    program, *arguments = shlex.split(step["command"])
    assert program == "kzproxy"
    assert shell.runs(*arguments).returncode == 0
    assert get(asked, user, target).status == 200


def test_a_time_is_told_where_waiting_is_enough(asked: Real, place: str) -> None:
    told = why(asked, refused(asked, place, "serviceaccounts"))

    assert told["toDo"]["text"] == "wait until 2101-01-03T00:00:00Z"
    assert told["toDo"]["allowedFrom"] == "2101-01-03T00:00:00Z"
    assert told["toDo"]["allowedUntil"] == "2101-01-03T00:01:00Z"


def test_what_kube_apiserver_refused_is_told_as_that(asked: Real, place: str) -> None:
    # Nothing in the cluster's RBAC means the group.
    answer = get(asked, token(asked), f"/api/v1/namespaces/{place}/pods")
    assert answer.status == 403

    deadline = time.monotonic() + 10
    while "ended" not in (told := why(asked, answer.audit_id)):
        assert time.monotonic() < deadline
    assert (told["answer"], told["rule"]) == ("allowed", "team-pods")
    assert told["ended"]["statusCode"] == 403
    assert "kube-apiserver refused it" in told["failed"]


def test_anothers_id_and_nobodys_are_answered_alike(asked: Real, place: str) -> None:
    answers = [
        get(asked, token(asked, "eve"), f"{OWN}/{audit_id}")
        for audit_id in (refused(asked, place, "secrets"), NOBODYS, "x", "x" * 4000)
    ]

    assert {answer.status for answer in answers} == {404}
    bodies = {answer.body.replace(answer.audit_id.encode(), b"ID") for answer in answers}
    assert len(bodies) == 1
    assert b"ask your security team" in bodies.pop()
    heads = {tuple(sorted(answer.headers)) for answer in answers}
    assert len(heads) == 1


def test_the_same_name_of_another_issuers_subject_or_uid_is_another(
    asked: Real, place: str
) -> None:
    audit_id = refused(asked, place, "secrets")
    reused = asked.world.token("tim", "team", uid="uid-of-the-next-tim")

    assert get(asked, reused, f"{OWN}/{audit_id}").status == 404
    assert why(asked, audit_id)["auditID"] == audit_id


def test_asking_stands_in_the_log_before_it_is_answered(asked: Real, place: str) -> None:
    about = refused(asked, place, "secrets")
    answer = get(asked, token(asked), f"{OWN}/{about}")

    decision, *_ = records_of(asked, answer.audit_id)
    assert (decision["decision"], decision["cause"]) == ("permit", "own-endpoint")
    assert decision["message"] == f"asks why decision {about} fell as it did"


def test_either_worker_knows_what_the_other_decided(asked: Real, place: str) -> None:
    audit_id = refused(asked, place, "secrets")
    # The kernel gives each connection to one of the two: all to one, once in 2**31 times.
    answers = [get(asked, token(asked), f"{OWN}/{audit_id}") for _ in range(32)]

    assert {answer.status for answer in answers} == {200}
    asking = {answer.audit_id for answer in answers}
    workers = {each["worker"] for each in records(asked) if each.get("audit_id") in asking}
    assert workers == {"1", "2"}, "the kernel sent all connections to one of them"


def test_a_log_that_was_moved_aside_is_read_too(asked: Real, place: str) -> None:
    audit_id = refused(asked, place, "secrets")
    selector = "in".join("x" * 60 for _ in range(60))
    target = f"/api/v1/namespaces/{place}/secrets?labelSelector={selector}"

    def is_moved() -> bool:
        moved = asked.world.directory.glob("decisions.*.jsonl.*")
        return any(audit_id in file.read_text() for file in moved)

    deadline = time.monotonic() + 30
    while not is_moved():
        assert time.monotonic() < deadline
        with asked.world.client() as client:  # either worker's
            for _ in range(40):
                client.ask(request("GET", target, token(asked)))
    assert {get(asked, token(asked), f"{OWN}/{audit_id}").status for _ in range(8)} == {200}


def test_policy_decides_who_sees_the_whole(asked: Real, place: str, tmp_path: Path) -> None:
    audit_id = refused(asked, place, "services")
    denied = get(asked, token(asked), f"{WHOLE}/{audit_id}")
    assert denied.status == 403
    assert f'cannot get path "{WHOLE}/{audit_id}"' in denied.message
    (decision,) = records_of(asked, denied.audit_id)
    assert (decision["decision"], decision["cause"]) == ("deny", "no-rule")

    seen = get(asked, token(asked, "sue", "security"), f"{WHOLE}/{audit_id}")
    assert seen.status == 200
    decision, *_ = records_of(asked, seen.audit_id)
    assert (decision["cause"], decision["rule"]) == ("allow-rule", "security-explains")
    assert seen.json["user"] == "t:tim"
    assert seen.json["decision"]["rule"] == "team-services"

    # The tree is the one of the command that explains policies, to the letter.
    at = seen.json["decision"]["asked"]["at"]
    policy = asked.world.directory / "policy.yaml"
    asking = ("--user", "t:tim", "--group", "t:team", "--from", "127.0.0.1", "--at", at)
    shell = Shell(asked.world, tmp_path, token(asked, "sue", "security"))
    explain = ("policy", "explain", "-p", str(policy), *asking, "-o", "json")
    explained = shell.runs(*explain, "list", "services", "-n", place)
    assert explained.returncode == 1, explained.stderr
    tree = seen.json["policy"]["tree"]
    assert tree | json.loads(explained.stdout) == tree
    assert seen.json["policy"]["explainedBy"] == seen.json["policy"]["decidedBy"]


def test_who_may_is_told_that_there_is_none(asked: Real) -> None:
    answer = get(asked, token(asked, "sue", "security"), f"{WHOLE}/{NOBODYS}")
    assert answer.status == 404
    deadline = time.monotonic() + 10
    while len(found := records_of(asked, answer.audit_id)) < 2:
        assert time.monotonic() < deadline
    decision, ended = found
    assert (decision["cause"], decision["rule"]) == ("allow-rule", "security-explains")
    assert (ended["termination"], ended["status_code"]) == ("refused", 404)


def test_who_may_sees_it_as_text(asked: Real, place: str, tmp_path: Path) -> None:
    audit_id = refused(asked, place, "services")
    shell = Shell(asked.world, tmp_path, token(asked, "sue", "security"))

    whole = shell.runs("why", "--full", audit_id)

    assert whole.returncode == 0, whole.stderr
    assert f"denied: list services in namespace {place}" in whole.stdout
    assert "  user      t:tim (t:team)" in whole.stdout
    assert "[no ] networks office   <- first that fails" in whole.stdout
    assert "  - come from network office" in whole.stdout


def test_a_user_is_told_what_is_wrong(asked: Real, place: str, tmp_path: Path) -> None:
    shell = Shell(asked.world, tmp_path, token(asked))
    unknown = shell.runs("why", NOBODYS)
    assert unknown.returncode == 1
    assert unknown.stdout == ""
    assert unknown.stderr.startswith("kzproxy: kzproxy finds no decision about a request of yours")
    assert unknown.stderr.endswith("ask your security team, with the audit id\n")
    denied = shell.runs("why", "--full", refused(asked, place, "secrets"))
    assert denied.returncode == 1
    assert "answers 403" in denied.stderr
    assert shell.runs("why", "not-an-id").returncode == 2
    assert shell.runs("why").returncode == 2


def test_other_ways_of_asking_are_refused(asked: Real) -> None:
    user = token(asked)
    with asked.world.client() as client:
        assert client.ask(request("DELETE", f"{OWN}/{NOBODYS}", user)).status == 405
    assert get(asked, user, f"{OWN}/{NOBODYS}?user=bob").status == 404
    assert get(asked, "", f"{OWN}/{NOBODYS}").status == 401


def test_a_changed_policy_is_said_to_be_another(
    real: Real, upstream_kubeconfig: Path, tmp_path: Path, place: str
) -> None:
    authority = Authority.root()
    with issuer_in_thread(tmp_path, authority) as issuer:
        upstream = {"kubeconfig": {"file": str(upstream_kubeconfig)}}
        settings = configuration(tmp_path, authority, issuer, upstream)
        policy = tmp_path / "policy.yaml"
        office = {"networks": {"office": ["192.0.2.0/24"]}}
        policy.write_text(yaml.safe_dump(POLICY | office | {"rules": [RULES[2]]}))
        with running_proxy(tmp_path, settings) as proxy:
            own = Real(
                World(tmp_path, authority, issuer, proxy), real.audit_log, real.control_plane
            )
            audit_id = refused(own, place, "services")
            assert "policyHasChanged" not in why(own, audit_id)

            everywhere = {"networks": {"office": ["127.0.0.0/8"]}}
            policy.write_text(yaml.safe_dump(POLICY | everywhere | {"rules": [RULES[2]]}))
            proxy.signal(signal.SIGHUP)
            deadline = time.monotonic() + 20
            while "policyHasChanged" not in (told := why(own, audit_id)):
                assert time.monotonic() < deadline
                time.sleep(0.1)
            assert told["toDo"] == {
                "text": "do it again: it would be allowed now",
                "allowedNow": True,
            }
