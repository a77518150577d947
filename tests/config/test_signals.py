"""The ``signals`` section."""

from pathlib import Path

import pytest

from kzproxy.authentication.settings import JwtIssuerSettings, PrefixedClaim
from kzproxy.config.document import Mistakes, read_document
from kzproxy.config.signals import SignalSettings, load_signals
from tests.config.documents import lines, write

IDP = "https://idp.example.com"
ISSUERS = tuple(
    JwtIssuerSettings(url=url, audiences=("a",), username=PrefixedClaim(claim="sub", prefix=""))
    for url in (IDP, "https://other.example.com")
)
STREAM = """
streams:
- name: okta
  issuer: https://idp.example.com
  audience: https://kzproxy.example.com
  authorizationFile: okta.authorization
"""


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "okta.authorization").write_text("Bearer 0123456789abcdef\n")
    (tmp_path / "short").write_text("Bearer x")
    (tmp_path / "two-lines").write_text("Bearer 0123456789\nabcdef0123456789")
    return tmp_path


def load(directory: Path, text: str) -> tuple[SignalSettings, list[str]]:
    mistakes = Mistakes()
    document = read_document(write(directory, text), mistakes)
    return load_signals(document, directory, ISSUERS), lines(mistakes)


def test_a_stream_of_an_issuer_speaks_of_its_users(directory: Path) -> None:
    settings, mistakes = load(directory, STREAM + "backChannelLogout: true\n")
    assert mistakes == []
    assert settings.back_channel_logout
    (stream,) = settings.streams
    assert stream.source.users_of == (IDP,)
    assert not stream.source.tenant_wide
    assert stream.authorization == "Bearer 0123456789abcdef"
    assert "0123456789" not in repr(settings)
    assert stream.transmitter.algorithms == {"RS256"}
    assert (
        stream.transmitter.discovery_document_url
        == "https://idp.example.com/.well-known/ssf-configuration"
    )


def test_the_discovery_document_is_between_host_and_path(directory: Path) -> None:
    text = STREAM.replace(IDP, f"{IDP}/realms/acme/")
    (stream,) = load(directory, text)[0].streams
    assert (
        stream.transmitter.discovery_document_url
        == f"{IDP}/.well-known/ssf-configuration/realms/acme"
    )
    assert stream.source.users_of == ()


def test_everything_can_be_said(directory: Path) -> None:
    more = """
  usersOf: [https://other.example.com]
  jwksURL: https://idp.example.com/keys
  algorithms: [RS256, ES256]
  allowTenantWide: true
  subjectInEvent: true
  criticalSubjectMembers: [user, group]
  verificationState: s3cret
"""
    settings, mistakes = load(directory, STREAM.rstrip() + more)
    assert mistakes == []
    (stream,) = settings.streams
    assert stream.source.users_of == ("https://other.example.com",)
    assert stream.source.tenant_wide
    assert stream.transmitter.key_set_url == "https://idp.example.com/keys"
    assert stream.transmitter.algorithms == {"RS256", "ES256"}
    assert stream.transmitter.subject_in_event
    assert stream.critical_members == {"user", "group"}
    assert stream.state == "s3cret"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("name: okta", "name: Okta"), "lower-case"),
        (("name: okta", "name: a/b"), "lower-case"),
        (("issuer: https", "issuer: http"), "must be an https URL"),
        (("okta.authorization", "no.authorization"), "is not a file"),
        (("okta.authorization", "short"), "from 16 to 4096 characters"),
        (("okta.authorization", "two-lines"), "must hold one line"),
        (("  audience:", "  usersOf: [https://x.example]\n  audience:"), "is no issuer"),
        (("  audience:", "  algorithms: [HS256]\n  audience:"), "HS256"),
        (("  audience:", "  algorithms: [none]\n  audience:"), "none"),
        (("  audience:", "  algorithms: []\n  audience:"), "must not be empty"),
        (("  audience:", "  usersOf: []\n  audience:"), "must not be empty"),
        (("  audience:", '  jwksURL: "https://["\n  audience:'), "must be an https URL"),
        (("  audience:", "  jwksURL: https://\n  audience:"), "must be an https URL"),
        (("  audience:", "  jwksURL: https://x:99999/k\n  audience:"), "must be an https URL"),
        (("issuer: https://idp.example.com", 'issuer: "https://["'), "must be an https URL"),
        (("  audience:", "  criticalSubjectMembers: [x]\n  audience:"), "is not one of"),
        (("  audience: https://kzproxy.example.com\n", ""), "audience must be set"),
    ],
)
def test_what_is_wrong_is_named(directory: Path, change: tuple[str, str], said: str) -> None:
    _, mistakes = load(directory, STREAM.replace(*change))
    assert len(mistakes) == 1
    assert said in mistakes[0]


def test_two_streams_need_two_names(directory: Path) -> None:
    _, mistakes = load(directory, STREAM + STREAM.partition("streams:\n")[2])
    assert len(mistakes) == 2
    assert "several streams are named okta" in mistakes[0]
