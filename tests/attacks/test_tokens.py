"""Tokens (E6) at the listener: only what the configured issuer signed, for us, for this user."""

import base64
import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.attacks.front import OTHER_PREFIX, ROTATING_PREFIX, SECRET, A, B, Front
from tests.attacks.test_impersonation import user_info, whoami
from tests.attacks.trial import Trial
from tests.cluster.kubectl import Kubectl
from tests.proxy.fixtures import Scripted
from tests.proxy.world import request
from tests.servers.tokens import SigningKey, base64url, hmac_token

pytestmark = pytest.mark.cluster

SECRETS = f"/api/v1/namespaces/{B}/secrets"
CONFIGMAPS = f"/api/v1/namespaces/{A}/configmaps"

Forged = Callable[[Front], str]


def refused(trial: Trial, token: str, message: str = "") -> None:
    answer = trial.send(request("GET", SECRETS, token))

    assert token not in answer.body.decode()
    trial.refused(answer, 401, "unauthenticated", message)


def _claims(front: Front, **changes: Any) -> dict[str, Any]:
    return {"iss": front.world.issuer.url} | front.claims("admin", "full", **changes)


def _signed(front: Front, **header: Any) -> str:
    return front.world.issuer.token(front.claims("admin", "full"), **header)


def _unsigned(front: Front) -> str:
    _, claims, _ = _signed(front).split(".")
    header = base64url(b'{"alg":"none","kid":"key-1"}')
    return f"{header}.{claims}."


def _by_public_key(encoding: Encoding, form: PublicFormat, algorithm: str) -> Forged:
    def forge(front: Front) -> str:
        public = front.world.issuer.keys[-1].private.public_key()
        secret = public.public_bytes(encoding, form)
        return hmac_token(secret, {"alg": algorithm, "kid": "key-1"}, _claims(front))

    return forge


def _of_attacker(**header: Any) -> Forged:
    """The attacker's key under the name of the issuer's."""

    def forge(front: Front) -> str:
        attacker = SigningKey.make("key-1")
        members = {
            name: attacker.jwk() if value == "own" else value for name, value in header.items()
        }
        return attacker.token(_claims(front), **members)

    return forge


def _changed(front: Front) -> str:
    header, _, signature = front.token("mallory", "a-reader").split(".")
    _, claims, _ = _signed(front).split(".")
    return f"{header}.{claims}.{signature}"


