"""Header tricks (E2): what a client writes names nobody, hides nothing and is believed nowhere."""

import base64
import ssl
from typing import Any

import pytest

from tests.attacks.front import A, B, Front
from tests.attacks.test_impersonation import REVIEW, REVIEWS, raw, user_info, whoami
from tests.attacks.test_upgrades import EXEC, WEBSOCKET
from tests.attacks.trial import Trial
from tests.proxy.fixtures import Scripted
from tests.proxy.world import request
from tests.servers.authority import Authority

pytestmark = pytest.mark.cluster

CONFIGMAPS = f"/api/v1/namespaces/{A}/configmaps"
SECRETS = f"/api/v1/namespaces/{B}/secrets"
SESSION = "kzproxy.dev/session-id"
DEVICE = "kzproxy.dev/device-id"


@pytest.mark.parametrize(
    "connection",
    [
        pytest.param(
            "close, Impersonate-User, Impersonate-Group, Authorization, Audit-ID", id="E2.1"
        ),
        pytest.param("Impersonate-User", id="E2.1-alone"),
        pytest.param("foo, impersonate-user", id="E2.1-second"),
        pytest.param(
            "keep-alive, Impersonate-Extra-Kzproxy.dev%2fsession-id, X-Forwarded-For, Host",
            id="E2.1-extras",
        ),
    ],
)
def test_connection_takes_no_identity_away(front: Front, trial: Trial, connection: str) -> None:
    """As with CVE-2021-31999 and CVE-2022-23652: the next hop drops what ``Connection`` names."""
    answer = trial.send(whoami(front.token("alice"), f"Connection: {connection}"))

    info = user_info(answer)
    assert (info["username"], list(info["extra"])) == ("alice", [SESSION])
    event = trial.permitted(answer, "alice")
    assert event["sourceIPs"] == ["127.0.0.1"]


def test_E2_1_connection_is_not_forwarded(scripted: Scripted) -> None:
    asked = request(
        "GET", CONFIGMAPS, scripted.world.token("al", "testers"), "Connection: Audit-ID"
    )
    with scripted.world.client() as client:
        client.ask(asked)

    (head,) = scripted.api_server.heads
    assert b"\r\nconnection:" not in head.lower()
    assert b"\r\nimpersonate-user: t:al\r\n" in head.lower()


_NAMES = (
    b"Impersonate-User: bob",
    b"Impersonate-Group: g",
    b"Impersonate-Uid: 1",
    b"Impersonate-Extra-Scopes: s",
    b"impersonate-user: bob",
    b"IMPERSONATE-GROUP: system:masters",
    pytest.param(b"Impersonate-Future: x", id="E8.3-Impersonate-Future"),
)


@pytest.mark.parametrize("times", [1, 2], ids=["E2.2-alone", "E2.2-doubled"])
@pytest.mark.parametrize("line", _NAMES, ids=lambda line: line.split(b":")[0].decode())
def test_a_client_may_not_ask_to_impersonate(
    front: Front, trial: Trial, line: bytes, times: int
) -> None:
    answer = trial.send(raw(front.token("mallory", "full"), *[line] * times))

    trial.refused(answer, 403, "forbidden", "impersonate-")


def test_E2_3_headers_of_a_front_proxy_are_dropped(scripted: Scripted) -> None:
    """That they name nobody at the real API server is B2.24."""
    lines = ("X-Remote-User: admin", "X-Remote-Group: system:masters", "X-Remote-Extra-A: b")
    with scripted.world.client() as client:
        client.ask(request("GET", CONFIGMAPS, scripted.world.token("al", "testers"), *lines))

    (head,) = scripted.api_server.heads
    assert b"x-remote" not in head.lower()


