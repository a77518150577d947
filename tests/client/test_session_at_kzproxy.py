"""kzproxy's own client at kzproxy's own sign-in, without a cluster behind."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.proxy.session_member import Member
from tests.proxy.sign_in_world import SignInWorld, running_sign_in_world
from tests.servers.authority import Authority
from tests.servers.scripted_api_server import scripted_api_server


@contextmanager
def sign_in_world(directory: Path, **changes: Any) -> Iterator[SignInWorld]:
    authority = Authority.root()
    with (
        scripted_api_server(directory, authority) as api_server,
        running_sign_in_world(directory, authority, api_server.upstream(), **changes) as world,
    ):
        yield world


@pytest.fixture(scope="module")
def management() -> Authority:
    """The authority of an MDM, which gives machines certificates."""
    return Authority.root("MDM")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, management: Authority) -> Iterator[SignInWorld]:
    directory = tmp_path_factory.mktemp("issuing")
    (directory / "mdm-ca.crt").write_bytes(management.pem)
    devices = {
        "certificateAuthorityFile": "device-ca.crt",
        "managedAuthorityFile": "mdm-ca.crt",
        "issuing": {"certificateFile": "issuing.crt", "privateKeyFile": "issuing.key"},
    }
    with sign_in_world(directory, devices=devices) as running:
        yield running


@pytest.fixture(scope="module")
def world_without_issuing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SignInWorld]:
    directory = tmp_path_factory.mktemp("not-issuing")
    devices = {"certificateAuthorityFile": "device-ca.crt"}
    with sign_in_world(directory, devices=devices) as running:
        yield running


def with_device(world: SignInWorld, home: Path, authority: Authority) -> Member:
    """Return somebody whose laptop has a certificate that kzproxy did not issue."""
    certificate, key = authority.device("laptop-7").write_to(home, "device")
    return Member.of(world, home, f"--device-cert={certificate}", f"--device-key={key}")


def renewed(member: Member) -> dict[str, Any]:
    """Have the next command renew the token; return the session that is kept then."""
    entry = json.loads(member.entry_file.read_text())
    member.entry_file.write_text(json.dumps(entry | {"refresh_at": 0}))
    assert member.runs("sessions", "list").returncode == 0
    after = json.loads(member.entry_file.read_text())["session"]
    assert after["token"] != entry["session"]["token"]
    return dict(after)


def test_a_session_is_begun_renewed_and_ended(world: SignInWorld, tmp_path: Path) -> None:
    member = Member.of(world, tmp_path)
    member.signs_in()
    session = renewed(member)
    assert session["username"] == "idp:operator"
    asked = member.runs("whoami", "--ask", "-o", "json")
    assert json.loads(asked.stdout)["id"] == session["id"], asked.stderr
    assert member.runs("logout").stderr == "Signed out here and at kzproxy.\n"
    [ended] = world.events("auth.sign-out")
    assert ended["user"]["name"] == "idp:operator"


def test_the_machines_posture_is_taken_at_a_renewal(world: SignInWorld, tmp_path: Path) -> None:
    member = Member.of(world, tmp_path)
    member.signs_in()
    for _ in range(2):
        assert renewed(member)["posture_error"] == ""


def test_who_ends_their_own_session_is_not_asked_to_sign_in(
    world: SignInWorld, tmp_path: Path
) -> None:
    (tmp_path / "office").mkdir()
    member = Member.of(world, tmp_path)
    member.signs_in()
    session = json.loads(member.entry_file.read_text())["session"]["id"]
    done = member.runs("sessions", "revoke", session)
    assert "signing in" not in done.stderr
    office = Member.of(world, tmp_path / "office")
    office.signs_in()
    listed = office.runs("sessions", "list", "--ended", "-o", "json")
    [ended] = [one for one in json.loads(listed.stdout)["sessions"] if one["id"] == session]
    assert not ended["holds"]


def test_signing_in_again_goes_on_in_the_same_session(world: SignInWorld, tmp_path: Path) -> None:
    member = Member.of(world, tmp_path)
    member.signs_in()
    before = json.loads(member.entry_file.read_text())["session"]
    member.signs_in("--max-age", "0s")
    after = json.loads(member.entry_file.read_text())["session"]
    assert after["id"] == before["id"]
    assert after["token"] != before["token"]


def test_an_approved_device_is_one_in_the_session_that_there_is(
    world: SignInWorld, tmp_path: Path
) -> None:
    member = Member.of(world, tmp_path)
    member.signs_in()
    before = json.loads(member.entry_file.read_text())["session"]
    enrolled = member.runs("device", "enroll", "-o", "json")
    device = json.loads(enrolled.stdout)["id"]
    assert member.runs("device", "approve", device).returncode == 0
    assert member.runs("device", "enroll").returncode == 0
    after = json.loads(member.entry_file.read_text())["session"]
    assert after["id"] == before["id"]
    said = member.runs("whoami").stdout
    assert f"  device       urn:kzproxy:device:{device}" in said.splitlines()


def test_without_issuing_a_client_brings_its_certificate(
    world_without_issuing: SignInWorld, tmp_path: Path
) -> None:
    member = with_device(world_without_issuing, tmp_path, world_without_issuing.devices)
    member.signs_in()
    assert renewed(member)["certificate"] == (tmp_path / "device.crt").read_text()
    assert "urn:kzproxy:device:laptop-7" in member.runs("whoami").stdout


def test_without_issuing_a_client_that_brings_none_is_told(
    world_without_issuing: SignInWorld, tmp_path: Path
) -> None:
    member = Member.of(world_without_issuing, tmp_path)
    process = member.starts("login")
    with world_without_issuing.browser() as browser:
        end = browser.walk(member.pipe.url())
        assert isinstance(end, str)
        assert "issues no certificates" in browser.get(end).text
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "sign in with your device's certificate and its key (`--device-cert`" in err


def test_a_certificate_that_is_brought_is_kept_although_kzproxy_issues_some(
    world: SignInWorld, management: Authority, tmp_path: Path
) -> None:
    """A session on a managed machine: its connections have to show that it is one."""
    member = with_device(world, tmp_path, management)
    member.signs_in()
    assert renewed(member)["certificate"] == (tmp_path / "device.crt").read_text()
