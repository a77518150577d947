"""kube-apiserver when it is slow, broken, gone or hostile: what the client and the log are told."""

import contextlib
import ssl
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from ipaddress import ip_address

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from tests.limits.told import ended, ended_of, is_broken_off, told
from tests.proxy.fixtures import Scripted
from tests.proxy.raw_client import Answer
from tests.proxy.world import request
from tests.servers.authority import Authority
from tests.servers.scripted_api_server import (
    Connection,
    Script,
    ScriptedApiServer,
    answer,
    json_answer,
)

PODS = "/api/v1/namespaces/a/pods"
POD = f"{PODS}/p"
WATCH = f"{PODS}?watch=1"
PROXIED = "/api/v1/namespaces/a/services/s/proxy/report"
WRITES = ("POST", "PUT", "PATCH", "DELETE")
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
HINTS = b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"


def asked(scripted: Scripted, method: str, target: str, user: str = "al") -> bytes:
    body = b"" if method in {"GET", "DELETE"} else b"{}"
    return request(method, target, scripted.world.token(user, "testers"), body=body)


def hang(connection: Connection, _: bytes) -> None:
    with contextlib.suppress(OSError):
        while connection.tls.recv(65536):
            pass


def drip(data: bytes) -> Script:
    """Send a byte ten times a second."""

    def send(connection: Connection, _: bytes) -> None:
        with contextlib.suppress(OSError):
            for byte in data:
                connection.send(bytes([byte]))
                time.sleep(0.1)

    return send


def sending(*pieces: bytes) -> Script:
    def send(connection: Connection, _: bytes) -> None:
        with contextlib.suppress(OSError):
            for piece in pieces:
                connection.send(piece)

    return send


def lose(connection: Connection, _: bytes) -> None:
    connection.tls.close()


# Time.


def all_at_once(scripted: Scripted, *questions: tuple[str, str]) -> list[Answer]:
    """Ask each on a connection of its own, so that all time-outs pass in the time of one."""
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(scripted.world.client()) for _ in questions]
        for client, (method, target) in zip(clients, questions, strict=True):
            client.send(asked(scripted, method, target))
        return [client.answer() for client in clients]


def test_an_answer_that_does_not_come_is_a_timeout(limited: Scripted) -> None:
    limited.api_server.script = hang
    begun = time.monotonic()
    for got in all_at_once(limited, ("GET", PODS), ("GET", WATCH), ("GET", "/version")):
        assert told(got) == (504, "Timeout", "")
        assert "outcome" not in got.message
        assert ended(limited.world.proxy, got.audit_id) == ("upstream-timeout", 504)

    assert 1.5 < time.monotonic() - begun < 15


def test_a_write_whose_answer_does_not_come_may_have_been_done(limited: Scripted) -> None:
    limited.api_server.script = hang
    for got in all_at_once(limited, *((method, POD) for method in WRITES)):
        assert told(got) == (504, "Timeout", "")
        assert "outcome unknown" in got.message
        assert ended(limited.world.proxy, got.audit_id) == ("upstream-timeout", 504)


def test_the_backends_of_proxies_and_logs_may_take_longer(limited: Scripted) -> None:
    """kube-apiserver has no time-out for them either."""

    def late(connection: Connection, _: bytes) -> None:
        connection.send(HINTS)
        time.sleep(2.6)
        connection.send(answer(200, b"the report"))

    limited.api_server.script = late
    log = f"{POD}/log"
    for got in all_at_once(
        limited, ("GET", PROXIED), ("POST", PROXIED), ("GET", log), ("GET", f"{log}?follow=1")
    ):
        assert (got.status, got.body) == (200, b"the report")


def test_a_head_that_drips_is_a_timeout(limited: Scripted) -> None:
    limited.api_server.script = drip(b"HTTP/1.1 200 OK\r\nx: " + b"x" * 200)
    begun = time.monotonic()
    for got in all_at_once(limited, ("GET", PODS), ("GET", PROXIED)):
        assert told(got) == (504, "Timeout", "")
        assert ended(limited.world.proxy, got.audit_id) == ("upstream-timeout", 504)

    assert time.monotonic() - begun < 15


def test_an_ordinary_answer_that_stops_in_the_middle_is_broken_off(limited: Scripted) -> None:
    limited.api_server.script = sending(CHUNKED + b"5\r\nhello\r\n")
    with limited.world.client() as client:
        client.send(asked(limited, "GET", PODS, "middle"))
        assert client.head()[0] == 200
        assert is_broken_off(client)
    end = ended_of(limited.world.proxy, "t:middle")

    assert (end["termination"], end["status_code"]) == ("upstream-timeout", 200)


def test_a_quiet_watch_lives(limited: Scripted) -> None:
    def quiet(connection: Connection, _: bytes) -> None:
        connection.send(CHUNKED)
        time.sleep(2.6)
        connection.send(b"5\r\nhello\r\n0\r\n\r\n")

    limited.api_server.script = quiet
    with limited.world.client() as client:
        assert client.ask(asked(limited, "GET", WATCH)).body == b"hello"


