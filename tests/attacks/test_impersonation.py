"""Impersonation (B2): no name, header or byte makes kzproxy act as itself or as another.

kube-apiserver's own leniency is what each row exploits; docs/reference/attack-catalogue.md says
what it does with each. Every user here is a cluster-admin upstream, and no prefix is put before
names, so that what gets through counts.
"""

import base64
from typing import Any

import pytest

from tests.attacks.front import A, B, Front
from tests.attacks.trial import Trial
from tests.proxy.world import request

pytestmark = pytest.mark.cluster

REVIEWS = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
REVIEW = b'{"apiVersion":"authentication.k8s.io/v1","kind":"SelfSubjectReview"}'
SECRETS = f"/api/v1/namespaces/{B}/secrets"
_JSON = "Content-Type: application/json"
_BEARER_SUBPROTOCOL = "base64url.bearer.authorization.k8s.io."


def whoami(token: str, *lines: str) -> bytes:
    """Ask the API server who it takes the sender for."""
    return request("POST", REVIEWS, token, _JSON, *lines, body=REVIEW)


def raw(token: str, *lines: bytes) -> bytes:
    """Ask for the secrets with header lines of any bytes."""
    head = [
        f"GET {SECRETS} HTTP/1.1".encode(),
        b"Host: p",
        f"Authorization: Bearer {token}".encode(),
        *lines,
    ]
    return b"\r\n".join([*head, b"", b""])


def user_info(answer: Any) -> dict[str, Any]:
    assert answer.status == 201, answer.body
    info: dict[str, Any] = answer.json["status"]["userInfo"]
    return info


# A client's own impersonation headers

IMPERSONATION = [
    pytest.param((b"Impersonate-User:",), id="B2.1-empty"),
    pytest.param((b"Impersonate-User:    ",), id="B2.1-spaces"),
    pytest.param((b"Impersonate-User: \t",), id="B2.1-tab"),
    pytest.param((b"Impersonate-User:", b"Impersonate-Group: system:masters"), id="B2.2"),
    pytest.param((b"Impersonate-User:", b"Impersonate-User: bob"), id="B2.3"),
    pytest.param((b"Impersonate-User: alice", b"Impersonate-User: bob"), id="B2.4"),
    pytest.param((b"Impersonate-User: alice, bob",), id="B2.5"),
    pytest.param((b"Impersonate-Group: g1, g2",), id="B2.6"),
    pytest.param((b"Impersonate-Group:", b"Impersonate-Group: g"), id="B2.7"),
    pytest.param((b"Impersonate-User:  alice\t",), id="B2.8"),
    pytest.param((b"Impersonate-Group: system:masters",), id="B2.9"),
    pytest.param((b"Impersonate-Group: system:unauthenticated",), id="B2.11"),
    pytest.param((b"Impersonate-User: system:anonymous",), id="B2.12"),
    pytest.param((b"Impersonate-User: system:serviceaccount:kube-system:default",), id="B2.13"),
    pytest.param(
        (
            b"Impersonate-User: system:serviceaccount:kube-system:default",
            b"Impersonate-Group: system:masters",
        ),
        id="B2.14",
    ),
    pytest.param(
        (b"Impersonate-User: system:node:n1", b"Impersonate-Group: system:nodes"), id="B2.15"
    ),
    pytest.param((b"Impersonate-Uid: 1",), id="B2.16"),
]


@pytest.mark.parametrize("lines", IMPERSONATION)
def test_a_clients_impersonation_is_refused(
    front: Front, trial: Trial, lines: tuple[bytes, ...]
) -> None:
    answer = trial.send(raw(front.token("mallory", "full"), *lines))

    trial.refused(answer, 403, "forbidden", "impersonate-")


# Names that a token brings

