"""The plugin where kzproxy keeps the session, against a stand-in for its sign-in."""

import base64
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)

from kzproxy.client.device_key import FileKey, key_id
from kzproxy.client.handed_out import PAUSE_SECONDS
from tests.client.plugin_runs import NEVER_COMES_BACK, ROOT
from tests.client.session_runs import PARENT_OF_ITS_OWN, SessionPlugin, session_plugin
from tests.client.test_credential import HEAVY, SAY_MODULES
from tests.servers.authority import Authority
from tests.servers.sign_in_stand_in import (
    SignInStandIn,
    certificate_of,
    running_sign_in,
    seconds_from_now,
)

SPKI = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
ENDED = {
    "error": "invalid_grant",
    "error_description": "Your session was ended by root: laptop reported stolen.",
}
STEP_UP = {
    "error": "invalid_grant",
    "error_description": "Production needs a second factor, not older than five minutes.",
    "acr_values": "phr",
    "max_age": 300,
}


@pytest.fixture
def sign_in(authority: Authority, ca_file: Path, tmp_path: Path) -> Iterator[SignInStandIn]:
    with running_sign_in(tmp_path, authority, ca_file) as stand_in:
        yield stand_in


@pytest.fixture
def session(sign_in: SignInStandIn, tmp_path: Path) -> SessionPlugin:
    return session_plugin(sign_in, tmp_path)


def key_files(plugin: SessionPlugin) -> list[Path]:
    return list(plugin.cache.glob("*.client-key.pem"))


def test_kubectl_is_given_a_token_and_the_certificate_that_it_is_bound_to(
    session: SessionPlugin,
) -> None:
    status = session.status()
    assert str(status["token"]).startswith("token-")
    certificate = certificate_of(status)
    key = load_pem_private_key(str(status["clientKeyData"]).encode(), password=None)
    assert certificate.public_key().public_bytes(*SPKI) == key.public_key().public_bytes(*SPKI)
    assert 200 < seconds_from_now(str(status["expirationTimestamp"])) <= 270
    assert session.tabs == 1


def test_key_and_cache_are_this_users_alone(session: SessionPlugin) -> None:
    status = session.status()
    assert session.cache.stat().st_mode & 0o777 == 0o700
    assert [file.stat().st_mode & 0o777 for file in session.cache.iterdir()] == [
        0o600 for _ in session.cache.iterdir()
    ]
    [key] = key_files(session)
    assert key.read_text() == status["clientKeyData"]


def test_a_second_run_asks_nobody(session: SessionPlugin) -> None:
    first = session.status()
    asked = len(session.stand_in.forms)
    assert session.status() == first
    assert len(session.stand_in.forms) == asked


