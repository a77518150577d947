"""Signals on running workers: what one is told ends the streams at all of them."""

import asyncio
import contextlib
import hashlib
import ssl
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from kzproxy.administrator.session import SessionRecord
from kzproxy.administrator.session_entry import session_put
from kzproxy.authentication.session_keys import SigningKeys
from kzproxy.authentication.session_token import SessionTokens
from kzproxy.clock.system import SystemClock
from kzproxy.config.proxy import ProxySettings, load_proxy_settings
from kzproxy.demo.loopback_ports import free_ports
from kzproxy.store.following import Following
from kzproxy.store.sealing import Sealer
from kzproxy.store.sqlite import SqliteStore
from tests.proxy.eventually import eventually
from tests.proxy.issuer_thread import issuer_in_thread
from tests.proxy.json_lines import json_lines
from tests.proxy.process import running_proxy
from tests.proxy.raw_client import RawClient
from tests.proxy.world import AUDIENCE, PREFIX, World, configuration, request
from tests.server.test_devices import endless_watches
from tests.servers.authority import Authority
from tests.servers.scripted_api_server import scripted_api_server

CAEP = "https://schemas.openid.net/secevent/caep/event-type/"
SSF = "https://schemas.openid.net/secevent/ssf/event-type/"
LOGOUT = "http://schemas.openid.net/event/backchannel-logout"
AUTHORIZATION = "Bearer of the transmitter"
WATCH = "/api/v1/namespaces/dev/pods?watch=true"
WORKERS = 2
# The kernel deals connections out: so many are at all workers but once in thousands of runs.
STREAMS = 12


@dataclass
class Signalled:
    """A kzproxy of two workers that takes signals."""

    world: World
    url: str

    @property
    def settings(self) -> ProxySettings:
        return load_proxy_settings(self.world.directory / "kzproxy.yaml")

    def event(
        self, name: str, subject: dict[str, Any], *, prefix: str = CAEP, **members: object
    ) -> str:
        """Sign an event of the issuer's."""
        claims: dict[str, object] = {
            "aud": self.url,
            "iat": int(time.time()),
            "jti": uuid.uuid4().hex,
            "sub_id": subject,
            "events": {prefix + name: members},
        }
        return self.world.issuer.token(claims, typ="secevent+jwt")

    def push(self, event: str, stream: str = "idp") -> httpx.Response:
        headers = {"Authorization": AUTHORIZATION, "Content-Type": "application/secevent+jwt"}
        with self.http() as http:
            return http.post(f"/ssf/v1/events/{stream}", content=event, headers=headers)

    def log_out(self, **claims: object) -> httpx.Response:
        now = int(time.time())
        token = self.world.issuer.token(
            {
                "aud": AUDIENCE,
                "iat": now,
                "exp": now + 120,
                "jti": uuid.uuid4().hex,
                "events": {LOGOUT: {}},
                **claims,
            },
            typ="logout+jwt",
        )
        with self.http() as http:
            return http.post("/backchannel_logout", data={"logout_token": token})

    def http(self) -> httpx.Client:
        trust = ssl.create_default_context(cafile=self.world.authority_file)
        return httpx.Client(base_url=self.url, verify=trust, trust_env=False, timeout=20)

    def user(self, name: str) -> dict[str, Any]:
        return {"format": "iss_sub", "iss": self.world.issuer.url, "sub": name}

    def records(self, kind: str) -> list[dict[str, Any]]:
        files = [self.world.directory / f"decisions.{one + 1}.jsonl" for one in range(WORKERS)]
        written = [record for file in files for record in json_lines(file)]
        return [record for record in written if record["kind"] == kind]


