"""What the tests of the user's side share: an authority and a provider that is not ours."""

import pwd
from collections.abc import Iterator
from pathlib import Path

import pytest

from kzproxy.client.issuer_http import IssuerHttp
from tests.client.plugin_runs import Plugin
from tests.client.rude_issuer import RudeIssuer, running_rude_issuer
from tests.client.stepping_clock import SteppingClock
from tests.servers.authority import Authority
from tests.servers.foreign_idp.process import ForeignIdp, running_foreign_idp


@pytest.fixture(scope="session")
def authority() -> Authority:
    return Authority.root("the provider's root")


@pytest.fixture(scope="session")
def ca_file(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("authority") / "ca.crt"
    path.write_bytes(authority.pem)
    return path


@pytest.fixture(scope="session")
def foreign_idp(
    authority: Authority, ca_file: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ForeignIdp]:
    directory = tmp_path_factory.mktemp("foreign-idp")
    certificate, key = authority.server("localhost", "127.0.0.1").write_to(directory, "idp")
    with running_foreign_idp(
        directory, certificate_file=certificate, private_key_file=key, ca_file=ca_file
    ) as idp:
        yield idp


@pytest.fixture
def plugin(foreign_idp: ForeignIdp, tmp_path: Path) -> Plugin:
    return Plugin(idp=foreign_idp, directory=tmp_path)


@pytest.fixture
def stepping_clock() -> SteppingClock:
    return SteppingClock()


@pytest.fixture
def rude_issuer(tmp_path: Path, authority: Authority) -> Iterator[RudeIssuer]:
    with running_rude_issuer(tmp_path, authority) as issuer:
        yield issuer


@pytest.fixture
def http(ca_file: Path, stepping_clock: SteppingClock) -> Iterator[IssuerHttp]:
    opened = IssuerHttp(str(ca_file), stepping_clock)
    yield opened
    opened.close()


@pytest.fixture
def homeless(monkeypatch: pytest.MonkeyPatch) -> None:
    """Be a user of whom the machine knows no more than a number, as in some containers."""

    def unknown(uid: int) -> pwd.struct_passwd:
        raise KeyError(uid)

    monkeypatch.delenv("HOME")
    monkeypatch.setattr(pwd, "getpwuid", unknown)