def test_a_warm_run_loads_nothing_heavy(session: SessionPlugin) -> None:
    session.status()
    done = subprocess.run(
        [
            *(*PARENT_OF_ITS_OWN, sys.executable, "-c", SAY_MODULES),
            *session.plain_command()[3:],
        ],
        cwd=ROOT,
        env=session.environ,
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = {name.partition(".")[0] for name in done.stderr.split()}
    assert "json" in loaded
    assert loaded & HEAVY == set()
    assert json.loads(done.stdout)["status"]["clientKeyData"]


def test_a_renewal_is_one_request_and_shows_the_certificate(session: SessionPlugin) -> None:
    before = session.status()
    session.let_time_pass()
    after = session.status()
    assert after["token"] != before["token"]
    assert session.tabs == 1
    assert len(session.stand_in.renewals) == 1
    assert session.stand_in.without_certificate == 0


def test_a_renewal_leaves_the_certificate_as_it_is(session: SessionPlugin) -> None:
    """Another one would make client-go close every connection that it has."""
    before = session.status()
    for _ in range(3):
        session.let_time_pass()
        after = session.status()
        assert after["clientCertificateData"] == before["clientCertificateData"]
        assert after["clientKeyData"] == before["clientKeyData"]
    assert ["csr" in form for form in session.stand_in.renewals] == [False] * 3


def test_a_certificate_in_the_last_third_of_its_life_is_renewed_once(
    session: SessionPlugin,
) -> None:
    old, now = session.status(), int(time.time())
    session.change_session(
        certificate_begins_at=now - 17 * 3600, certificate_ends_at=now + 7 * 3600
    )
    session.let_time_pass()
    new = session.status()
    assert new["clientCertificateData"] != old["clientCertificateData"]
    assert new["clientKeyData"] == old["clientKeyData"], "the key is what this client is known by"
    session.let_time_pass()
    assert session.status()["clientCertificateData"] == new["clientCertificateData"]
    assert ["csr" in form for form in session.stand_in.renewals] == [True, False]


@pytest.mark.parametrize("ahead", [timedelta(hours=20), timedelta(days=3), timedelta(days=-3)])
def test_a_clock_that_is_wrong_does_not_renew_the_certificate_each_time(
    session: SessionPlugin, ahead: timedelta
) -> None:
    """To a clock that is ahead, what was issued just now began long ago."""
    session.stand_in.certificate_begins_before = timedelta(minutes=5) + ahead
    session.stand_in.certificate_life = timedelta(hours=24) - ahead
    old = session.status()
    session.let_time_pass()
    assert session.status()["clientCertificateData"] == old["clientCertificateData"]
    assert ["csr" in form for form in session.stand_in.renewals] == [False]
    assert session.tabs == 1


def claims(part: str) -> dict[str, object]:
    return dict(json.loads(base64.urlsafe_b64decode(part + "==")))


def test_each_renewal_brings_the_machines_posture_signed_with_the_key(
    session: SessionPlugin,
) -> None:
    session.status()
    for _ in range(2):
        session.let_time_pass()
        session.status()
    reports = [form["posture"] for form in session.stand_in.renewals]
    [key] = key_files(session)
    for number, report in enumerate(reports, start=1):
        header, body, _ = (part for part in report.split("."))
        assert claims(header)["kid"] == key_id(FileKey(key.read_text()))
        assert claims(body)["aud"] == session.stand_in.url
        assert claims(body)["nonce"] == f"nonce-{number}", "the one of the answer before"


def test_a_nonce_that_has_grown_old_is_replaced_by_a_fresh_one(session: SessionPlugin) -> None:
    session.status()
    session.let_time_pass()
    session.change_session(nonce_at=int(time.time()) - 560)
    session.status()
    [renewal] = session.stand_in.renewals
    assert claims(renewal["posture"].split(".")[1])["nonce"] == "fresh-1"


def test_a_server_that_wants_no_posture_is_sent_none(session: SessionPlugin) -> None:
    session.status()
    session.let_time_pass()
    session.change_session(nonce="", nonce_endpoint="")
    session.status()
    [renewal] = session.stand_in.renewals
    assert "posture" not in renewal


def test_a_new_sign_in_keeps_the_key(session: SessionPlugin) -> None:
    before = session.status()
    session.entry_file.unlink()
    after = session.status()
    assert session.tabs == 2
    assert after["clientKeyData"] == before["clientKeyData"]


def test_a_certificate_whose_key_is_gone_leads_to_a_new_sign_in(session: SessionPlugin) -> None:
    session.status()
    [key] = key_files(session)
    key.unlink()
    status = session.status()
    assert session.tabs == 2
    assert status["clientKeyData"] == key.read_text()


def test_an_answer_that_is_lost_does_not_cost_the_session(session: SessionPlugin) -> None:
    session.status()
    session.let_time_pass()
    session.stand_in.lost_answers = 1
    session.status()
    assert session.tabs == 1
    assert len(session.stand_in.renewals) == 2


def test_whoever_comes_back_for_a_token_that_holds_has_been_refused_with_it(
    session: SessionPlugin,
) -> None:
    session.status()
    (code, first, _), (again, second, _) = session.runs_of_one_parent(2)
    assert (code, again) == (0, 0)
    assert len(session.stand_in.renewals) == 1
    assert json.loads(first)["status"]["token"] != json.loads(second)["status"]["token"]
    # What another process is given is the new one.
    assert session.status()["token"] == json.loads(second)["status"]["token"]


def test_a_program_that_runs_the_plugin_for_every_request_does_not_renew_with_each(
    session: SessionPlugin,
) -> None:
    session.status()
    began = time.monotonic()
    ended = session.runs_of_one_parent(6)
    # None, unless the machine is slow; the last suspicion is known by its whole second.
    pauses = int(time.monotonic() - began + 1) // PAUSE_SECONDS
    assert {code for code, _, _ in ended} == {0}
    renewals = len(session.stand_in.renewals)
    assert 1 <= renewals <= 1 + pauses
    session.change_session(suspected_at=int(time.time()) - PAUSE_SECONDS)
    session.runs_of_one_parent(2)
    assert len(session.stand_in.renewals) == renewals + 1


def test_a_suspicion_from_a_clock_that_was_ahead_keeps_no_later_one_back(
    session: SessionPlugin,
) -> None:
    session.status()
    session.change_session(suspected_at=int(time.time()) + 7200)
    session.runs_of_one_parent(2)
    assert len(session.stand_in.renewals) == 1


def test_a_session_that_was_ended_says_why_and_asks_to_sign_in(session: SessionPlugin) -> None:
    session.status()
    session.let_time_pass()
    session.stand_in.refusal = dict(ENDED)
    done = session.run()
    assert done.returncode == 0
    assert "kzproxy: Your session was ended by root: laptop reported stolen.\n" in done.stderr
    assert session.tabs == 2


def test_where_nobody_can_be_asked_the_reason_and_the_command_are_told_each_time(
    session: SessionPlugin,
) -> None:
    session.status()
    session.let_time_pass()
    session.stand_in.refusal = dict(ENDED)
    for _ in range(2):
        done = session.run("--browser-command=")
        assert done.returncode == 1
        assert done.stdout == ""
        assert "laptop reported stolen.; run `kzproxy login`" in done.stderr
    assert len(session.stand_in.renewals) == 1, "a session that is over is not renewed again"
    assert "token-" not in session.entry_file.read_text()


def test_a_step_up_is_asked_for_at_the_authorization_endpoint(session: SessionPlugin) -> None:
    session.status()
    session.let_time_pass()
    session.stand_in.refusal = dict(STEP_UP)
    done = session.run()
    assert done.returncode == 0, done.stderr
    assert "you are asked to sign in again: Production needs a second factor" in done.stderr
    asked = session.stand_in.asked[-1]
    assert (asked["acr_values"], asked["max_age"]) == ("phr", "300")


def test_who_cannot_step_up_now_goes_on_with_what_needs_none(session: SessionPlugin) -> None:
    before = session.status()
    session.stand_in.refusal = dict(STEP_UP)
    _, (code, out, err) = session.runs_of_one_parent(2, "--browser-command=")
    assert code == 0
    assert json.loads(out)["status"]["token"] == before["token"]
    assert "Production needs a second factor" in err
    session.let_time_pass()
    done = session.run("--browser-command=")
    assert done.returncode == 1
    assert "run `kzproxy login --acr 'phr' --max-age 300s`" in done.stderr


def test_a_step_up_by_the_name_that_rfc_9470_has_for_it_is_one(session: SessionPlugin) -> None:
    session.status()
    session.let_time_pass()
    session.stand_in.refusal = STEP_UP | {"error": "insufficient_user_authentication"}
    assert session.run().returncode == 0
    assert session.stand_in.asked[-1]["acr_values"] == "phr"


@pytest.mark.parametrize("issues", [True, False])
def test_a_device_that_brings_its_certificate_is_given_no_other(
    session: SessionPlugin, tmp_path: Path, *, issues: bool
) -> None:
    session.stand_in.issues = issues
    device = session.stand_in.devices.device("laptop-7")
    certificate, key = device.write_to(tmp_path, "device")
    session.arguments = (f"--device-cert={certificate}", f"--device-key={key}")
    status = session.status()
    assert str(status["clientCertificateData"]).encode() == device.pem
    assert str(status["clientKeyData"]).encode() == device.key_pem
    session.let_time_pass()
    after = session.status()
    assert after["token"] != status["token"]
    assert after["clientCertificateData"] == status["clientCertificateData"]
    assert session.tabs == 1
    assert key_files(session) == []


def test_a_key_that_an_mdm_has_replaced_is_never_given_with_the_old_certificate(
    session: SessionPlugin, tmp_path: Path
) -> None:
    """The stand-in binds a session to its key: another one has to sign in again."""
    certificate, key = session.stand_in.devices.device("laptop-7").write_to(tmp_path, "device")
    session.arguments = (f"--device-cert={certificate}", f"--device-key={key}")
    session.status()
    new = session.stand_in.devices.device("laptop-7")
    new.write_to(tmp_path, "device")
    status = session.status()
    assert str(status["clientCertificateData"]).encode() == new.pem
    assert str(status["clientKeyData"]).encode() == new.key_pem
    asked = len(session.stand_in.forms)
    session.status()
    assert len(session.stand_in.forms) == asked, "once is enough"


def test_a_replaced_certificate_whose_server_is_away_is_said(
    session: SessionPlugin, tmp_path: Path
) -> None:
    """What is held still holds, but its certificate is not that of the key."""
    certificate, key = session.stand_in.devices.device("laptop-7").write_to(tmp_path, "device")
    session.arguments = (f"--device-cert={certificate}", f"--device-key={key}")
    session.status()
    session.stand_in.devices.device("laptop-7").write_to(tmp_path, "device")
    other = tmp_path / "other.crt"
    other.write_bytes(Authority.root("another").pem)
    session.ca_file = other
    done = session.run()
    assert (done.returncode, done.stdout) == (1, "")
    assert "cannot be reached" in done.stderr


def test_a_server_that_is_away_costs_nothing_while_the_token_holds(
    session: SessionPlugin, tmp_path: Path
) -> None:
    before = session.status()
    session.let_time_pass()
    other = tmp_path / "other.crt"
    other.write_bytes(Authority.root("another").pem)
    session.ca_file = other
    assert session.status()["token"] == before["token"]
    session.change_entry(expires_at=int(time.time()))
    done = session.run()
    assert done.returncode == 1
    assert "cannot be reached" in done.stderr
    assert session.tabs == 1


def test_an_authority_that_is_not_there_just_now_does_not_cost_the_session(
    session: SessionPlugin, tmp_path: Path
) -> None:
    session.status()
    session.let_time_pass()
    session.ca_file = tmp_path / "unmounted.crt"
    done = session.run()
    assert done.returncode == 1
    assert "unmounted.crt cannot be used: No such file or directory" in done.stderr
    session.ca_file = None
    session.status()
    assert session.tabs == 1


def test_a_keyring_that_cannot_be_used_just_now_does_not_cost_the_session(
    session: SessionPlugin,
) -> None:
    """As over ssh, or by cron; here the package for it is not installed."""
    session.status()
    session.let_time_pass()
    [key] = key_files(session)
    pem = key.read_text()
    key.write_text(f"in the keyring: {session.stand_in.url}\n")
    done = session.run()
    assert done.returncode == 1
    assert "pip install 'kzproxy[keyring]'" in done.stderr
    key.write_text(pem)
    session.status()
    assert session.tabs == 1


@pytest.mark.parametrize("there", [True, False])
def test_a_device_certificate_that_is_just_being_replaced_does_not_cost_the_session(
    session: SessionPlugin, tmp_path: Path, *, there: bool
) -> None:
    device, other = (session.stand_in.devices.device("laptop-7") for _ in range(2))
    certificate, key = device.write_to(tmp_path, "device")
    session.arguments = (f"--device-cert={certificate}", f"--device-key={key}")
    session.status()
    session.let_time_pass()
    certificate.unlink()
    if there:
        certificate.write_bytes(other.pem)
    done = session.run()
    assert done.returncode == 1
    assert ("cannot be used" if there else "No such file or directory") in done.stderr
    certificate.write_bytes(device.pem)
    session.status()
    assert session.tabs == 1


def test_a_device_certificate_that_ended_before_it_was_replaced_does_not_cost_the_session(
    session: SessionPlugin, tmp_path: Path
) -> None:
    """As after a holiday: whoever manages the machine renews it within minutes."""
    device = session.stand_in.devices.device("laptop-7")
    certificate, key = device.write_to(tmp_path, "device")
    session.arguments = (f"--device-cert={certificate}", f"--device-key={key}")
    session.status()
    session.let_time_pass()
    ended = datetime.now(UTC) - timedelta(minutes=5)
    certificate.write_bytes(session.stand_in.devices.issue(not_after=ended).pem)
    done = session.run()
    assert done.returncode == 1
    assert f"the device certificate {certificate} has ended; have it renewed" in done.stderr
    certificate.write_bytes(device.pem)
    session.status()
    assert session.tabs == 1


def test_a_key_that_was_made_anew_ends_the_session_whatever_else_is_missing(
    session: SessionPlugin, tmp_path: Path
) -> None:
    """Else the new key would be handed out with the old certificate while the token holds."""
    session.status()
    [key] = key_files(session)
    key.unlink()
    session.ca_file = tmp_path / "unmounted.crt"
    assert session.run().returncode == 1
    assert "token-" not in session.entry_file.read_text()
    session.ca_file = None
    assert session.status()["clientKeyData"] == key.read_text()
    assert session.tabs == 2


def test_an_answer_of_another_session_leads_to_a_new_sign_in(session: SessionPlugin) -> None:
    session.status()
    session.let_time_pass()
    session.stand_in.sessions[0].id = "another"
    done = session.run()
    assert done.returncode == 0, done.stderr
    assert "your session cannot go on: kzproxy answered a renewal with another" in done.stderr
    assert session.tabs == 2


def test_a_certificate_that_has_ended_leads_to_a_new_sign_in(session: SessionPlugin) -> None:
    session.status()
    session.let_time_pass()
    session.change_session(certificate_ends_at=int(time.time()) - 5)
    done = session.run()
    assert done.returncode == 0
    assert "this client's certificate has ended" in done.stderr
    assert session.tabs == 2
    assert session.stand_in.renewals == []


def test_a_certificate_that_the_server_does_not_take_leads_to_a_new_sign_in(
    session: SessionPlugin,
) -> None:
    """As after its authority was replaced."""
    session.stand_in.devices = Authority.root("an authority that the listener does not know")
    session.status()
    session.let_time_pass()
    done = session.run()
    assert done.returncode == 0, done.stderr
    assert "does not take this client's certificate" in done.stderr
    assert session.tabs == 2


def test_an_issuer_that_is_not_kzproxys_own_is_refused_before_anybody_is_asked(
    session: SessionPlugin,
) -> None:
    session.stand_in.discovery = {"tls_client_certificate_bound_access_tokens": None}
    done = session.run()
    assert done.returncode == 1
    assert "is not kzproxy's own sign-in; an OpenID issuer is named with --issuer" in done.stderr
    assert session.tabs == 0


def test_a_device_code_is_asked_for_and_shown(session: SessionPlugin) -> None:
    session.stand_in.pending = 1
    done = session.run("--flow=device-code")
    assert done.returncode == 0, done.stderr
    assert "and enter the code  WDJB-MJHT" in done.stderr
    assert session.stand_in.device_asked[0]["client_id"] == "kzproxy-cli"
    assert "csr" in session.stand_in.forms[-1]


def test_pasting_needs_somebody_to_paste(session: SessionPlugin) -> None:
    done = session.run("--flow=paste")
    assert done.returncode == 1
    assert "there is no terminal to paste a code at; run `kzproxy login`" in done.stderr


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--issuer=https://x",), "--sign-in-url and --issuer exclude each other"),
        (("--scope=groups", "--client-id=x"), "--client-id, --scope exclude each other"),
    ],
)
def test_what_kzproxy_decides_itself_is_no_option(
    session: SessionPlugin, more: tuple[str, ...], said: str
) -> None:
    done = session.run(*more)
    assert done.returncode == 1
    assert said in done.stderr


def test_a_sign_in_that_is_not_finished_says_so(session: SessionPlugin) -> None:
    done = session.run(f"--browser-command={NEVER_COMES_BACK}", "--timeout=1")
    assert done.returncode == 1
    assert "nobody signed in in the browser in time" in done.stderr


def test_twenty_kubectl_renew_once(session: SessionPlugin) -> None:
    session.status()
    session.let_time_pass()
    running = [session.start() for _ in range(20)]
    tokens = set()
    for process in running:
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
        tokens.add(json.loads(out)["status"]["token"])
    assert len(tokens) == 1
    assert len(session.stand_in.renewals) == 1
