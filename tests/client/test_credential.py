"""The plugin as kubectl runs it, against a provider that is not ours."""

import base64
import json
import subprocess
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from kzproxy.client.id_token import read_claims
from tests.client.plugin_runs import (
    KUBECTL_SAYS,
    NEVER_COMES_BACK,
    ROOT,
    SERVER,
    Plugin,
)
from tests.client.rude_issuer import RudeIssuer, Scripted
from tests.servers.authority import Authority
from tests.servers.foreign_idp.process import (
    CONFIDENTIAL_CLIENT_ID,
    CONFIDENTIAL_CLIENT_SECRET,
)

# What a warm run must not load: libraries first, then the slow parts of the standard library.
HEAVY = {
    *("aiohttp", "asyncio", "click", "cryptography", "httpx", "rich", "yaml"),
    *("argparse", "concurrent", "dataclasses", "email", "http", "inspect", "logging", "pathlib"),
    *("selectors", "socket", "ssl", "subprocess", "tempfile", "threading", "typing", "urllib"),
}

SAY_MODULES = """
import sys
before = set(sys.modules)
from kzproxy.cli.main import main
try:
    main()
except SystemExit as ended:
    sys.stderr.write(" ".join(sorted(set(sys.modules) - before)))
    raise
"""


def credential(plugin: Plugin, *more: str) -> dict[str, object]:
    done = plugin.run(*more)
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["apiVersion"] == "client.authentication.k8s.io/v1"
    assert document["kind"] == "ExecCredential"
    status = document["status"]
    assert isinstance(status, dict)
    return status


def failure(plugin: Plugin, *more: str) -> str:
    """Run it, expect exit 1 and nothing on stdout; return the one line on stderr."""
    done = plugin.run(*more)
    assert done.returncode == 1, done.stdout
    assert done.stdout == ""
    [line] = [s for s in done.stderr.splitlines() if "signing in: " not in s and "  http" not in s]
    assert line.startswith("kzproxy: ")
    return line


def untrusted(plugin: Plugin) -> Path:
    """Return authorities that the provider's certificate is not from."""
    path = plugin.directory / "other.crt"
    path.write_bytes(Authority.root("another").pem)
    return path


def test_signs_in_and_gives_kubectl_the_id_token(plugin: Plugin) -> None:
    status = credential(plugin)
    claims = read_claims(str(status["token"]))
    assert claims["sub"] == "alice"
    assert claims["groups"] == ["developers"]
    assert claims["iss"] == plugin.idp.issuer
    assert "clientCertificateData" not in status


def test_the_credential_is_given_up_thirty_seconds_before_the_token_ends(plugin: Plugin) -> None:
    status = credential(plugin)
    ends = datetime.fromtimestamp(float(str(read_claims(str(status["token"]))["exp"])), UTC)
    expires = datetime.fromisoformat(str(status["expirationTimestamp"]))
    assert (ends - expires).total_seconds() == 30


def test_a_second_run_asks_nobody(plugin: Plugin) -> None:
    first = plugin.token()
    answered = len(plugin.idp.events_file.read_text().splitlines())
    done = plugin.run()
    assert json.loads(done.stdout)["status"]["token"] == first
    assert done.stderr == ""
    assert plugin.tabs == 1
    assert len(plugin.idp.events_file.read_text().splitlines()) == answered