def with_signals(directory: Path, issuer: str, port: int) -> dict[str, Any]:
    """Return what goes into a configuration so that an issuer's signals are taken at a port."""
    made = subprocess.run(
        [sys.executable, "-m", "kzproxy", "store", "new-key"], capture_output=True, check=True
    )
    (directory / "store.keys").write_bytes(made.stdout)
    (directory / "idp.secret").write_text("a secret")
    (directory / "idp.authorization").write_text(AUTHORIZATION)
    provider = {
        "issuer": issuer,
        "clientID": "kzproxy",
        "clientSecretFile": "idp.secret",
        "certificateAuthorityFile": "ca.crt",
    }
    stream = {
        "name": "idp",
        "issuer": issuer,
        "audience": f"https://localhost:{port}",
        "jwksURL": issuer + "/keys",
        "certificateAuthorityFile": "ca.crt",
        "authorizationFile": "idp.authorization",
        "algorithms": ["ES256"],
    }
    return {
        "store": {"file": "kept.db", "keysFile": "store.keys"},
        "signIn": {
            "address": f"127.0.0.1:{port}",
            "url": f"https://localhost:{port}",
            "providers": [provider],
        },
        "signals": {"streams": [stream], "backChannelLogout": True},
    }


@pytest.fixture(scope="module")
def signalled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Signalled]:
    directory = tmp_path_factory.mktemp("signals")
    authority = Authority.root()
    (port,) = free_ports(1)
    url = f"https://localhost:{port}"
    with (
        issuer_in_thread(directory, authority) as issuer,
        scripted_api_server(directory, authority) as api_server,
    ):
        api_server.script = endless_watches
        settings = configuration(directory, authority, issuer, api_server.upstream())
        settings |= with_signals(directory, issuer.url, port)
        with running_proxy(directory, settings, "--workers", str(WORKERS)) as proxy:
            yield Signalled(World(directory, authority, issuer, proxy), url)


@contextlib.contextmanager
def watching(
    signalled: Signalled, token: str, certificate: tuple[Path, Path] | None = None
) -> Iterator[RawClient]:
    """Open a watch."""
    with signalled.world.client(certificate=certificate) as client:
        client.send(request("GET", WATCH, token))
        status, _ = client.head()
        assert status == 200
        yield client


@contextlib.contextmanager
def many_watching(signalled: Signalled, token: str, **options: Any) -> Iterator[list[RawClient]]:
    """Open so many watches that each worker has some."""
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(watching(signalled, token, **options)) for _ in range(STREAMS)]


def ask(signalled: Signalled, token: str, **options: Any) -> tuple[int, str]:
    with signalled.world.client(**options) as client:
        answer = client.ask(request("GET", "/api/v1/namespaces/dev/pods", token))
    return answer.status, answer.json.get("message", "")


def test_a_revoked_users_watches_end_at_every_worker_and_no_others(signalled: Signalled) -> None:
    token = signalled.world.token("ada", "readers", auth_time=int(time.time()) - 5)
    neighbour = signalled.world.token("bea", "readers")
    with many_watching(signalled, token) as cut, watching(signalled, neighbour) as other:
        event = signalled.event(
            "session-revoked", signalled.user("ada"), reason_user={"en": "Account locked"}
        )
        answer = signalled.push(event)
        assert (answer.status_code, answer.content) == (202, b"")
        for client in cut:
            assert b"Account locked" in client.to_end()
        assert other.is_quiet()
    for _ in range(STREAMS):
        status, message = ask(signalled, token)
        assert status == 401
        assert "Account locked; sign in again with `kzproxy login`" in message
    now = int(time.time())
    again = signalled.world.token("ada", "readers", auth_time=now + 1, iat=now + 1)
    assert ask(signalled, again)[0] == 200
    assert signalled.push(event).status_code == 202
    outcomes = [one["outcome"] for one in signalled.records("signal.received")]
    assert outcomes.count("repeated") == 1


def test_what_kzproxys_own_endpoints_tell_is_refused_too(signalled: Signalled) -> None:
    token = signalled.world.token("cleo", "testers")
    with signalled.world.client() as client:
        assert client.ask(request("GET", "/kzproxy.dev/v1/session", token)).status == 200
        signalled.push(signalled.event("session-revoked", signalled.user("cleo")))
        asked = request("GET", "/kzproxy.dev/v1/session", token)
        eventually(lambda: client.ask(asked).status == 401)  # The other worker may have this.


