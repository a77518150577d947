"""The ``devices`` section."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from kzproxy.config.devices import DeviceSettings, load_devices
from kzproxy.config.document import Mistakes, read_document
from kzproxy.devices.enrolment_settings import EnrolmentSettings
from kzproxy.errors.configuration import ConfigurationError

ISSUING = {"certificateFile": "ca.crt", "privateKeyFile": "ca.key"}


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    for name in ("ca.crt", "ca.key", "mdm.crt"):
        (tmp_path / name).write_text("x")
    return tmp_path


def load(
    directory: Path, section: Any, *, has_store: bool = True, has_sign_in: bool = True
) -> DeviceSettings:
    file = directory / "section.yaml"
    file.write_text(yaml.safe_dump(section))
    mistakes = Mistakes()
    settings = load_devices(
        read_document(file, mistakes), directory, has_store=has_store, has_sign_in=has_sign_in
    )
    mistakes.raise_if_any()
    return settings


def test_without_the_section_nobody_vouches_for_devices(directory: Path) -> None:
    settings = load_devices(None, directory, has_store=False, has_sign_in=False)
    assert settings == DeviceSettings()


def test_every_field_is_read(directory: Path) -> None:
    settings = load(
        directory,
        {
            "certificateAuthorityFile": "ca.crt",
            "managedAuthorityFile": "mdm.crt",
            "issuing": ISSUING | {"hours": 8},
            "enrolment": {"approveGroups": ["oidc:platform"], "perUser": 2},
        },
    )
    assert settings.authority_file == directory / "ca.crt"
    assert settings.managed_authority_file == directory / "mdm.crt"
    assert settings.issuing is not None
    assert settings.issuing.private_key_file == directory / "ca.key"
    assert settings.issuing.lifetime == timedelta(hours=8)
    assert settings.enrolment == EnrolmentSettings(
        approve_groups=frozenset({"oidc:platform"}), per_user=2
    )


def test_what_is_left_out_has_its_default(directory: Path) -> None:
    settings = load(directory, {"certificateAuthorityFile": "ca.crt", "issuing": ISSUING})
    assert settings.issuing is not None
    assert settings.issuing.lifetime == timedelta(hours=24)
    assert settings.enrolment == EnrolmentSettings()


def test_an_mdm_alone_may_vouch_for_devices(directory: Path) -> None:
    section = {"managedAuthorityFile": "mdm.crt"}
    settings = load(directory, section, has_store=False, has_sign_in=False)
    assert (settings.authority_file, settings.issuing) == (None, None)


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ({}, "set certificateAuthorityFile or managedAuthorityFile"),
        ({"certificateAuthorityFile": "none.crt"}, "is not a file"),
        ({"managedAuthorityFile": "mdm.crt", "issuing": ISSUING}, "needs certificateAuthorityFile"),
        ({"certificateAuthorityFile": "ca.crt", "enrolment": {}}, "needs issuing"),
        (
            {"certificateAuthorityFile": "ca.crt", "issuing": ISSUING | {"hours": 0}},
            "1 to 168",
        ),
        (
            {"certificateAuthorityFile": "ca.crt", "issuing": ISSUING | {"hours": 169}},
            "1 to 168",
        ),
        (
            {"certificateAuthorityFile": "ca.crt", "issuing": {"certificateFile": "ca.crt"}},
            "privateKeyFile",
        ),
        ({"certificateAuthorityFile": "ca.crt", "colour": "red"}, "colour"),
    ],
)
def test_mistakes_are_said(directory: Path, section: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        load(directory, section)
    assert said in "; ".join(str(mistake) for mistake in raised.value.mistakes)


def test_issuing_needs_a_store(directory: Path) -> None:
    section = {"certificateAuthorityFile": "ca.crt", "issuing": ISSUING}
    with pytest.raises(ConfigurationError, match="needs a store"):
        load(directory, section, has_store=False)


def test_issuing_needs_a_listener_where_devices_enrol(directory: Path) -> None:
    """Only what is enrolled is a device then, so nobody would have one."""
    section = {"certificateAuthorityFile": "ca.crt", "issuing": ISSUING}
    with pytest.raises(ConfigurationError, match="needs signIn"):
        load(directory, section, has_sign_in=False)