# Not to be reached.


def check_unreachable(scripted: Scripted, code: int, reason: str) -> str:
    """Ask, and check that nothing was done and the client is told to come again."""
    with scripted.world.client() as client:
        got = client.ask(asked(scripted, "DELETE", POD))

    assert told(got) == (code, reason, "1")
    assert "nothing was done" in got.message
    termination = "upstream-timeout" if code == 504 else "upstream-refused"
    assert ended(scripted.world.proxy, got.audit_id) == (termination, code)
    return got.message


def check_it_is_back(scripted: Scripted) -> None:
    with scripted.world.client() as client:
        assert client.ask(asked(scripted, "GET", PODS)).status == 200


@contextlib.contextmanager
def presenting(server: ScriptedApiServer, context: ssl.SSLContext | None) -> Iterator[None]:
    """Have new connections meet ``context``; there are none but new ones."""
    own, server.context = server.context, context
    server.drop_connections()
    try:
        yield
    finally:
        server.context = own
        server.drop_connections()


def test_a_refused_connection_is_said_at_once(limited: Scripted) -> None:
    check_it_is_back(limited)
    with limited.api_server.down():
        message = check_unreachable(limited, 503, "ServiceUnavailable")

    assert "refused" not in message, "what exactly is wrong is the operators' business"
    check_it_is_back(limited)


def test_a_connection_that_is_not_made_in_time_is_a_timeout(limited: Scripted) -> None:
    with presenting(limited.api_server, None):
        check_unreachable(limited, 504, "Timeout")
    check_it_is_back(limited)


def serving_with(limited: Scripted, authority: Authority, **validity: datetime) -> ssl.SSLContext:
    issued = authority.issue(
        common_names=["127.0.0.1"],
        alternative_names=[x509.IPAddress(ip_address("127.0.0.1"))],
        usages=[ExtendedKeyUsageOID.SERVER_AUTH],
        **validity,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*issued.write_to(limited.world.directory, "upstream-bad"))
    return context


@pytest.mark.parametrize("fault", ["expired", "of-another-ca"])
def test_a_certificate_that_no_longer_holds_ends_all_new_connections(
    limited: Scripted, fault: str
) -> None:
    if fault == "expired":
        context = serving_with(
            limited, limited.world.authority, not_after=datetime(2021, 1, 1, tzinfo=UTC)
        )
    else:
        context = serving_with(limited, Authority.root("somebody else"))
    before = len(limited.world.proxy.diagnostics)
    with presenting(limited.api_server, context):
        message = check_unreachable(limited, 503, "ServiceUnavailable")

    why = "certificate has expired" if fault == "expired" else "unable to get local issuer"
    assert "certificate" not in message
    assert why in limited.world.proxy.diagnostics[before:]
    check_it_is_back(limited)


# Broken connections.


@pytest.mark.parametrize("method", WRITES)
@pytest.mark.parametrize("pooled", [True, False], ids=["pooled", "fresh"])
def test_a_write_is_never_sent_twice(limited: Scripted, method: str, pooled: bool) -> None:
    """Not PUT and DELETE either: the second answers 409 or 404 for what was done by the first.

    And a name that was deleted may have been taken by another object meanwhile.
    """
    limited.api_server.drop_connections()
    if pooled:
        check_it_is_back(limited)
    limited.api_server.heads.clear()
    limited.api_server.script = lose
    with limited.world.client() as client:
        got = client.ask(asked(limited, method, POD))

    assert told(got) == (502, "BadGateway", "")
    assert "outcome unknown" in got.message
    assert ended(limited.world.proxy, got.audit_id) == ("upstream-refused", 502)
    assert len(limited.api_server.heads) == 1


def test_a_read_that_breaks_twice_is_told(limited: Scripted) -> None:
    check_it_is_back(limited)
    limited.api_server.heads.clear()
    limited.api_server.script = lose
    with limited.world.client() as client:
        got = client.ask(asked(limited, "GET", POD))

    assert told(got) == (502, "BadGateway", "")
    assert "outcome" not in got.message
    assert len(limited.api_server.heads) == 2


@pytest.mark.parametrize("method", ["GET", *WRITES])
def test_a_connection_that_ended_in_the_pool_is_not_used(limited: Scripted, method: str) -> None:
    """A restarted API server costs nobody a request."""
    for _ in range(5):
        check_it_is_back(limited)
        limited.api_server.drop_connections()
        with limited.world.client() as client:
            assert client.ask(asked(limited, method, POD)).status == 200


def test_a_reset_in_the_middle_is_a_reset(limited: Scripted) -> None:
    def reset(connection: Connection, _: bytes) -> None:
        connection.send(CHUNKED + b"5\r\nhello\r\n")
        connection.reset()

    limited.api_server.script = reset
    with limited.world.client() as client:
        client.send(asked(limited, "GET", PODS, "reset"))
        assert client.head()[0] == 200
        assert is_broken_off(client)
    end = ended_of(limited.world.proxy, "t:reset")

    assert (end["termination"], end["status_code"]) == ("upstream-reset", 200)