def test_a_warm_run_loads_nothing_heavy(plugin: Plugin, authority: Authority) -> None:
    certificate, key = authority.device("laptop").write_to(plugin.directory, "device")
    plugin.arguments = (f"--device-cert={certificate}", f"--device-key={key}")
    plugin.token()
    arguments = plugin.command()[3:]
    done = subprocess.run(
        [sys.executable, "-c", SAY_MODULES, *arguments],
        cwd=ROOT,
        env=plugin.environ,
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = {name.partition(".")[0] for name in done.stderr.split()}
    assert "json" in loaded
    assert loaded & HEAVY == set()
    assert json.loads(done.stdout)["status"]["clientKeyData"] == key.read_text()


def test_stdout_holds_the_credential_alone_while_a_sign_in_talks_on_stderr(plugin: Plugin) -> None:
    done = plugin.run()
    assert len(done.stdout.splitlines()) == 1
    assert "your browser should open" in done.stderr
    token = json.loads(done.stdout)["status"]["token"]
    assert token not in done.stderr


def test_the_device_certificate_and_key_come_with_the_token(
    plugin: Plugin, authority: Authority
) -> None:
    device = authority.device("laptop")
    certificate, key = device.write_to(plugin.directory, "device")
    status = credential(plugin, f"--device-cert={certificate}", f"--device-key={key}")
    assert str(status["clientCertificateData"]).encode() == device.pem
    assert str(status["clientKeyData"]).encode() == device.key_pem


def test_the_credential_ends_with_the_device_certificate(
    plugin: Plugin, authority: Authority
) -> None:
    ends = datetime.fromtimestamp(int(time.time()) + 100, UTC)
    device = authority.issue(common_names=["laptop"], not_after=ends)
    certificate, key = device.write_to(plugin.directory, "device")
    status = credential(plugin, f"--device-cert={certificate}", f"--device-key={key}")
    expires = datetime.fromisoformat(str(status["expirationTimestamp"]))
    assert (ends - expires).total_seconds() == 30


@pytest.mark.parametrize(("interactive", "warned"), [(True, True), (False, False)])
def test_a_certificate_near_its_end_is_a_warning_for_a_person(
    plugin: Plugin, authority: Authority, *, interactive: bool, warned: bool
) -> None:
    plugin.exec_info = {**KUBECTL_SAYS, "spec": {"interactive": interactive}}
    ends = datetime.fromtimestamp(int(time.time()) + 7200, UTC)
    device = authority.issue(common_names=["laptop"], not_after=ends)
    certificate, key = device.write_to(plugin.directory, "device")
    done = plugin.run(f"--device-cert={certificate}", f"--device-key={key}")
    assert ("the device certificate ends in 119 minutes" in done.stderr) == warned


def test_an_ended_certificate_is_said_even_where_nobody_reads_it(
    plugin: Plugin, authority: Authority
) -> None:
    ended = datetime(2021, 1, 1, tzinfo=UTC)
    device = authority.issue(common_names=["laptop"], not_after=ended)
    certificate, key = device.write_to(plugin.directory, "device")
    before = time.time()
    done = plugin.run(f"--device-cert={certificate}", f"--device-key={key}")
    assert "the device certificate has ended" in done.stderr
    expires = json.loads(done.stdout)["status"]["expirationTimestamp"]
    assert datetime.fromisoformat(expires).timestamp() >= int(before)


def test_a_token_about_to_end_is_refreshed_without_a_tab(plugin: Plugin) -> None:
    plugin.token()
    plugin.change_entry(refresh_at=0)
    before = json.loads(plugin.entry_file.read_text())
    refreshes = plugin.refreshes
    token = plugin.token()
    assert plugin.refreshes == refreshes + 1
    assert plugin.tabs == 1
    assert read_claims(token)["sub"] == "alice"
    after = json.loads(plugin.entry_file.read_text())
    assert after["id_token"] == token
    assert after["refresh_token"] != before["refresh_token"], "the provider rotates it"
    assert after["refresh_at"] > time.time()


def test_a_refused_refresh_leads_to_a_new_sign_in(plugin: Plugin) -> None:
    plugin.token()
    plugin.change_entry(refresh_at=0, refresh_token="taken back by the provider")
    assert read_claims(plugin.token())["sub"] == "alice"
    assert plugin.tabs == 2


def test_a_client_with_a_secret_signs_in_and_refreshes(plugin: Plugin) -> None:
    secret = plugin.directory / "secret"
    secret.write_text(CONFIDENTIAL_CLIENT_SECRET + "\n")
    plugin.client_id = CONFIDENTIAL_CLIENT_ID
    plugin.arguments = (f"--client-secret-file={secret}",)
    plugin.token()
    plugin.change_entry(refresh_at=0)
    assert read_claims(plugin.token())["aud"] == CONFIDENTIAL_CLIENT_ID
    assert plugin.tabs == 1
    assert CONFIDENTIAL_CLIENT_SECRET not in plugin.entry_file.read_text()


def test_scopes_are_the_usual_ones_that_the_issuer_has_or_those_given(plugin: Plugin) -> None:
    plugin.token()
    plugin.token("--scope=openid", "--scope=email")
    asked = [event["scope"] for event in plugin.idp.events("authorization")[-2:]]
    assert asked == ["openid offline_access profile email groups", "openid email"]


def test_clusters_and_scopes_have_sign_ins_of_their_own(plugin: Plugin) -> None:
    plugin.token()
    plugin.token("--scope=email")
    plugin.exec_info = {**KUBECTL_SAYS, "spec": {"cluster": {"server": "https://other.test"}}}
    plugin.token()
    assert plugin.tabs == 3


def test_a_token_for_one_cluster_is_not_given_for_another(plugin: Plugin) -> None:
    said = failure(plugin, "--server=https://other.example.test")
    assert f"is for https://other.example.test, but kubectl talks to {SERVER}" in said
    assert plugin.tabs == 0


def test_a_sign_in_that_takes_too_long_says_so(plugin: Plugin) -> None:
    said = failure(plugin, f"--browser-command={NEVER_COMES_BACK}", "--timeout=1")
    assert said == "kzproxy: nobody signed in in the browser in time; run the command again"


def test_a_user_who_presses_cancel_is_told_what_the_issuer_said(plugin: Plugin) -> None:
    said = failure(plugin, f"--browser-command={plugin.browser_command} --deny")
    assert said == "kzproxy: the issuer refused: End-User aborted interaction"


def test_without_browser_and_terminal_nobody_is_asked(plugin: Plugin) -> None:
    said = failure(plugin, "--browser-command=")
    assert "neither a browser nor a terminal to ask at; run `kzproxy login` first" in said


def test_an_issuer_that_is_away_is_named(plugin: Plugin) -> None:
    plugin.idp = replace(plugin.idp, issuer="https://localhost:1")
    said = failure(plugin)
    assert "https://localhost:1/.well-known/openid-configuration cannot be reached" in said


def test_what_an_issuer_says_of_a_failure_cannot_command_the_terminal(
    plugin: Plugin, rude_issuer: RudeIssuer
) -> None:
    said = {"error": "server_error", "error_description": "down\x1b]0;title\x07\nnot you"}
    place = "/.well-known/openid-configuration"
    rude_issuer.answers(place, [Scripted.json(said, status=503)])
    plugin.idp = replace(plugin.idp, issuer=rude_issuer.issuer)
    assert failure(plugin).endswith("answers 503: down?]0;title??not you")


def test_an_issuer_that_is_away_costs_nothing_while_the_token_holds(
    plugin: Plugin, authority: Authority
) -> None:
    token = plugin.token()
    plugin.change_entry(refresh_at=0)
    plugin.ca_file = untrusted(plugin)
    assert plugin.token() == token
    plugin.change_entry(expires_at=int(time.time()))
    assert "cannot be reached" in failure(plugin)
    assert plugin.tabs == 1


def test_an_untrusted_certificate_says_how_to_trust_it(plugin: Plugin) -> None:
    plugin.ca_file = untrusted(plugin)
    assert "name that with --issuer-ca" in failure(plugin)


@pytest.mark.parametrize(
    ("exec_info", "said"),
    [
        ({"apiVersion": "client.authentication.k8s.io/v1beta1"}, "write client.authentication"),
        ({"kind": "Pod"}, "is not of kind ExecCredential"),
        ({"spec": []}, "has a spec of the wrong shape"),
        ({"spec": {"interactive": "yes"}}, "has a spec of the wrong shape"),
        ({"spec": {"cluster": "x"}}, "has a cluster of the wrong shape"),
    ],
)
def test_what_is_not_kubectls_question_is_refused_in_one_line(
    plugin: Plugin, exec_info: dict[str, object], said: str
) -> None:
    plugin.exec_info = {**KUBECTL_SAYS, **exec_info}
    assert said in failure(plugin)


def test_output_that_cannot_be_written_is_one_line(plugin: Plugin) -> None:
    plugin.token()
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            plugin.command(),
            cwd=ROOT,
            env=plugin.environ,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert (done.returncode, done.stderr) == (1, "kzproxy: No space left on device\n")


def test_an_argument_that_is_not_utf_8_is_one_line(plugin: Plugin) -> None:
    plugin.client_id = "\udcff"
    assert failure(plugin) == "kzproxy: '\\udcff' cannot be written in utf-8"


def test_help_helps(plugin: Plugin) -> None:
    done = plugin.run("--help")
    assert done.returncode == 0
    assert "--issuer URL" in done.stdout
    assert "kzproxy kubeconfig" in done.stdout


def test_a_wrong_option_is_one_line_that_names_the_right_ones(plugin: Plugin) -> None:
    said = failure(plugin, "--isuer=https://x")
    assert "unknown argument '--isuer'; allowed are --sign-in-url, --issuer" in said


def test_no_token_is_left_in_any_file_that_others_can_read(plugin: Plugin) -> None:
    token = plugin.token()
    for file in plugin.directory.rglob("*"):
        if file.is_file() and token in file.read_text(errors="replace"):
            assert file.stat().st_mode & 0o077 == 0, file
    assert plugin.cache.stat().st_mode & 0o777 == 0o700


def test_the_signature_is_left_to_kzproxy_but_the_token_is_whole(plugin: Plugin) -> None:
    header, _, signature = plugin.token().split(".")
    assert json.loads(base64.urlsafe_b64decode(header + "=="))["alg"] == "RS256"
    assert signature


def test_a_missing_device_key_is_found_before_anybody_is_asked(
    plugin: Plugin, authority: Authority
) -> None:
    certificate, _ = authority.device("laptop").write_to(plugin.directory, "device")
    missing = Path(plugin.directory) / "missing.key"
    said = failure(plugin, f"--device-cert={certificate}", f"--device-key={missing}")
    assert f"the device key {missing} cannot be opened: No such file or directory" in said
    assert plugin.tabs == 0
