"""The first bounds of E4: the protocol is HTTP/1.1 alone, and a head has a size."""

import pytest

from tests.attacks.front import A, Front
from tests.attacks.trial import Trial
from tests.proxy.world import request

pytestmark = pytest.mark.cluster

CONFIGMAPS = f"/api/v1/namespaces/{A}/configmaps"
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [
        pytest.param(("h2", "http/1.1"), "http/1.1", id="E4.1-h2-first"),
        pytest.param(("http/1.1", "h2"), "http/1.1", id="E4.1-h2-second"),
    ],
)
def test_http_2_is_never_chosen(
    front: Front, trial: Trial, offered: tuple[str, ...], chosen: str
) -> None:
    with trial.client(alpn=offered) as client:
        assert client.tls.selected_alpn_protocol() == chosen
        asked = request("GET", CONFIGMAPS, front.token("alice", "full"))
        assert client.ask(asked).status == 200


def test_E4_1_a_preface_of_http_2_is_refused(trial: Trial) -> None:
    with trial.client() as client:
        answer = client.ask(_PREFACE)
        assert client.ended()

    trial.refused(answer, 400, "bad-request", "HTTP/2")


def test_E4_7_a_token_of_64_kib_is_taken(front: Front, trial: Trial) -> None:
    # Three quarters of it, since base64 makes four characters of three bytes.
    token = front.token("alice", "full", padding="x" * 46_000)
    assert 60 * 1024 < len(token) <= 64 * 1024
    answer = trial.send(request("GET", CONFIGMAPS, token))

    assert answer.status == 200
    trial.permitted(answer, "alice")


def test_E4_7_a_head_of_a_mebibyte_is_refused(front: Front, trial: Trial) -> None:
    """kube-apiserver itself takes it."""
    filler = "X-Filler: " + "x" * 1024 * 1024
    with trial.client() as client:
        client.send(request("GET", CONFIGMAPS, front.token("alice", "full"), filler))
        answer = client.answer()

    trial.refused(answer, 431, "head-too-large")
