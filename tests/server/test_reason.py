"""``kzproxy reason``: given by a user, held by all workers, written down, and theirs alone."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.proxy.issuer_thread import issuer_in_thread
from tests.proxy.json_lines import json_lines
from tests.proxy.process import running_proxy
from tests.proxy.raw_client import Answer
from tests.proxy.shell import Shell
from tests.proxy.world import World, configuration, request
from tests.servers.authority import Authority
from tests.servers.scripted_api_server import ScriptedApiServer, scripted_api_server

REASON = "/kzproxy.dev/v1/reason"
JSON = "Content-Type: application/json"


@pytest.fixture(scope="module")
def _served(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[World, ScriptedApiServer]]:
    directory = tmp_path_factory.mktemp("reason")
    authority = Authority.root()
    with (
        issuer_in_thread(directory, authority) as issuer,
        scripted_api_server(directory, authority) as api_server,
    ):
        settings = configuration(directory, authority, issuer, api_server.upstream())
        settings["reasons"] = {"directory": "reasons", "maximumSeconds": 3600}
        with running_proxy(directory, settings, "--workers", "2") as proxy:
            yield World(directory, authority, issuer, proxy), api_server


@pytest.fixture
def world(_served: tuple[World, ScriptedApiServer]) -> Iterator[World]:
    """Two workers; whatever is asked here, kube-apiserver hears nothing of it."""
    world, api_server = _served
    api_server.heads.clear()
    yield world
    assert api_server.heads == []


def records(world: World) -> list[dict]:
    files = world.directory.glob("decisions.*.jsonl")
    return [record for file in files for record in json_lines(file)]


def records_of(world: World, audit_id: str) -> list[dict]:
    deadline = time.monotonic() + 5
    while True:
        found = [record for record in records(world) if record.get("audit_id") == audit_id]
        if len(found) >= 2 or time.monotonic() > deadline:
            return found
        time.sleep(0.02)


def ask(world: World, token: str, method: str, body: object = None, *lines: str) -> Answer:
    """Ask on a connection of its own, which may come to either worker."""
    content = b"" if body is None else json.dumps(body).encode()
    given = (*lines, JSON) if content else lines
    with world.client() as client:
        return client.ask(request(method, REASON, token, *given, body=content))


def test_every_worker_has_what_one_was_told(world: World) -> None:
    token = world.token("alice")
    assert ask(world, token, "GET").json == {"reason": "", "maximumSeconds": 3600}

    given = ask(world, token, "PUT", {"reason": " INC-123 disk full ", "seconds": 600})
    assert given.status == 200
    assert given.json["reason"] == "INC-123 disk full"
    # The kernel gives each connection to one of the two: all to one, once in 2**31 times.
    answers = [ask(world, token, "GET") for _ in range(32)]
    assert {answer.json["endsAt"] for answer in answers} == {given.json["endsAt"]}
    asking = {answer.audit_id for answer in answers}
    workers = {record["worker"] for record in records(world) if record.get("audit_id") in asking}
    assert workers == {"1", "2"}, "the kernel sent all connections to one of them"

    assert ask(world, token, "DELETE").json["reason"] == ""
    assert {ask(world, token, "GET").json["reason"] for _ in range(8)} == {""}


def test_it_stands_in_the_log_before_it_holds(world: World) -> None:
    given = ask(world, world.token("lou"), "PUT", {"reason": "a \u202e trick"})
    assert given.status == 400
    given = ask(world, world.token("lou"), "PUT", {"reason": "INC-7"})
    decision, completed = records_of(world, given.audit_id)

    assert (decision["decision"], decision["cause"]) == ("permit", "own-endpoint")
    assert decision["message"].startswith("gives a reason until 20")
    assert decision["message"].endswith("Z: INC-7")
    assert decision["user"]["name"] == "t:lou"
    assert "impersonated" not in decision
    assert completed["status_code"] == 200


def test_it_is_of_one_sign_in_on_one_device(world: World) -> None:
    first = world.token("sam", sid="one")
    second = world.token("sam", sid="two")
    ask(world, first, "PUT", {"reason": "mine"})

    assert ask(world, first, "GET").json["reason"] == "mine"
    assert ask(world, second, "GET").json["reason"] == ""
    assert ask(world, world.token("eve"), "GET").json["reason"] == ""
    with world.client(certificate=world.device("other-laptop")) as client:
        assert client.ask(request("GET", REASON, first)).json["reason"] == ""


def test_it_ends_by_itself(world: World) -> None:
    token = world.token("ephraim")
    ask(world, token, "PUT", {"reason": "short", "seconds": 3})
    assert ask(world, token, "GET").json["reason"] == "short"
    time.sleep(3.1)
    assert ask(world, token, "GET").json["reason"] == ""


@pytest.mark.parametrize(
    "body",
    [
        {"reason": ""},
        {"reason": "   "},
        {"reason": "x" * 501},
        {"reason": "two\nlines"},
        {"reason": "\x1b[2J"},
        {"reason": 7},
        {},
        [],
        "x",
        {"reason": "x", "seconds": 0},
        {"reason": "x", "seconds": 3601},
        {"reason": "x", "seconds": 1.5},
        {"reason": "x", "user": "t:bob"},
    ],
)
def test_what_is_no_reason_is_refused(world: World, body: object) -> None:
    answer = ask(world, world.token("nora"), "PUT", body)
    assert answer.status == 400
    assert answer.json["kind"] == "Status"
    assert ask(world, world.token("nora"), "GET").json["reason"] == ""


def test_other_ways_of_asking_are_refused(world: World) -> None:
    token = world.token("olga")
    with world.client() as client:
        assert client.ask(request("PATCH", REASON, token)).status == 405
    with world.client() as client:
        assert client.ask(request("GET", f"{REASON}/more", token)).status == 404
    with world.client() as client:
        assert client.ask(request("GET", f"{REASON}?user=bob", token)).status == 404
    with world.client() as client:
        assert client.ask(request("DELETE", REASON, token, body=b"x")).status == 400
    with world.client() as client:
        asked = request("PUT", REASON, token, "Content-Type: text/plain", body=b"{}")
        assert client.ask(asked).status == 415
    with world.client() as client:
        asked = request("PUT", REASON, token, JSON, "Content-Encoding: gzip", body=b"{}")
        assert client.ask(asked).status == 415


def test_a_body_over_the_bound_is_refused_unread(world: World) -> None:
    token = world.token("max")
    with world.client() as client:
        lines = (JSON, "Content-Length: 4097")
        assert client.ask(request("PUT", REASON, token, *lines)).status == 413
    with world.client() as client:
        lines = (JSON, "Transfer-Encoding: chunked")
        client.send(request("PUT", REASON, token, *lines) + b"1001\r\n" + b" " * 4097 + b"\r\n")
        assert client.answer().status == 413


def test_a_user_gives_shows_and_takes_back_a_reason(world: World, tmp_path: Path) -> None:
    shell = Shell(world, tmp_path, world.token("shelly"))
    assert shell.runs("reason").stdout == "No reason is given.\n"

    given = shell.runs("reason", "INC-123 disk full", "--for", "30m")
    assert given.returncode == 0, given.stderr
    assert given.stdout.startswith("INC-123 disk full\n  until 20")
    assert shell.runs("reason").stdout == given.stdout
    assert shell.runs("reason", "--clear").stdout == "No reason is given.\n"
    assert shell.runs("reason").stdout == "No reason is given.\n"


def test_a_user_is_told_what_is_wrong(world: World, tmp_path: Path) -> None:
    shell = Shell(world, tmp_path, world.token("shelly"))
    refused = shell.runs("reason", "x", "--for", "2h")
    assert refused.returncode == 1
    assert "answers 400: a reason holds for 1h at most" in refused.stderr
    assert shell.runs("reason", "x", "--for", "soon").returncode == 2
    assert shell.runs("reason", "x", "--clear").returncode == 2
    assert shell.runs("reason", "--for", "1h").returncode == 2


def test_the_token_goes_to_nobody_whose_certificate_does_not_hold(
    world: World, tmp_path: Path
) -> None:
    shell = Shell(world, tmp_path, world.token("shelly"))
    (tmp_path / "ca.crt").write_bytes(Authority.root("somebody else").pem)
    refused = shell.runs("reason")
    assert refused.returncode == 1
    assert "CERTIFICATE_VERIFY_FAILED" in refused.stderr
