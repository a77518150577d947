"""HTTP/1.1 framing (E3): where a request ends has one reading, or the connection ends.

Each row hides a request for secrets in its body. Where it is taken for a request by anybody, a
second answer or a second event shows it.
"""

import contextlib
from typing import NamedTuple

import pytest

from tests.attacks.front import SECRET, A, B, Front
from tests.attacks.trial import Trial
from tests.proxy.raw_client import Answer
from tests.proxy.world import request

pytestmark = pytest.mark.cluster

SECRETS = f"/api/v1/namespaces/{B}/secrets"
CONFIGMAPS = f"/api/v1/namespaces/{A}/configmaps"
_OBJECT = b'{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"framed"}}'


class Framed(NamedTuple):
    """Header lines and body of a POST, and whether kzproxy must refuse it by its head alone."""

    lines: tuple[bytes, ...]
    body: bytes
    version: bytes = b"HTTP/1.1"


_SMUGGLED = b"0\r\n\r\n"
_CHUNKED = b"Transfer-Encoding: chunked"


def head(row: Framed, token: str, method: str = "POST") -> bytes:
    lines = [
        f"{method} {CONFIGMAPS}?dryRun=All ".encode() + row.version,
        b"Host: p",
        f"Authorization: Bearer {token}".encode(),
        b"Content-Type: application/json",
        *row.lines,
    ]
    return b"\r\n".join([*lines, b"", b""])


def one_answer(trial: Trial, data: bytes) -> Answer:
    """Send, and insist on one answer and the end of the connection behind it."""
    with trial.client() as client:
        with contextlib.suppress(OSError):  # it may end before all is sent
            client.send(data)
        answer = client.answer()
        assert client.ended(), "a second answer"
    assert SECRET.encode() not in answer.body
    return answer


HEADS = {
    "E3.1-length-and-chunked": Framed((b"Content-Length: 5", _CHUNKED), _SMUGGLED),
    "E3.1-chunked-and-length": Framed((_CHUNKED, b"Content-Length: 5"), _SMUGGLED),
    "E3.2-chunked-twice": Framed((_CHUNKED, _CHUNKED), _SMUGGLED),
    "E3.2-chunked-chunked": Framed((b"Transfer-Encoding: chunked, chunked",), _SMUGGLED),
    "E3.3-vertical-tab": Framed((b"Transfer-Encoding:\x0bchunked",), _SMUGGLED),
    "E3.3-form-feed": Framed((b"Transfer-Encoding:\x0cchunked",), _SMUGGLED),
    "E3.4-space-before-the-colon": Framed((b"Transfer-Encoding : chunked",), _SMUGGLED),
    "E3.4-length": Framed((b"Content-Length : 5",), _SMUGGLED),
    "E3.5-folded": Framed((b"Transfer-Encoding:\r\n chunked",), _SMUGGLED),
    "E3.5-folded-by-tab": Framed((b"Transfer-Encoding:\r\n\tchunked",), _SMUGGLED),
    "E3.5-length": Framed((b"Content-Length:\r\n 5",), _SMUGGLED),
    "E3.6-plus": Framed((b"Content-Length: +5",), _SMUGGLED),
    "E3.6-minus": Framed((b"Content-Length: -5",), _SMUGGLED),
    "E3.6-hexadecimal": Framed((b"Content-Length: 0x5",), _SMUGGLED),
    "E3.6-underscore": Framed((b"Content-Length: 1_0",), _SMUGGLED),
    "E3.6-huge": Framed((b"Content-Length: 18446744073709551621",), _SMUGGLED),
    "E3.7-list": Framed((b"Content-Length: 5, 5",), _SMUGGLED),
    "E3.7-twice": Framed((b"Content-Length: 5", b"Content-Length: 5"), _SMUGGLED),
    "E3.7-differing": Framed((b"Content-Length: 5", b"Content-Length: 0"), _SMUGGLED),
    "E3.10-http-1.0": Framed((_CHUNKED,), _SMUGGLED, b"HTTP/1.0"),
    "E3.10-http-1.2": Framed((_CHUNKED,), _SMUGGLED, b"HTTP/1.2"),
    "E3.10-http-0.9": Framed((_CHUNKED,), _SMUGGLED, b"HTTP/0.9"),
    "E3.12-announced": Framed((_CHUNKED, b"Trailer: Impersonate-User"), _SMUGGLED),
}
# What smuggling tools try: each is "chunked" to some parser and not to another.
_CODINGS = (
    b"xchunked",
    b"chunked, identity",
    b"identity, chunked",
    b"identity",
    b"gzip, chunked",
    b"chunked;q=1",
    b'"chunked"',
    b"chunked\x00",
    b"chunke\xc4\x8f",
    b"chunked\xa0",
    b",chunked",
    b"chunked,",
    b"x",
    b"",
)
HEADS |= {
    f"E3.13-coding-{number}": Framed((b"Transfer-Encoding: " + coding,), _SMUGGLED)
    for number, coding in enumerate(_CODINGS, start=1)
}
_LINES = (
    b"Transfer_Encoding: chunked",
    b"Transfer-Encoding",
    b"X: x\nTransfer-Encoding: chunked",
    b"X: x\rTransfer-Encoding: chunked",
    b"Transfer-Encoding\x00: chunked",
    b"\x00Transfer-Encoding: chunked",
    b" Transfer-Encoding: chunked",
    b"Transfer-Encoding:chunked\n",
    b"Transfer-Encoding: chunked\r",
    b"Transfer\xadEncoding: chunked",
)
HEADS |= {
    f"E3.13-line-{number}": Framed((b"Content-Length: 5", line), _SMUGGLED)
    for number, line in enumerate(_LINES, start=1)
}