NAMELESS: list[Any] = [
    pytest.param({"sub": ""}, id="B2.1-user-empty"),
    pytest.param({"sub": "   "}, id="B2.1-user-spaces"),
    pytest.param({"sub": "\t"}, id="B2.1-user-tab"),
    pytest.param({"sub": "\u00a0"}, id="B2.1-user-no-break-space"),
    pytest.param({"sub": "\u200b"}, id="B2.1-user-zero-width-space"),
    pytest.param({"sub": None}, id="B2.1-user-missing"),
    pytest.param({"sub": "", "groups": ["full"]}, id="B2.2-user-empty-with-a-group"),
    pytest.param({"sub": ["", "bob"]}, id="B2.3-users"),
    pytest.param({"sub": ["alice", "bob"]}, id="B2.4-users"),
    pytest.param({"groups": ["g1", "", "g2"]}, id="B2.7-group-empty"),
    pytest.param({"groups": ["g1", " "]}, id="B2.7-group-blank"),
    pytest.param({"sub": " alice"}, id="B2.8-user-leading-blank"),
    pytest.param({"sub": "alice "}, id="B2.8-user-trailing-blank"),
    pytest.param({"sub": "alice\t"}, id="B2.8-user-trailing-tab"),
    pytest.param({"groups": [" system:masters"]}, id="B2.8-group-leading-blank"),
    pytest.param({"groups": ["g\t"]}, id="B2.8-group-trailing-tab"),
    pytest.param({"uid": " 1"}, id="B2.8-uid-leading-blank"),
    pytest.param({"groups": ["system:masters"]}, id="B2.9-group"),
    pytest.param({"groups": ["full", "System:Masters"]}, id="B2.9-group-capitals"),
    pytest.param({"groups": "system:masters"}, id="B2.9-group-as-a-string"),
    pytest.param({"groups": ["system:unauthenticated"]}, id="B2.11-group"),
    pytest.param({"sub": "system:anonymous"}, id="B2.12-user"),
    pytest.param(
        {"sub": "system:serviceaccount:kube-system:default", "groups": []}, id="B2.13-user"
    ),
    pytest.param(
        {"sub": "system:serviceaccount:kube-system:default", "groups": ["full"]}, id="B2.14-user"
    ),
    pytest.param({"sub": "system:node:n1", "groups": ["system:nodes"]}, id="B2.15-user"),
    pytest.param({"sub": "system:node:n1", "groups": []}, id="B2.15-user-alone"),
    pytest.param({"uid": ""}, id="B2.16-uid-empty"),
    pytest.param({"uid": 5}, id="B2.16-uid-number"),
    pytest.param({"sub": "zoe\u0308"}, id="B2.17-user-not-composed"),
    pytest.param({"sub": "al\u202eice"}, id="B2.17-user-right-to-left"),
    pytest.param({"sub": "al\ud800ice"}, id="B2.17-user-half-a-character"),
    pytest.param({"sub": "al\r\n ice"}, id="B2.18-user"),
    pytest.param({"sub": "al\nImpersonate-User: bob"}, id="B2.19-user"),
    pytest.param({"groups": ["g\nImpersonate-Group: system:masters"]}, id="B2.19-group"),
    pytest.param({"uid": "1\nImpersonate-User: bob"}, id="B2.19-uid"),
    pytest.param({"sub": "al\rice"}, id="B2.20-user-carriage-return"),
    pytest.param({"sub": "al\x00ice"}, id="B2.20-user-nul"),
]


@pytest.mark.parametrize("changes", NAMELESS)
def test_a_token_whose_names_have_two_readings_is_refused(
    front: Front, trial: Trial, changes: dict[str, Any]
) -> None:
    claims = front.claims("alice", "full") | changes
    claims = {name: value for name, value in claims.items() if value is not None}
    token = front.world.issuer.token(claims)

    trial.refused(trial.send(request("GET", SECRETS, token)), 401, "unauthenticated")


def test_B2_17_a_token_that_is_not_utf_8_is_refused(front: Front, trial: Trial) -> None:
    key = front.world.issuer.keys[-1]
    claims = f'{{"iss":"{front.world.issuer.url}","aud":"kubernetes","exp":4000000000,"sub":"al'
    token = key.token_of(b'{"alg":"ES256","kid":"key-1"}', claims.encode() + b'\xff\xfe"}')

    trial.refused(trial.send(request("GET", SECRETS, token)), 401, "unauthenticated")


# Names that are sent as they are

GROUPS = [
    pytest.param(["g1", "g,2"], id="B2.6-E2.10-a-comma"),
    pytest.param(["g1, g2"], id="B2.6-comma-and-blank"),
    pytest.param([",,,chameleon"], id="B2.6-only-commas"),
    pytest.param(["g1", "g2", "g3"], id="B2.6-three"),
    pytest.param([], id="B2.10-none"),
]


@pytest.mark.parametrize("groups", GROUPS)
def test_every_group_is_sent_as_one(front: Front, trial: Trial, groups: list[str]) -> None:
    token = front.world.token("alice", *groups)
    answer = trial.send(whoami(token))
    event = trial.permitted(answer, "alice")

    expected = [*groups, "system:authenticated"]
    assert user_info(answer)["groups"] == expected
    assert event["impersonatedUser"]["groups"] == expected


@pytest.mark.parametrize(
    "user",
    [
        pytest.param("alice, bob", id="B2.5-comma"),
        pytest.param("Alice", id="B2.5-case"),
        pytest.param("zoë", id="B2.17-utf-8"),
        pytest.param("张伟", id="B2.17-utf-8-of-three-bytes"),
        pytest.param("al ice", id="B2.8-blank-inside"),
        pytest.param("masters:system", id="B2.9-not-reserved"),
        pytest.param("Impersonate-User: bob", id="B2.19-a-header-in-one-line"),
    ],
)
def test_a_user_is_sent_as_it_is(front: Front, trial: Trial, user: str) -> None:
    answer = trial.send(whoami(front.world.token(user, "g")))
    event = trial.permitted(answer, user)

    assert user_info(answer)["username"] == user
    assert event["impersonatedUser"]["groups"] == ["g", "system:authenticated"]


