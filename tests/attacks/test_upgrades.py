"""Upgrades and connections (E1, P15, P16): a connection never means more than was judged."""

import contextlib

import pytest

from tests.attacks.front import A, B, Front
from tests.attacks.trial import Trial, assert_same_request
from tests.proxy.fixtures import Scripted
from tests.proxy.world import request

pytestmark = pytest.mark.cluster

EXEC = f"/api/v1/namespaces/{A}/pods/p/exec?command=id"
SECRETS = f"/api/v1/namespaces/{B}/secrets"
CONFIGMAPS = f"/api/v1/namespaces/{A}/configmaps"
SERVICE = f"/api/v1/namespaces/{A}/services/x/proxy/"
WEBSOCKET = (
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
    "Sec-WebSocket-Protocol: v5.channel.k8s.io",
)
SPDY = (
    "Connection: Upgrade",
    "Upgrade: SPDY/3.1",
    "X-Stream-Protocol-Version: v5.channel.k8s.io",
)


@pytest.mark.parametrize(
    ("method", "upgrade"),
    [
        pytest.param("GET", WEBSOCKET, id="E1.1-websocket"),
        pytest.param("POST", SPDY, id="E1.1-spdy"),
    ],
)
def test_nothing_is_read_after_an_upgrade_that_failed(
    front: Front, trial: Trial, method: str, upgrade: tuple[str, ...]
) -> None:
    """CVE-2018-1002105. There is no such pod, so that kube-apiserver itself answers no 101."""
    token = front.token("mallory", "full")
    with trial.client() as client:
        hidden = request("GET", SECRETS) + request("GET", SECRETS, token)
        client.send(request(method, EXEC, token, *upgrade) + hidden)
        answer = client.answer()
        assert answer.status == 404
        assert client.ended()

    assert trial.only_event(answer)["objectRef"]["subresource"] == "exec"
    assert len(trial.decisions()) == 1


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param(
            ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQ"),
            id="E1.3-h2c",
        ),
        pytest.param(("Upgrade: h2c",), id="E1.3-h2c-without-connection"),
        pytest.param(("Connection: Upgrade", "Upgrade: h2c, websocket"), id="E1.3-h2c-in-a-list"),
        pytest.param(("Connection: Upgrade", "Upgrade: TLS/1.2"), id="E1.3-tls"),
        pytest.param(("Connection: Upgrade", "Upgrade: websocket", "Upgrade: h2c"), id="E1.3-two"),
        pytest.param((*WEBSOCKET, "Content-Length: 60"), id="E1.4-length"),
        pytest.param((*WEBSOCKET, "Transfer-Encoding: chunked"), id="E1.4-chunked"),
        pytest.param((*SPDY, "Content-Length: 60"), id="E1.4-spdy"),
    ],
)
def test_an_upgrade_of_another_kind_is_refused(
    front: Front, trial: Trial, lines: tuple[str, ...]
) -> None:
    """The body is a request for secrets: whoever takes it for one has been fooled."""
    token = front.token("mallory", "full")
    body = request("GET", SECRETS, token)
    with trial.client() as client:
        client.send(request("GET", EXEC, token, *lines) + body)
        answer = client.answer()
        assert client.ended()

    trial.refused(answer, 400, "bad-request")


ORDINARY = [
    pytest.param(("Connection: xUPGRADEy",), id="E1.5-substring"),
    pytest.param(("Connection: xUPGRADEy", "Upgrade: websocket"), id="E1.5-P15-with-upgrade"),
    pytest.param(("Connection: keep-alive, up-grade", "Upgrade: websocket"), id="P15-near"),
    pytest.param(("Upgrade: websocket",), id="P15-upgrade-alone"),
]


@pytest.mark.parametrize("lines", ORDINARY)
def test_what_only_looks_like_an_upgrade_is_an_ordinary_request(
    front: Front, trial: Trial, lines: tuple[str, ...]
) -> None:
    """kube-apiserver looks for the letters ``upgrade`` anywhere in ``Connection``."""
    token = front.token("mallory", "full")
    with trial.client() as client:
        answer = client.ask(request("GET", CONFIGMAPS, token, *lines))
        again = client.ask(request("GET", CONFIGMAPS, token))

    assert (answer.status, again.status) == (200, 200)
    assert set(trial.upstream()) == {answer.audit_id, again.audit_id}