@pytest.mark.parametrize("row", [pytest.param(row, id=name) for name, row in HEADS.items()])
def test_a_length_with_two_readings_is_refused(front: Front, trial: Trial, row: Framed) -> None:
    token = front.token("mallory", "full")
    hidden = request("GET", SECRETS, token)
    answer = one_answer(trial, head(row, token) + row.body + hidden)

    trial.refused(answer, 400, "bad-request")


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


CHUNKS = {
    "E3.8-line-feed-in-an-extension": b"5;a\nb\r\nhello\r\n0\r\n\r\n",
    "E3.8-extension": b"5;a=b\r\nhello\r\n0\r\n\r\n",
    "E3.8-bare-line-feed": b"5\nhello\r\n0\r\n\r\n",
    "E3.8-line-feed-behind-the-data": b"5\r\nhello\n0\r\n\r\n",
    "E3.8-nothing-behind-the-data": b"5\r\nhello0\r\n\r\n",
    "E3.9-hexadecimal-prefix": b"0x5\r\nhello\r\n0\r\n\r\n",
    "E3.9-plus": b"+5\r\nhello\r\n0\r\n\r\n",
    "E3.9-minus": b"-5\r\nhello\r\n0\r\n\r\n",
    "E3.9-space-behind": b"5 \r\nhello\r\n0\r\n\r\n",
    "E3.9-space-before": b" 5\r\nhello\r\n0\r\n\r\n",
    "E3.9-no-size": b"\r\nhello\r\n0\r\n\r\n",
    "E3.9-more-than-64-bits": b"10000000000000005\r\nhello\r\n0\r\n\r\n",
    "E3.12-trailer": _chunk(_OBJECT) + b"0\r\nImpersonate-User: bob\r\n\r\n",
    "E3.12-trailing-length": _chunk(_OBJECT) + b"0\r\nContent-Length: 60\r\n\r\n",
}


@pytest.mark.parametrize("body", [pytest.param(body, id=name) for name, body in CHUNKS.items()])
def test_a_body_with_two_readings_ends_the_connection(
    front: Front, trial: Trial, body: bytes
) -> None:
    """The head was in order, so that the request may be under way upstream when this is seen."""
    token = front.token("mallory", "full")
    hidden = request("GET", SECRETS, token)
    answer = one_answer(trial, head(Framed((_CHUNKED,), b""), token) + body + hidden)

    assert answer.status == 400
    assert len(trial.decisions()) == 1
    assert set(trial.upstream()) <= {answer.audit_id}


@pytest.mark.parametrize("method", ["GET", "DELETE"])
@pytest.mark.parametrize(
    "chunked", [pytest.param(False, id="E3.11-length"), pytest.param(True, id="E3.11-chunked")]
)
def test_a_body_where_few_expect_one_is_no_request(
    front: Front, trial: Trial, method: str, chunked: bool
) -> None:
    """It is forwarded as framed; the connection of a GET with one is not used again."""
    token = front.token("mallory", "full")
    hidden = request("GET", SECRETS, token)
    framing = _CHUNKED if chunked else b"Content-Length: %d" % len(hidden)
    body = _chunk(hidden) + b"0\r\n\r\n" if chunked else hidden
    with trial.client() as client:
        answer = client.ask(head(Framed((framing,), b""), token, method) + body)
        assert SECRET.encode() not in answer.body
        if method == "GET":
            assert client.ended()

    event = trial.only_event(answer)
    assert event["objectRef"]["resource"] == "configmaps"
    assert len(trial.decisions()) == 1


def test_E3_11_a_head_request_has_no_body(front: Front, trial: Trial) -> None:
    token = front.token("mallory", "full")
    hidden = request("GET", SECRETS, token)
    row = Framed((b"Content-Length: %d" % len(hidden),), b"")
    with trial.client() as client:
        client.send(head(row, token, "HEAD") + hidden)
        status, headers = client.head()
        assert status == 400
        # An unreadable head has no method: a Status comes, and then the end.
        client.to_end()

    assert [record["audit_id"] for record in trial.decisions()] == headers["audit-id"]
    trial.nothing_upstream()


def test_E3_13_requests_in_order_are_answered_in_order(front: Front, trial: Trial) -> None:
    """The judge can tell two requests from one: both of a pipeline are served, each judged."""
    alice, mallory = front.token("alice", "full"), front.token("mallory", "a-reader")
    both = request("GET", CONFIGMAPS, alice) + request("GET", SECRETS, mallory)
    with trial.client() as client:
        client.send(both)
        first, second = client.answer(), client.answer()

    assert (first.status, second.status) == (200, 403)
    assert [record["decision"] for record in trial.decisions()] == ["permit", "deny"]
    trial.only_event(first)