@pytest.mark.parametrize(
    "line",
    [
        pytest.param(b"Impersonate_User: bob", id="E2.4-user"),
        pytest.param(b"impersonate_extra-scopes: s", id="E2.4-half"),
        pytest.param(b"X_Remote_User: admin", id="E2.4-remote"),
        pytest.param(b"X-Remote_Group: system:masters", id="E2.4-remote-half"),
        pytest.param(b"X_Forwarded_For: 10.0.0.1", id="E2.4-forwarded"),
        pytest.param(b"Transfer_Encoding: chunked", id="E2.4-framing"),
        pytest.param(b"Content_Length: 5", id="E2.4-length"),
        pytest.param(b"Audit_ID: 1", id="E2.4-audit"),
        # Bytes that end a header for some parser; the rows of B2 have the rest.
        pytest.param(b"X-A: b\nImpersonate-User: bob", id="E2.5-line-feed"),
        pytest.param(b"X-A: b\r\n Impersonate-User: bob", id="E2.5-folded"),
        pytest.param(b"X-A: b\rc", id="E2.5-carriage-return"),
        pytest.param(b"X-A: b\x00c", id="E2.5-nul"),
    ],
)
def test_a_header_that_can_be_read_as_another_is_refused(
    front: Front, trial: Trial, line: bytes
) -> None:
    trial.refused(trial.send(raw(front.token("mallory", "full"), line)), 400, "bad-request")


def test_E2_5_a_name_from_a_token_cannot_end_its_header(front: Front, trial: Trial) -> None:
    token = front.token("al\nImpersonate-Group: system:masters", "full")

    trial.refused(trial.send(request("GET", SECRETS, token)), 401, "unauthenticated", "control")


def subprotocol(token: str) -> str:
    encoded = base64.urlsafe_b64encode(token.encode()).rstrip(b"=").decode()
    hidden = f"base64url.bearer.authorization.k8s.io.{encoded}"
    return f"Sec-WebSocket-Protocol: v5.channel.k8s.io, {hidden}"


def test_E2_6_a_second_token_in_the_websocket_subprotocol_is_refused(
    front: Front, trial: Trial
) -> None:
    """kube-apiserver would believe either; this one is even kzproxy's own."""
    own = front.control_plane.upstream_account.token()
    lines = (*WEBSOCKET[:-1], subprotocol(own))
    answer = trial.send(request("GET", EXEC, front.token("alice", "full"), *lines))

    trial.refused(answer, 400, "bad-request", "more than one credential")


def test_E2_6_a_token_in_the_subprotocol_alone_is_no_credential(front: Front, trial: Trial) -> None:
    lines = (*WEBSOCKET[:-1], subprotocol(front.token("alice", "full")))
    answer = trial.send(request("GET", EXEC, "", *lines))

    trial.refused(answer, 401, "unauthenticated", "Sec-WebSocket-Protocol")


@pytest.mark.parametrize(
    "second",
    [
        pytest.param("Authorization: Bearer {bob}", id="E2.7-another"),
        pytest.param("Authorization: Bearer {alice}", id="E2.7-the-same"),
        pytest.param("Authorization: Basic YTpi", id="E2.7-basic"),
        pytest.param("authorization:", id="E2.7-empty"),
    ],
)
def test_two_authorizations_are_refused(front: Front, trial: Trial, second: str) -> None:
    alice, bob = front.token("alice", "full"), front.token("bob", "full")
    answer = trial.send(request("GET", SECRETS, alice, second.format(alice=alice, bob=bob)))

    trial.refused(answer, 400, "bad-request", "more than one credential")


def test_E2_7_a_certificate_names_a_device_and_never_a_user(front: Front, trial: Trial) -> None:
    certificate = front.world.device("alice")
    answer = trial.send(whoami(front.token("bob")), certificate=certificate)

    event = trial.permitted(answer, "bob")
    assert event["impersonatedUser"]["extra"][DEVICE] == ["alice"]
    assert user_info(answer)["username"] == "bob"


def test_E7_8_a_certificates_organization_is_no_group(front: Front, trial: Trial) -> None:
    """kube-apiserver makes groups of it (x509.CommonNameUserConversion); kzproxy must not."""
    issued = front.world.authority.issue(
        common_names=["system:admin"], organizations=["system:masters", "full"]
    )
    files = issued.write_to(front.world.directory, "device-of-masters")
    mallory = front.world.token("mallory")
    answer = trial.send(whoami(mallory), certificate=files)

    groups = trial.permitted(answer, "mallory")["impersonatedUser"]["groups"]
    assert groups == ["system:authenticated"]
    denied = Trial(front)
    denied.denied(denied.send(request("GET", SECRETS, mallory), certificate=files), "")