# Answers that have no reading, or two.


@pytest.mark.parametrize(
    "head",
    [
        pytest.param(b"content-length: 5\r\ntransfer-encoding: chunked\r\n", id="two-framings"),
        pytest.param(b"content-length: 5\r\ncontent-length: 6\r\n", id="two-lengths"),
        pytest.param(b"content-length: 5, 5\r\n", id="a-list-of-lengths"),
        pytest.param(b"content-length: +5\r\n", id="signed-length"),
        pytest.param(b"content-length: 5\nx: y\r\n", id="bare-line-feed"),
        pytest.param(b"transfer-encoding: gzip, chunked\r\n", id="two-codings"),
        pytest.param(b"transfer-encoding: chunked\r\ntrailer: x\r\n", id="trailer"),
        pytest.param(b"x: a\r\n b\r\ncontent-length: 5\r\n", id="folded"),
        pytest.param(b"x: a\x00b\r\ncontent-length: 5\r\n", id="nul"),
        pytest.param(b"x:\r\n" * 300, id="many-headers"),
        pytest.param(b"x: " + b"x" * 200_000 + b"\r\n", id="endless-head"),
    ],
)
def test_a_head_without_one_reading_is_not_relayed(limited: Scripted, head: bytes) -> None:
    limited.api_server.script = sending(b"HTTP/1.1 200 OK\r\n" + head + b"\r\nhello")
    with limited.world.client() as client:
        got = client.ask(asked(limited, "GET", PODS))

    assert told(got) == (502, "BadGateway", "")
    assert ended(limited.world.proxy, got.audit_id) == ("upstream-refused", 502)
    limited.api_server.script = sending(answer(200, b"mine"))
    with limited.world.client() as client:
        assert client.ask(asked(limited, "GET", PODS)).body == b"mine"


def test_a_body_without_one_reading_is_broken_off(limited: Scripted) -> None:
    limited.api_server.script = sending(CHUNKED + b"5\r\nhello\r\n", b"0x5\r\nhello\r\n0\r\n\r\n")
    with limited.world.client() as client:
        client.send(asked(limited, "GET", PODS, "framed"))
        client.head()
        assert is_broken_off(client)
    end = ended_of(limited.world.proxy, "t:framed")

    assert (end["termination"], end["status_code"]) == ("upstream-refused", 200)


POISON = answer(200, b"poison")


@pytest.mark.parametrize(
    "pieces",
    [
        pytest.param([answer(200, b"mine") + POISON], id="in-one-record"),
        pytest.param([answer(200, b"mine"), POISON], id="in-the-next-record"),
        pytest.param([CHUNKED + b"4\r\nmine\r\n0\r\n\r\n" + POISON], id="chunked"),
        pytest.param([b"HTTP/1.1 304 Not Modified\r\ncontent-length: 6\r\n\r\npoison"], id="304"),
    ],
)
def test_bytes_after_an_answer_reach_nobody(limited: Scripted, pieces: list[bytes]) -> None:
    """They would be the answer to whoever is next on that connection.

    What comes after the next request has gone out cannot be told from its answer: nobody can.
    """
    first, second = asked(limited, "GET", PODS, "eve"), asked(limited, "GET", PODS, "alice")
    sent = threading.Event()

    def poison(connection: Connection, head: bytes) -> None:
        sending(*pieces)(connection, head)
        sent.set()

    for _ in range(10):
        limited.api_server.script = poison
        with limited.world.client() as eve, limited.world.client() as alice:
            assert b"poison" not in eve.ask(first).body
            assert sent.wait(10)
            sent.clear()
            limited.api_server.script = sending(json_answer(200, {"for": "alice"}))
            assert alice.ask(second).json == {"for": "alice"}
            assert eve.ask(first).json == {"for": "alice"}


# Interim answers.


def test_a_few_interim_answers_are_passed_over(limited: Scripted) -> None:
    limited.api_server.script = sending(CONTINUE + HINTS, HINTS, answer(200, b"final"))
    with limited.world.client() as client:
        got = client.ask(asked(limited, "GET", PODS))

    assert (got.status, got.body) == (200, b"final")


@pytest.mark.parametrize("target", [PODS, PROXIED], ids=["list", "proxied"])
def test_a_storm_of_interim_answers_ends(limited: Scripted, target: str) -> None:
    def storm(connection: Connection, _: bytes) -> None:
        with contextlib.suppress(OSError):
            for _ in range(100_000):
                connection.send(HINTS)

    limited.api_server.script = storm
    with limited.world.client() as client:
        got = client.ask(asked(limited, "GET", target))

    # Had it come to the time limit, it would be a 504.
    assert told(got) == (502, "BadGateway", "")
    assert ended(limited.world.proxy, got.audit_id) == ("upstream-refused", 502)
