"""``listen.clientAddress`` and ``location``."""

from ipaddress import ip_address
from pathlib import Path

import pytest
import yaml

from kzproxy.config.document import Mistakes, read_document
from kzproxy.config.location import ClientAddress, load_client_address


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