_PEM = (Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
_DER = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
FORGED = [
    pytest.param(_unsigned, id="E6.1-none"),
    pytest.param(_changed, id="E6.1-other-claims"),
    pytest.param(_by_public_key(*_PEM, "HS256"), id="E6.1-hs256-pem"),
    pytest.param(_by_public_key(*_DER, "HS256"), id="E6.1-hs256-der"),
    pytest.param(_by_public_key(*_PEM, "ES256"), id="E6.1-hmac-called-es256"),
    pytest.param(lambda front: _signed(front, alg="RS256"), id="E6.1-alg-of-another-kind"),
    pytest.param(lambda front: _signed(front, alg="none"), id="E6.1-none-though-signed"),
    pytest.param(lambda front: _signed(front, crit=["b64"]), id="E6.2-b64"),
    pytest.param(lambda front: _signed(front, crit=["exp"]), id="E6.2-exp"),
    pytest.param(lambda front: _signed(front, crit=[]), id="E6.2-empty"),
    pytest.param(_of_attacker(), id="E6.3-key-id-alone"),
    pytest.param(_of_attacker(jwk="own"), id="E6.3-jwk"),
    pytest.param(_of_attacker(jku="https://127.0.0.1:1/keys"), id="E6.3-jku"),
    pytest.param(_of_attacker(x5u="https://127.0.0.1:1/cert"), id="E6.3-x5u"),
    pytest.param(_of_attacker(x5c=["MIIB"]), id="E6.3-x5c"),
    pytest.param(lambda front: _signed(front, kid="../../dev/null"), id="E6.3-kid-path"),
    pytest.param(lambda front: _signed(front, kid="key-1' OR '1'='1"), id="E6.3-kid-sql"),
    pytest.param(lambda front: _signed(front, kid="k" * 300), id="E6.3-kid-long"),
]


@pytest.mark.parametrize("forge", FORGED)
def test_a_forged_token_is_refused(front: Front, trial: Trial, forge: Forged) -> None:
    refused(trial, forge(front))


MISUSED = [
    # Issuers
    pytest.param({"iss": "https://evil.example"}, id="E6.6-unknown"),
    pytest.param({"iss": "{url}/"}, id="E6.6-slash"),
    pytest.param({"iss": "{url}x"}, id="E6.6-longer"),
    pytest.param({"iss": "{part}"}, id="E6.6-shorter"),
    pytest.param({"iss": ["{url}"]}, id="E6.6-list"),
    pytest.param({"iss": ""}, id="E6.6-empty"),
    # Audiences and uses
    pytest.param({"aud": "other"}, id="E6.7-other"),
    pytest.param({"aud": ["other", "kubernetes"]}, id="E6.7-several-without-azp"),
    pytest.param({"aud": ["other", "kubernetes"], "azp": "other"}, id="E6.7-azp"),
    pytest.param({"aud": "Kubernetes"}, id="E6.7-case"),
    pytest.param({"aud": []}, id="E6.7-none"),
    pytest.param({"token_use": "refresh"}, id="E6.7-refresh"),
    pytest.param({"events": {"urn:x": {}}}, id="E6.7-event"),
    # Names
    pytest.param({"groups": ["system:masters"]}, id="E6.9-masters"),
    pytest.param({"groups": ["SYSTEM:MASTERS"]}, id="E6.9-masters-capitals"),
    pytest.param({"groups": ["system:masters "]}, id="E6.9-masters-blank"),
    pytest.param({"groups": ["\uff53ystem:masters"]}, id="E6.9-masters-wide"),
    pytest.param({"groups": ["system:authenticated"]}, id="E6.9-authenticated"),
    pytest.param({"sub": "system:serviceaccount:kube-system:default"}, id="E6.9-account"),
    pytest.param({"sub": "system:node:n1"}, id="E6.9-node"),
    pytest.param({"sub": "system:kube-controller-manager"}, id="E6.9-controller"),
    pytest.param({"sub": "System:Admin"}, id="E6.9-user-capitals"),
    # Times
    pytest.param({"exp": 1}, id="E6.8-ended"),
    pytest.param({"nbf": 4_000_000_000}, id="E6.8-not-begun"),
    # Bindings that are none
    pytest.param({"cnf": {"jkt": "A" * 43}}, id="E6.8-other-binding"),
    pytest.param({"cnf": {}}, id="E6.8-empty-binding"),
]


@pytest.mark.parametrize("changes", MISUSED)
def test_a_token_for_another_use_is_refused(
    front: Front, trial: Trial, changes: dict[str, Any]
) -> None:
    url = front.world.issuer.url
    text = json.dumps(changes).replace("{url}", url).replace("{part}", url[:-2])

    refused(trial, front.world.issuer.token(front.claims("alice", "full") | json.loads(text)))


def test_E6_6_an_issuer_cannot_speak_for_another(front: Front, trial: Trial) -> None:
    """Both call their key ``key-1``."""
    claims = front.claims("admin", "full")
    answers = trial.send_each(
        [
            request("GET", SECRETS, front.other.token(claims | {"iss": front.world.issuer.url})),
            request("GET", SECRETS, front.world.issuer.token(claims | {"iss": front.other.url})),
        ]
    )

    assert [answer.status for answer in answers] == [401, 401]
    trial.nothing_upstream()


def test_E6_6_the_same_name_at_two_issuers_is_two_users(front: Front, trial: Trial) -> None:
    answer = trial.send(whoami(front.other.token(front.claims("alice"))))

    event = trial.permitted(answer, f"{OTHER_PREFIX}alice")
    assert user_info(answer)["username"] == event["impersonatedUser"]["username"]


def test_E6_7_a_token_of_kube_apiserver_is_not_one_for_kzproxy(front: Front, trial: Trial) -> None:
    kubectl = Kubectl.of(front.control_plane)
    plain = kubectl.out("create", "token", "default", "--namespace=default")
    ours = kubectl.out("create", "token", "default", "--namespace=default", "--audience=kubernetes")
    answers = trial.send_each(request("GET", SECRETS, t.strip()) for t in (plain, ours))

    assert [answer.status for answer in answers] == [401, 401]
    assert all("`iss`" in answer.message for answer in answers)
    trial.nothing_upstream()


def test_E6_7_a_clients_token_is_never_forwarded(scripted: Scripted) -> None:
    token = scripted.world.token("al", "testers")
    with scripted.world.client() as client:
        client.ask(request("GET", CONFIGMAPS, token))

    (head,) = scripted.api_server.heads
    assert token.encode() not in head
    assert head.lower().count(b"\r\nauthorization:") == 1


def _thumbprint(path: Any) -> str:
    certificate = x509.load_pem_x509_certificate(path.read_bytes())
    return base64.urlsafe_b64encode(certificate.fingerprint(hashes.SHA256())).rstrip(b"=").decode()


def test_E6_8_a_bound_token_is_worth_nothing_without_its_certificate(
    front: Front, trial: Trial
) -> None:
    mine, others = front.world.device("mine"), front.world.device("others")
    token = front.token("alice", "full", cnf={"x5t#S256": _thumbprint(mine[0])})
    asked = request("GET", CONFIGMAPS, token)

    # In this order: what was accepted once must not be remembered for other certificates.
    accepted = trial.send(asked, certificate=mine)
    assert accepted.status == 200
    assert trial.send(asked, certificate=others).status == 401
    assert trial.send(asked).status == 401
    assert trial.only_event(accepted)["impersonatedUser"]["username"] == "alice"


def test_E6_9_names_that_are_not_reserved_differ_by_case(front: Front, trial: Trial) -> None:
    """A group ``Full`` is not the group ``full``."""
    token = front.world.token("mallory", "Full", "FULL")

    trial.denied(trial.send(request("GET", SECRETS, token)), "")


@pytest.mark.parametrize(
    "target",
    [
        pytest.param("/livez?x=/api/v1/secrets", id="E6.12-query"),
        pytest.param("/readyz/../api/v1/secrets", id="E6.12-dot-segments"),
        pytest.param("/livez#/../api/v1/secrets", id="E6.12-fragment"),
        pytest.param("/livez%3f/api/v1/secrets", id="E6.12-encoded"),
        pytest.param("/", id="E6.13-root"),
        pytest.param("/version", id="E6.13-version"),
        pytest.param("/healthz", id="E6.13-healthz"),
        pytest.param("/livez", id="E6.13-livez"),
        pytest.param("/readyz", id="E6.13-readyz"),
        pytest.param("/api", id="E6.13-api"),
        pytest.param("/apis", id="E6.13-apis"),
        pytest.param("/openid/v1/jwks", id="E6.13-jwks"),
        pytest.param("/metrics", id="E6.13-metrics"),
        pytest.param("/.well-known/openid-configuration", id="E6.13-discovery"),
        pytest.param(SECRETS, id="E6.13-secrets"),
    ],
)
def test_no_path_goes_without_a_credential(trial: Trial, target: str) -> None:
    """kube-apiserver itself answers some of these to anybody."""
    answer = trial.send(request("GET", target))

    assert answer.status in {400, 401}
    trial.refused(
        answer, answer.status, "unauthenticated" if answer.status == 401 else "bad-request"
    )


def test_E6_12_the_operators_listener_serves_no_api(front: Front) -> None:
    for path in ("/api/v1/secrets", "/livez/../api/v1/secrets", "/livez%2f..%2fapi", "//api"):
        status, body = front.world.proxy.ops(path)
        assert status in {400, 404}, path
        assert SECRET not in body


@pytest.mark.parametrize(
    "header",
    [
        pytest.param("Authorization: Bearer", id="E6.13-empty-bearer"),
        pytest.param("Authorization: Bearer ", id="E6.13-blank-bearer"),
        pytest.param("Authorization: Basic YWRtaW46YWRtaW4=", id="E6.13-basic"),
        pytest.param("Authorization: Negotiate YII", id="E6.13-negotiate"),
        pytest.param("Cookie: token=x", id="E6.13-cookie"),
    ],
)
def test_no_other_credential_counts(trial: Trial, header: str) -> None:
    trial.refused(trial.send(request("GET", SECRETS, "", header)), 401, "unauthenticated")


def test_E6_5_a_rotated_key_ends_with_the_tokens_under_it(front: Front) -> None:
    """A watch that was open under the removed key ends with its token at the latest.

    That it ends with the key belongs to continuous re-verification, which comes later.
    """
    issuer, seconds = front.rotating, 15
    old = issuer.token(front.claims("rose", "full", seconds=seconds))
    # Of another sign-in: a fresh token of the same one keeps its streams alive.
    lasting = issuer.token(front.claims("ruth", "full"))
    begun = time.monotonic()
    with front.world.client() as watch, front.world.client() as client:
        watch.send(request("GET", f"{CONFIGMAPS}?watch=1", old))
        status, headers = watch.head()
        assert status == 200
        assert client.ask(request("GET", CONFIGMAPS, lasting)).status == 200

        issuer.keys[:] = [SigningKey.make("key-2")]
        # An unknown key is asked for once in ten seconds.
        asked = request("GET", CONFIGMAPS, issuer.token(front.claims("rita", "full")))
        answer = client.ask(asked)
        while answer.status == 401 and time.monotonic() < begun + 20:
            time.sleep(0.2)
            answer = client.ask(asked)
        assert answer.status == 200

        removed = Trial(front)
        removed.refused(client.ask(request("GET", CONFIGMAPS, lasting)), 401, "unauthenticated")
        last = watch.to_end()
        assert time.monotonic() - begun < seconds + 25
    assert b'"type":"ERROR"' in last
    _, completed = front.world.proxy.finished(headers["audit-id"][0])
    assert completed["termination"] == "policy-cut"


def test_E6_5_a_rotated_key_names_the_same_users(front: Front, trial: Trial) -> None:
    """After the rotation: whom the new key signs for has the issuer's prefix as before."""
    answer = trial.send(whoami(front.rotating.token(front.claims("rita"))))

    assert trial.permitted(answer, f"{ROTATING_PREFIX}rita")["verb"] == "create"


@pytest.mark.parametrize(
    "target",
    [
        pytest.param("/?rd=https://evil.example", id="E6.11-query"),
        pytest.param("/login?rd=%2f%5cevil.example", id="E6.11-backslash"),
        pytest.param("/oauth2/start?rd=//evil.example", id="E6.11-two-slashes"),
        pytest.param("/callback?redirect_uri=https://evil.example", id="E6.11-callback"),
    ],
)
def test_nothing_in_a_request_says_where_to_go_next(
    front: Front, trial: Trial, target: str
) -> None:
    """There is no such parameter: no answer leads anywhere, with a sign-in or without."""
    asked = [request("GET", target, token) for token in ("", front.token("alice", "full"))]
    answers = trial.send_each(asked)

    assert answers[0].status == 401
    assert all("location" not in answer.headers for answer in answers)
