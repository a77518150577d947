"""The ``signIn`` section."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from kzproxy.authentication.settings import JwtIssuerSettings, PrefixedClaim
from kzproxy.config.addresses import Address
from kzproxy.config.document import Mistakes, read_document
from kzproxy.config.sign_in import SignInSettings, load_sign_in
from kzproxy.errors.configuration import ConfigurationError
from kzproxy.transport.tls import ListenerTls

IDP = "https://idp.example.com"
ISSUERS = (
    JwtIssuerSettings(
        url=IDP, audiences=("kubernetes",), username=PrefixedClaim(claim="sub", prefix="idp:")
    ),
)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    for name in ("tls.crt", "tls.key", "own.crt", "own.key", "device-ca.crt", "idp.secret"):
        (tmp_path / name).write_text("x")
    return tmp_path


def api(directory: Path, *, devices: bool = True) -> ListenerTls:
    return ListenerTls(
        certificate_file=directory / "tls.crt",
        private_key_file=directory / "tls.key",
        device_authority_file=directory / "device-ca.crt" if devices else None,
    )


def section(**changes: Any) -> dict[str, Any]:
    usual: dict[str, Any] = {
        "address": "0.0.0.0:8444",
        "url": "https://kzproxy.example.com:8444",
        "providers": [{"issuer": IDP, "clientID": "kz", "clientSecretFile": "idp.secret"}],
    }
    return {name: value for name, value in (usual | changes).items() if value is not None}


def load(directory: Path, *, devices: bool = True, **changes: Any) -> SignInSettings:
    file = directory / "section.yaml"
    file.write_text(yaml.safe_dump(section(**changes)))
    mistakes = Mistakes()
    settings = load_sign_in(
        read_document(file, mistakes), ISSUERS, directory, api(directory, devices=devices)
    )
    mistakes.raise_if_any()
    return settings


def test_it_shows_what_the_api_listener_shows(directory: Path):
    settings = load(directory)
    assert settings.address == Address(host="0.0.0.0", port=8444)
    assert settings.url == "https://kzproxy.example.com:8444"
    assert settings.tls == api(directory)
    assert [one.client_id for one in settings.providers] == ["kz"]


def test_it_may_show_a_certificate_of_its_own(directory: Path):
    settings = load(directory, certificateFile="own.crt", privateKeyFile="own.key")
    assert settings.tls.certificate_file == directory / "own.crt"
    assert settings.tls.private_key_file == directory / "own.key"
    assert settings.tls.device_authority_file == directory / "device-ca.crt"


def mistake_of(directory: Path, *, devices: bool = True, **changes: Any) -> str:
    with pytest.raises(ConfigurationError) as refused:
        load(directory, devices=devices, **changes)
    return "\n".join(str(one) for one in refused.value.mistakes)


@pytest.mark.parametrize(
    "url",
    [
        "http://kzproxy.example.com",
        "https://kzproxy.example.com/",
        "https://kzproxy.example.com/sign-in",
        "https://kzproxy.example.com?x",
        "https://kzproxy.example.com#x",
        "https://user@kzproxy.example.com",
        "https://KZPROXY.example.com",
        "https://kzproxy.example.com:x",
        "https://",
        "kzproxy.example.com",
    ],
)
def test_the_url_has_one_spelling(directory: Path, url: str):
    assert "must be https://NAME" in mistake_of(directory, url=url)


def test_the_usual_port_is_left_out_as_browsers_do(directory: Path):
    assert "leave the port out" in mistake_of(directory, url="https://kzproxy.example.com:443")
    assert load(directory, url="https://kzproxy.example.com").url == "https://kzproxy.example.com"


def test_sessions_need_client_certificates(directory: Path):
    said = mistake_of(directory, devices=False)
    assert "needs devices.certificateAuthorityFile" in said


def test_a_certificate_needs_its_key(directory: Path):
    assert "or neither" in mistake_of(directory, certificateFile="own.crt")


@pytest.mark.parametrize("name", ["address", "url", "providers"])
def test_what_must_be_there_is_asked_for(directory: Path, name: str):
    assert name in mistake_of(directory, **{name: None})