def test_E2_7_a_certificate_alone_is_nobody(front: Front, trial: Trial) -> None:
    answer = trial.send(request("GET", SECRETS), certificate=front.world.device("alice"))

    trial.refused(answer, 401, "unauthenticated", "no credential")


_FORWARDED = (
    "X-Forwarded-For: 10.0.0.1",
    "X-Forwarded-For: 10.0.0.2",
    "X-Real-Ip: 10.0.0.1",
    "Forwarded: for=10.0.0.1",
    "X-Forwarded-Uri: /healthz",
    "X-Original-Url: /healthz",
    "X-Http-Method-Override: GET",
    "True-Client-Ip: 10.0.0.1",
    "User-Agent: kube-probe/1.35",
)


def test_E2_8_forwarded_headers_are_not_believed(front: Front, trial: Trial) -> None:
    token = front.token("alice", "full")
    answer = trial.send(request("GET", CONFIGMAPS, token, *_FORWARDED), source="127.0.0.9")

    event = trial.permitted(answer, "alice")
    # The client, from kzproxy's own header; then kzproxy itself.
    assert event["sourceIPs"] == ["127.0.0.9", "127.0.0.1"]
    assert event["requestURI"] == CONFIGMAPS
    assert trial.decision(answer)["source"]["address"] == "127.0.0.9"


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_E2_8_forwarded_headers_change_nothing_that_is_judged(
    front: Front, trial: Trial, method: str
) -> None:
    answer = trial.send(
        request(method, SECRETS, front.token("mallory", "url-reader"), *_FORWARDED, body=b"{}")
    )

    record = trial.denied(answer, "")
    assert record["request"]["path"] == SECRETS


def test_E2_8_a_health_checkers_agent_lets_nobody_in(front: Front, trial: Trial) -> None:
    trial.refused(trial.send(request("GET", SECRETS, "", *_FORWARDED)), 401, "unauthenticated")


@pytest.mark.parametrize(
    "user",
    [
        pytest.param("", id="E2.9-empty"),
        pytest.param(" ", id="E2.9-space"),
        pytest.param("\t", id="E2.9-tab"),
        pytest.param(None, id="E2.9-missing"),
    ],
)
def test_a_token_without_a_user_reaches_nothing(front: Front, trial: Trial, user: Any) -> None:
    """kube-apiserver would act as kzproxy itself; the standing check watches for that always."""
    token = front.world.issuer.token(front.claims("x", "full") | front.claims("x", sub=user))
    if user is None:
        token = front.world.issuer.token(front.claims("x", "full", sub=None))
    answer = trial.send(
        request("POST", REVIEWS, token, "Content-Type: application/json", body=REVIEW)
    )

    trial.refused(answer, 401, "unauthenticated")


def test_E2_10_two_groups_are_two_headers(scripted: Scripted) -> None:
    """That they are two groups at the real API server is B2.6."""
    token = scripted.world.token("al", "testers", "g,2")
    with scripted.world.client() as client:
        client.ask(request("GET", CONFIGMAPS, token))

    (head,) = scripted.api_server.heads
    sent = [line for line in head.split(b"\r\n") if line.lower().startswith(b"impersonate-group")]
    assert sent == [b"impersonate-group: t:testers", b"impersonate-group: t:g,2"]


def test_E2_7_a_certificate_of_another_authority_does_not_get_in(
    front: Front, trial: Trial
) -> None:
    files = Authority.root("test root").device("alice").write_to(front.world.directory, "stranger")
    with pytest.raises((ssl.SSLError, ConnectionError)):
        trial.send(request("GET", CONFIGMAPS, front.token("alice", "full")), certificate=files)

    trial.nothing_upstream()