def test_B2_16_the_uid_is_the_tokens(front: Front, trial: Trial) -> None:
    answer = trial.send(whoami(front.world.token("alice", uid="u-17")))

    assert trial.permitted(answer, "alice")["impersonatedUser"]["uid"] == "u-17"
    assert user_info(answer)["uid"] == "u-17"


# Bytes in the head

BYTES = [
    pytest.param((b"X-User: al", b" ice"), id="B2.18-space"),
    pytest.param((b"X-User: al", b"\tice"), id="B2.18-tab"),
    pytest.param((b"Impersonate-User:", b" bob"), id="B2.18-impersonation"),
    pytest.param((b"X-A: b\nImpersonate-User: bob",), id="B2.19"),
    pytest.param((b"X-A: b\n Impersonate-User: bob",), id="B2.19-folded"),
    pytest.param((b"X-A: b\nX-B: c",), id="B2.19-harmless"),
    pytest.param((b"X-A: b\rImpersonate-User: bob",), id="B2.20-carriage-return"),
    pytest.param((b"X-A: b\x00c",), id="B2.20-nul"),
    pytest.param((b"Impersonate-User\x00: bob",), id="B2.20-nul-in-the-name"),
    pytest.param((b"Impersonate-User : bob",), id="B2.21"),
    pytest.param((b"Impersonate-User\t: bob",), id="B2.21-tab"),
    pytest.param((b" Impersonate-User: bob",), id="B2.21-before-the-name"),
    pytest.param((b"Impersonate_User: bob",), id="B2.22"),
    pytest.param((b"IMPERSONATE_GROUP: system:masters",), id="B2.22-group"),
    pytest.param((b"X-User: \xff\xfe",), id="B2.17-not-utf-8"),
]


@pytest.mark.parametrize("lines", BYTES)
def test_a_head_with_two_readings_is_refused(
    front: Front, trial: Trial, lines: tuple[bytes, ...]
) -> None:
    answer = trial.send(raw(front.token("mallory", "full"), *lines))

    trial.refused(answer, 400, "bad-request")


def test_B2_23_a_trailer_names_nobody(front: Front, trial: Trial) -> None:
    """Nor is it forwarded: the body is framed anew."""
    head = request("POST", REVIEWS, front.token("mallory"), _JSON, "Transfer-Encoding: chunked")
    chunks = b"%x\r\n%s\r\n0\r\nImpersonate-User: bob\r\n\r\n" % (len(REVIEW), REVIEW)
    answer = trial.send(head + chunks)

    assert answer.status == 400
    assert answer.headers["connection"] == ["close"]
    for stages in trial.upstream().values():
        assert stages[-1]["impersonatedUser"]["username"] == "mallory"


def test_B2_23_an_announced_trailer_is_refused_at_once(front: Front, trial: Trial) -> None:
    lines = (_JSON, "Transfer-Encoding: chunked", "Trailer: Impersonate-User")
    head = request("POST", REVIEWS, front.token("mallory"), *lines)

    trial.refused(trial.send(head), 400, "bad-request", "trailers")


def test_B2_24_headers_of_a_front_proxy_name_nobody(front: Front, trial: Trial) -> None:
    answer = trial.send(
        whoami(
            front.token("mallory"),
            "X-Remote-User: admin",
            "X-Remote-Group: system:masters",
            "X-Remote-Extra-Scopes: all",
        )
    )

    event = trial.permitted(answer, "mallory")
    assert "system:masters" not in event["impersonatedUser"]["groups"]
    assert user_info(answer)["username"] == "mallory"
    assert set(user_info(answer)["extra"]) == {"kzproxy.dev/session-id"}


def test_B2_25_a_token_in_a_subprotocol_does_not_stand_in_for_a_bad_one(
    front: Front, trial: Trial
) -> None:
    good = base64.urlsafe_b64encode(front.token("alice", "full").encode()).rstrip(b"=").decode()
    answer = trial.send(
        request(
            "GET",
            f"/api/v1/namespaces/{A}/pods/p/exec?command=id",
            "not.a.token",
            "Connection: Upgrade",
            "Upgrade: websocket",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
            f"Sec-WebSocket-Protocol: {_BEARER_SUBPROTOCOL}{good}, v5.channel.k8s.io",
        )
    )

    trial.refused(answer, 400, "bad-request", "more than one credential")