def test_of_whom_a_risk_is_known_is_judged_as_before_where_no_rule_asks(
    signalled: Signalled,
) -> None:
    token = signalled.world.token("finn", "readers")
    assert ask(signalled, token)[0] == 200
    told = {"principal": "USER", "previous_level": "MEDIUM", "current_level": "LOW"}
    event = signalled.event("risk-level-change", signalled.user("finn"), **told)
    assert signalled.push(event).status_code == 202
    for number in range(STREAMS):
        # What was asked before is permitted as it was; this is judged anew.
        with signalled.world.client() as client:
            target = f"/api/v1/namespaces/dev/pods?limit={number + 1}"
            assert client.ask(request("GET", target, token)).status == 200


def test_the_log_says_the_risk_that_a_decision_was_taken_on(signalled: Signalled) -> None:
    token = signalled.world.token("gil", "readers")
    told = {"principal": "USER", "current_level": "HIGH"}
    assert ask(signalled, token)[0] == 200
    event = signalled.event("risk-level-change", signalled.user("gil"), **told)
    assert signalled.push(event).status_code == 202

    def recorded_risk() -> object:
        with signalled.world.client() as client:
            target = "/api/v1/namespaces/dev/pods?limit=7"
            audit_id = client.ask(request("GET", target, token)).audit_id
        (record,) = [one for one in signalled.records("decision") if one["audit_id"] == audit_id]
        return record["user"].get("risk")

    eventually(lambda: recorded_risk() == "HIGH")  # The other worker hears of it in a moment.


def test_who_signs_out_at_the_issuer_is_signed_out(signalled: Signalled) -> None:
    mine = signalled.world.token("dia", "readers", sid="one")
    elsewhere = signalled.world.token("dia", "readers", sid="two")
    with many_watching(signalled, mine) as cut, watching(signalled, elsewhere) as other:
        answer = signalled.log_out(sub="dia", sid="one")
        assert (answer.status_code, answer.headers["Cache-Control"]) == (200, "no-store")
        for client in cut:
            assert b"signed out" in client.to_end()
        assert other.is_quiet()


def test_what_is_forged_changes_nothing(signalled: Signalled) -> None:
    token = signalled.world.token("eva", "readers")
    with watching(signalled, token) as client:
        good = signalled.event("session-revoked", signalled.user("eva"))
        head, claims, _ = good.split(".")
        answer = signalled.push(f"{head}.{claims}.{'A' * 86}")
        assert answer.status_code == 400
        assert answer.json()["err"] == "invalid_key"
        assert signalled.push(good, "other").status_code == 404
        assert signalled.log_out(sub="eva", nonce="n").status_code == 400
        assert client.is_quiet()
    refused = {one["error"] for one in signalled.records("signal.refused")}
    assert {"invalid_key", "invalid_request"} <= refused
    metrics = signalled.world.proxy.ops("/metrics")[1]
    assert 'outcome="refused",stream="idp"' in metrics


SENT = 'kzproxy_signal_stream_enabled{stream="idp"}'


def test_whether_a_stream_is_sent_is_its_transmitters_last_word_whichever_worker_heard_it(
    signalled: Signalled,
) -> None:
    """Each worker remembered its own: of a pause it may have heard, and not of its end."""
    stream = {"format": "opaque", "id": "stream-1"}

    def says(status: str) -> None:
        event = signalled.event("stream-updated", stream, prefix=SSF, status=status)
        assert signalled.push(event).status_code == 202

    def shown() -> list[str]:
        lines = signalled.world.proxy.ops("/metrics")[1].splitlines()
        return [line.split()[1] for line in lines if line.startswith(SENT)]

    for _ in range(STREAMS):  # at all workers
        says("paused")
    eventually(lambda: shown() == ["0.0"])
    says("enabled")
    eventually(lambda: shown() == ["1.0"])


# Sessions


@pytest.fixture
def laptop(signalled: Signalled) -> tuple[Path, Path]:
    return signalled.world.device("laptop")


