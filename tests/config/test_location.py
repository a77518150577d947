"""``listen.clientAddress`` and ``location``."""

from ipaddress import ip_address
from pathlib import Path

import pytest
import yaml

from kzproxy.config.access_policy import load_access_policies
from kzproxy.config.document import Mistakes, read_document
from kzproxy.config.location import (
    ClientAddress,
    load_client_address,
    load_location,
    refuse_to_ask_for_unknown_places,
)
from kzproxy.location.settings import LocationSettings


def loaded(tmp_path: Path, content: object) -> tuple[ClientAddress, list[str]]:
    file = tmp_path / "a.yaml"
    file.write_text(yaml.safe_dump(content))
    mistakes = Mistakes()
    return load_client_address(read_document(file, mistakes)), [
        str(each) for each in mistakes.found
    ]


def test_without_it_a_connection_is_its_clients() -> None:
    assert load_client_address(None) == ClientAddress()
    assert ClientAddress().proxy_addresses is None
    assert ClientAddress().hop_addresses is None


@pytest.mark.parametrize("mode", ["proxyProtocol", "forwardedFor"])
def test_the_listed_are_believed_and_nobody_else(tmp_path: Path, mode: str) -> None:
    found, mistakes = loaded(tmp_path, {mode: {"from": ["192.0.2.0/24", "2001:db8::/32"]}})

    assert not mistakes
    listed, other = found.proxy_addresses, found.hop_addresses
    if mode == "forwardedFor":
        listed, other = other, listed
    assert other is None
    assert listed is not None
    assert listed.hold(ip_address("192.0.2.9"))
    assert not listed.hold(ip_address("198.51.100.9"))


@pytest.mark.parametrize(
    ("content", "part"),
    [
        ({}, "one of proxyProtocol and forwardedFor"),
        (
            {"proxyProtocol": {"from": ["192.0.2.0/24"]}, "forwardedFor": {"from": ["::1/128"]}},
            "one of",
        ),
        ({"proxyProtocol": {}}, "from must be set"),
        ({"proxyProtocol": {"from": []}}, "name address blocks"),
        ({"proxyProtocol": {"from": ["192.0.2.1"]}}, "needs a prefix length"),
        ({"forwardedFor": {"from": ["0.0.0.0/0"]}}, "everybody"),
        ({"forwardedFor": {"from": ["::/0"]}}, "everybody"),
        ({"forwardedFor": {"from": ["192.0.2.0/24"], "header": "X-Real-IP"}}, "unknown field"),
        ({"realIP": {"from": ["192.0.2.0/24"]}}, "unknown field"),
    ],
)
def test_what_would_believe_too_much_or_too_little_is_a_mistake(
    tmp_path: Path, content: object, part: str
) -> None:
    _, mistakes = loaded(tmp_path, content)

    assert any(part in each for each in mistakes), mistakes


def test_databases_are_files_beside_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "geo.mmdb").write_bytes(b"x")
    file = tmp_path / "a.yaml"
    file.write_text("database: geo.mmdb\n")
    mistakes = Mistakes()

    found = load_location(read_document(file, mistakes), tmp_path)

    assert not mistakes.found
    assert found == LocationSettings(database=tmp_path / "geo.mmdb")
    assert tmp_path / "geo.mmdb" in mistakes.sources.files, "a change of it is noticed"
    assert load_location(None, tmp_path) is None


@pytest.mark.parametrize(
    ("content", "part"),
    [("{}", "name database or asnDatabase"), ("asnDatabase: none.mmdb", "is not a file")],
)
def test_a_location_without_a_database_is_a_mistake(
    tmp_path: Path, content: str, part: str
) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(content)
    mistakes = Mistakes()
    load_location(read_document(file, mistakes), tmp_path)

    assert any(part in str(each) for each in mistakes.found)


POLICY = """
apiVersion: kzproxy.dev/v1
kind: AccessPolicy
metadata: {name: p}
%s
rules:
- id: r
  effect: allow
  subjects: {groups: [g]}
  match: [{verbs: [get], apiGroups: [""], resources: [pods]}]
  %s
"""


@pytest.mark.parametrize(
    ("definitions", "more", "part"),
    [
        ("", "conditions: {countries: [DE]}", "rule r asks for the country"),
        ("", "conditions: {asns: [1]}", "rule r asks for the autonomous system"),
        ("", "when: source.geoKnown", "rule r asks for the country"),
        ("", "when: source.asn == 1", "rule r asks for the autonomous system"),
        ("conditions: {c: {countries: [DE]}}", "conditions: {all: [c]}", "condition c asks"),
        ("tiers: [{level: 1, name: t, conditions: {asns: [1]}}]", "", "tier t asks"),
        ("", "conditions: {device: {enrolled: true}}", ""),
    ],
)
def test_a_rule_that_asks_what_no_database_says_is_a_mistake(
    tmp_path: Path, definitions: str, more: str, part: str
) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text(POLICY % (definitions, more))
    mistakes = Mistakes()
    policy = load_access_policies([file], mistakes)
    node = read_document(file, mistakes)
    assert not mistakes.found
    both = LocationSettings(database=file, asn_database=file)
    refuse_to_ask_for_unknown_places(policy, both, node)
    assert not mistakes.found

    refuse_to_ask_for_unknown_places(policy, None, node)

    found = [str(each) for each in mistakes.found]
    assert bool(found) is bool(part)
    assert all(part in each and "set location." in each for each in found)


@pytest.mark.parametrize(
    ("countries", "part"),
    [
        ("[de]", "two capital letters"),
        ("[DEU]", "two capital letters"),
        ("[UK]", "write GB"),
        ("[NO]", 'write "NO" in quotes'),
        ("[]", "name countries"),
        ("DE", "must be a list"),
    ],
)
def test_countries_are_written_in_one_way(tmp_path: Path, countries: str, part: str) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text(POLICY % ("", f"conditions: {{countries: {countries}}}"))
    mistakes = Mistakes()
    load_access_policies([file], mistakes)

    assert any(part in str(each) for each in mistakes.found), mistakes.found


@pytest.mark.parametrize("asns", ["[0]", "[4294967296]", '["AS64500"]', "[]"])
def test_autonomous_systems_are_numbers(tmp_path: Path, asns: str) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text(POLICY % ("", f"conditions: {{asns: {asns}}}"))
    mistakes = Mistakes()
    load_access_policies([file], mistakes)

    assert mistakes.found