@pytest.mark.parametrize("target", [SERVICE, EXEC], ids=["services-proxy", "exec"])
@pytest.mark.parametrize("lines", ORDINARY)
def test_what_only_looks_like_an_upgrade_is_not_forwarded(
    scripted: Scripted, lines: tuple[str, ...], target: str
) -> None:
    with scripted.world.client() as client:
        client.ask(request("GET", target, scripted.world.token("al", "testers"), *lines))

    (head,) = scripted.api_server.heads
    assert b"\r\nconnection:" not in head.lower()
    assert b"\r\nupgrade:" not in head.lower()


def test_P15_an_upgrade_to_what_has_none_opens_no_tunnel(front: Front, trial: Trial) -> None:
    """A handshake on a list; kube-apiserver itself would answer as if there were none."""
    token = front.token("mallory", "full")
    with trial.client() as client:
        client.send(request("GET", CONFIGMAPS, token, *WEBSOCKET) + request("GET", SECRETS, token))
        answer = client.answer()
        assert client.ended()

    trial.refused(answer, 400, "bad-request")


CONSOLE = f"/apis/subresources.kubevirt.io/v1/namespaces/{A}/virtualmachineinstances/vm/console"


@pytest.mark.parametrize("lines", [WEBSOCKET, SPDY], ids=["websocket", "spdy"])
def test_P15_an_aggregated_api_is_asked_for_no_tunnel_that_was_judged_as_a_get(
    scripted: Scripted, lines: tuple[str, ...]
) -> None:
    """The stand-in would answer anything; a rule for ``get`` covers no connection."""
    token = scripted.world.token("al", "testers")
    with scripted.world.client() as client:
        assert client.ask(request("GET", CONSOLE, token)).status == 200
    before = len(scripted.api_server.heads)
    with scripted.world.client() as client:
        assert client.ask(request("GET", CONSOLE, token, *lines)).status == 400
        assert client.ended()

    assert len(scripted.api_server.heads) == before


def test_P16_a_watch_over_websocket_is_judged_as_a_watch(front: Front, trial: Trial) -> None:
    asked = f"{SECRETS}?watch=1"
    # kube-apiserver takes no such handshake without an Origin, which browsers send.
    handshake = (*WEBSOCKET[:-1], "Origin: https://dashboard.example")
    denied = trial.send(request("GET", asked, front.token("mallory", "lister"), *handshake))
    assert trial.denied(denied)["request"]["verb"] == "watch"

    allowed = Trial(front)
    with allowed.client() as client:
        client.send(request("GET", asked, front.token("alice", "full"), *handshake))
        status, headers = client.head()
        assert status == 101
        # A text frame that the server does not mask, holding an event.
        assert client.receive()[:1] == b"\x81"
        (record,) = allowed.decisions()
        (stages,) = allowed.upstream().values()
    assert (record["request"]["verb"], record["request"]["stream"]) == ("watch", "watch")
    assert [record["audit_id"]] == headers["audit-id"]
    assert_same_request(record["request"], stages[-1])


def test_E1_6_a_connection_on_which_the_body_was_not_read_is_not_used_again(
    front: Front, trial: Trial
) -> None:
    """kube-apiserver answers 413 after 3 MiB; what it has not read must not become a request."""
    token = front.token("mallory", "full")
    head = request("POST", CONFIGMAPS, token, f"Content-Length: {4 * 1024 * 1024}")
    with trial.client() as client:
        with contextlib.suppress(OSError):  # it may have gone before all is sent
            client.send(head + b" " * (3 * 1024 * 1024 + 65536))
        answer = client.answer()
        assert answer.status == 413
        with contextlib.suppress(OSError):  # the connection may have gone already
            client.send(request("GET", SECRETS, token) * 100)
        assert client.ended()

    assert trial.only_event(answer)["responseStatus"]["code"] == 413
    assert trial.send(request("GET", CONFIGMAPS, token)).status == 200