def session_token(signalled: Signalled, record: SessionRecord, certificate: Path) -> str:
    """Keep a session as a worker does, and issue a token of it."""
    leaf = x509.load_pem_x509_certificate(certificate.read_bytes())
    thumbprint = hashlib.sha256(leaf.public_bytes(Encoding.DER)).hexdigest()
    settings = signalled.settings
    assert settings.store is not None

    async def kept() -> str:
        assert settings.store is not None
        clock = SystemClock()
        store = SqliteStore.open(settings.store.file, clock)
        following = Following(store, clock)
        keys = SigningKeys(Sealer(settings.store.keys))
        following.follow(keys)
        await following.start()
        await store.write(session_put(record, None))
        await store.close()
        tokens = SessionTokens(keys, clock, issuer=signalled.url)
        return tokens.issue(record.id, thumbprint, life=timedelta(minutes=5)).text

    return asyncio.run(kept())


def session(signalled: Signalled, number: int, user: str, *groups: str) -> SessionRecord:
    now = datetime.now(UTC) - timedelta(seconds=5)
    return SessionRecord(
        id=f"{number:032x}",
        username=f"{PREFIX}{user}",
        groups=tuple(PREFIX + group for group in groups),
        issuer=signalled.world.issuer.url,
        subject=user,
        vouched_by=signalled.settings.issuers[0].revision,
        authenticated_at=now,
        began_at=now,
        ends_at=now + timedelta(hours=1),
        seen_at=now,
        verified_at=now,
        key_thumbprint="ab" * 32,
        device_id="laptop",
    )


def test_a_revoked_sessions_watches_end_at_every_worker(
    signalled: Signalled, laptop: tuple[Path, Path]
) -> None:
    token = session_token(signalled, session(signalled, 1, "fay", "readers"), laptop[0])
    other = session_token(signalled, session(signalled, 2, "gus", "readers"), laptop[0])
    with (
        many_watching(signalled, token, certificate=laptop) as cut,
        watching(signalled, other, laptop) as neighbour,
    ):
        subject = {
            "format": "complex",
            "user": signalled.user("fay"),
            "device": {"format": "opaque", "id": "laptop"},
        }
        event = signalled.event("session-revoked", subject, reason_user={"en": "Laptop lost"})
        assert signalled.push(event).status_code == 202
        for client in cut:
            assert b"Laptop lost" in client.to_end()
        assert neighbour.is_quiet()
    status, message = ask(signalled, token, certificate=laptop)
    assert status == 401
    assert "Laptop lost" in message

    def ended() -> list[dict[str, Any]]:
        completed = signalled.records("completed")
        return [one for one in completed if "Laptop lost" in one.get("message", "")]

    eventually(lambda: len(ended()) >= STREAMS)  # An outcome follows its answer shortly.
    assert [one["cut"]["cause"] for one in ended()] == ["session-ended"] * STREAMS
    received = [one for one in signalled.records("signal.received") if one.get("sessions")]
    assert [one["sessions"] for one in received][-1] == [f"{1:032x}"]


def test_a_lost_group_ends_the_sessions_watches(
    signalled: Signalled, laptop: tuple[Path, Path]
) -> None:
    record = session(signalled, 3, "hal", "readers", "others")
    token = session_token(signalled, record, laptop[0])
    with many_watching(signalled, token, certificate=laptop) as cut:
        event = signalled.event(
            "token-claims-change", signalled.user("hal"), claims={"groups": ["others"]}
        )
        assert signalled.push(event).status_code == 202
        for client in cut:
            assert b"no longer in" in client.to_end()
    assert ask(signalled, token, certificate=laptop)[0] == 403


def test_a_device_that_does_not_comply_has_its_streams_judged_by_that(
    signalled: Signalled, laptop: tuple[Path, Path]
) -> None:
    token = session_token(signalled, session(signalled, 4, "ida", "readers"), laptop[0])
    with watching(signalled, token, laptop) as client:
        event = signalled.event(
            "device-compliance-change",
            {"format": "opaque", "id": "laptop"},
            current_status="not-compliant",
        )
        assert signalled.push(event).status_code == 202
        assert client.is_quiet()  # no rule here asks for a tier
    assert ask(signalled, token, certificate=laptop)[0] == 200
