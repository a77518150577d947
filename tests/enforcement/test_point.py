"""The decision log says of each request that was permitted how it ended, and through whom."""

import asyncio
from typing import Any

import pytest

from kzproxy.enforcement.relay import Relay
from tests.enforcement.served import PODS, Served
from tests.proxy.world import PREFIX, request

REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews"
DEV_ONLY = {
    "id": "dev",
    "effect": "allow",
    "subjects": {"groups": [f"{PREFIX}testers"]},
    "match": [{"verbs": ["list"], "apiGroups": [""], "resources": ["namespaces"], "names": ["a"]}],
}


async def ended(served: Served, head: bytes, status: int) -> str:
    """Send a request and return its termination."""
    client = await served.connect()
    assert (await client.ask(head))[0] == status
    await served.at_rest()
    outcome = served.last_outcome()
    assert outcome["status_code"] == status
    found: str = outcome["termination"]
    return found


async def test_an_answer_in_a_format_that_kzproxy_does_not_give_is_refused_by_it(
    served: Served,
) -> None:
    served.permit_only(DEV_ONLY)
    protobuf = "Accept: application/vnd.kubernetes.protobuf"
    head = served.get("ann", "/api/v1/namespaces", protobuf)
    assert await ended(served, head, 406) == "refused"
    assert served.api_server.heads == []


@pytest.mark.parametrize(
    ("status", "line"),
    [(415, "Content-Type: application/cbor"), (413, "Content-Type: application/json")],
)
async def test_a_review_that_kzproxy_does_not_take_is_refused_by_it(
    served: Served, status: int, line: str
) -> None:
    body = b"x" * (100_000 if status == 413 else 2)
    head = request("POST", REVIEWS, served.token("ann"), line, body=body)
    assert await ended(served, head, status) == "refused"
    assert served.api_server.heads == []


async def test_a_body_without_a_reading_is_refused_by_kzproxy(served: Served) -> None:
    served.api_server.script = lambda connection, _: connection.body(1) and None
    chunked = ("Content-Type: application/json", "Transfer-Encoding: chunked")
    head = request("POST", PODS, served.token("ann"), *chunked) + b"zz\r\n"
    assert await ended(served, head, 400) == "refused"


async def test_kube_apiserver_that_is_not_there_is_upstream(served: Served) -> None:
    with served.api_server.down():
        assert await ended(served, served.get("ann"), 503) == "upstream-refused"


async def test_an_answer_that_must_not_be_relayed_is_upstream(served: Served) -> None:
    served.api_server.script = lambda connection, _: connection.send(
        b"HTTP/1.1 302 Found\r\nlocation: /elsewhere\r\ncontent-length: 0\r\n\r\n"
    )
    assert await ended(served, served.get("ann"), 502) == "upstream-refused"


async def test_a_bug_is_an_error(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*_: Any) -> None:
        raise KeyError("a bug")

    monkeypatch.setattr(Relay, "_answer", fail)
    assert await ended(served, served.get("ann"), 500) == "error"


async def test_a_bug_of_an_own_endpoint_is_an_error(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise KeyError("a bug")

    monkeypatch.setattr("kzproxy.enforcement.own_endpoints._send_json", fail)
    head = served.get("ann", "/kzproxy.dev/v1/session")
    assert await ended(served, head, 500) == "error"


@pytest.mark.parametrize(
    ("method", "said", "retry_after"),
    [("PUT", b"outcome unknown", None), ("GET", b"run the command again", "1")],
)
async def test_what_an_own_endpoint_may_have_done_when_kzproxy_stops_is_not_called_undone(
    served: Served,
    monkeypatch: pytest.MonkeyPatch,
    method: str,
    said: bytes,
    retry_after: str | None,
) -> None:
    done = asyncio.Event()

    async def wait(*_: Any) -> None:
        done.set()
        await asyncio.Event().wait()

    served.configure(reasons={"directory": "reasons", "maximumSeconds": 3600})
    monkeypatch.setattr("kzproxy.enforcement.own_endpoints._send_json", wait)
    client = await served.connect()
    lines = ("Content-Type: application/json",) if method == "PUT" else ()
    body = b'{"reason": "INC-1"}' if method == "PUT" else b""
    head = request(method, "/kzproxy.dev/v1/reason", served.token("ann"), *lines, body=body)
    await client.stream.send(head)
    await done.wait()
    served.listener.cut_short()
    status, headers, told = await client.answer()

    assert (status, headers.get("retry-after")) == (503, retry_after)
    assert said in told
    assert b"nothing was done" not in told
    await served.at_rest()
    outcome = served.last_outcome()
    assert outcome["termination"] == "drained"
    assert said.decode() in outcome["message"]


async def test_a_review_that_is_too_long_is_told_that_kzproxy_completes_its_answer(
    served: Served,
) -> None:
    """Not that a rule asks for what is in it, as of a body that one does ask for."""
    client = await served.connect()
    line, body = "Content-Type: application/json", b"x" * 100_000
    _, _, told = await client.ask(request("POST", REVIEWS, served.token("ann"), line, body=body))
    assert b"the body is over 65536 bytes, and kzproxy reads it to complete the answer" in told
    assert b"a kzproxy rule asks" not in told
