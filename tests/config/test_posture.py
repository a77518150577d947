"""The ``posture`` section: read, or every mistake in it named with its place."""

from datetime import timedelta

import pytest

from kzproxy.config.document import Mistakes, read_document
from kzproxy.config.posture import load_posture
from kzproxy.errors.configuration import ConfigurationError
from kzproxy.posture.settings import MappedCheck, PostureSettings
from kzproxy.posture.source import SourceKind
from tests.servers.authority import Authority

WHOLE = """\
ttlSeconds: {firewall: 600, default: 1800}
patchDays: 14
screenLockSeconds: 900
providers:
- name: mdm
  kind: mdm
  url: https://mdm.example.com/devices/{serial}?full=1
  headersFile: headers
  certificateAuthorityFile: ca.crt
  everySeconds: 60
  mapping:
    observedAt: /seen
    os: /os/id
    osVersion: /os/version
    checks:
      disk_encrypted: {pointer: /disk/encrypted, passed: [true, "yes", 1], failed: [false, null]}
      managed: {pointer: /enrolled, passed: [true]}
"""
MINIMAL = """\
providers:
- {name: %s, kind: %s, url: "%s", mapping: {checks: {managed: {pointer: %s, passed: %s}}}}
"""


def loaded(directory, text, *, has_store=True):
    file = directory / "posture.yaml"
    file.write_text(text)
    mistakes = Mistakes()
    settings = load_posture(read_document(file, mistakes), directory, has_store=has_store)
    mistakes.raise_if_any()
    return settings


def mistakes_of(directory, text, **more):
    with pytest.raises(ConfigurationError) as refused:
        loaded(directory, text, **more)
    return [mistake.message for mistake in refused.value.mistakes]


def test_a_whole_section_is_read(tmp_path):
    (tmp_path / "headers").write_text("Authorization: Bearer x\n")
    (tmp_path / "ca.crt").write_bytes(Authority.root().pem)

    settings = loaded(tmp_path, WHOLE)

    assert settings.ttl_of("firewall") == timedelta(minutes=10)
    assert settings.ttl_of("patched") == timedelta(minutes=30)
    assert settings.ttl_of("disk_encrypted") == timedelta(hours=24)
    assert (settings.patch_days, settings.screen_lock) == (14, timedelta(minutes=15))
    (provider,) = settings.providers
    assert (provider.name, provider.kind) == ("mdm", SourceKind.MDM)
    assert provider.every == timedelta(minutes=1)
    assert dict(provider.checks) == {
        "disk_encrypted": MappedCheck(
            pointer="/disk/encrypted", passed=(True, "yes", 1), failed=(False, None)
        ),
        "managed": MappedCheck(pointer="/enrolled", passed=(True,)),
    }


def test_without_the_section_the_defaults_hold():
    settings = load_posture(None, None, has_store=False)

    assert settings == PostureSettings()
    assert settings.ttl_of("edr_running") == timedelta(minutes=15)
    assert settings.ttl_of("screen_lock") == timedelta(hours=1)


def test_posture_needs_a_store(tmp_path):
    (mistake,) = mistakes_of(tmp_path, "patchDays: 3\n", has_store=False)

    assert "store.file" in mistake


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/d/{id}", "https://m.example.com/?d={serial}"])
def test_a_url_may_be_https_or_of_this_machine(tmp_path, url):
    text = MINIMAL % ("edr", "edr", url, "/a", "[true]")

    assert loaded(tmp_path, text).providers[0].url == url


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (("Mdm", "mdm", "https://m/{id}", "/a", "[true]"), "small letters"),
        (("self", "mdm", "https://m/{id}", "/a", "[true]"), 'not "self"'),
        (("mdm", "tpm", "https://m/{id}", "/a", "[true]"), "is not one of mdm, edr"),
        (("mdm", "mdm", "http://m/{id}", "/a", "[true]"), "must be an https URL"),
        (("mdm", "mdm", "https://[/{id}", "/a", "[true]"), "is not a URL"),
        (("mdm", "mdm", "https://m/devices", "/a", "[true]"), "which device is asked about"),
        (("mdm", "mdm", "https://{id}.m/d", "/a", "[true]"), "which device is asked about"),
        (("mdm", "mdm", "https://u:p@m/{id}", "/a", "[true]"), "headersFile"),
        (("mdm", "mdm", "https://m/{id}", "a", "[true]"), "must begin with /"),
        (("mdm", "mdm", "https://m/{id}", "/a", "[]"), "must not be empty"),
        (("mdm", "mdm", "https://m/{id}", "/a", "[[1]]"), "must be a text, a number"),
        (("mdm", "mdm", "https://m/{id}", "/a", "[1], failed: [1]"), "both passed and failed"),
    ],
)
def test_a_mistake_in_a_provider_is_named(tmp_path, values, said):
    (mistake,) = mistakes_of(tmp_path, MINIMAL % values)

    assert said in mistake


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("ttlSeconds: {Firewall: 5}\n", "is no check"),
        ("ttlSeconds: {firewall: 0}\n", "from 1 to"),
        ("patchDays: -1\n", "from 0 to"),
        ("ttlSecond: {}\n", "did you mean ttlSeconds?"),
    ],
)
def test_another_mistake_is_named(tmp_path, text, said):
    (mistake,) = mistakes_of(tmp_path, text)

    assert said in mistake


def test_two_providers_of_one_name_are_a_mistake(tmp_path):
    one = MINIMAL % ("mdm", "mdm", "https://m/{id}", "/a", "[true]")
    two = one + one.partition("\n")[2]

    assert mistakes_of(tmp_path, two) == ["there is a provider mdm already"]


def test_a_file_that_is_no_authority_is_a_mistake(tmp_path):
    (tmp_path / "headers").write_text("A: b\n")
    (tmp_path / "ca.crt").write_text("nonsense")

    assert mistakes_of(tmp_path, WHOLE) == ["is not a bundle of CA certificates in PEM"]
