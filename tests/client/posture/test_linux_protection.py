import pytest

from kzproxy.client.posture.commands import Said
from kzproxy.client.posture.finding import Unknowable
from kzproxy.client.posture.linux_protection import edr_running, firewall
from tests.client.posture.machines import Answers, Systemd


@pytest.mark.parametrize("name", ["nftables", "firewalld", "iptables", "netfilter-persistent"])
def test_an_active_service_is_a_firewall(tree, name):
    found = firewall(tree.machine(Systemd(name)))

    assert (found.value, found.details) == (True, {"name": name})


def test_without_any_there_is_none(tree):
    assert firewall(tree.machine(Systemd())).value is False


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("ENABLED=yes\n", True),
        ('# a comment\n  enabled="yes"\nLOGLEVEL=low\n', True),
        ("ENABLED=no\n", False),
        ("#ENABLED=yes\n", False),
        ("", False),
    ],
)
def test_ufw_counts_where_it_is_switched_on(tree, text, value):
    tree.write("/etc/ufw/ufw.conf", text)

    assert firewall(tree.machine(Systemd("ufw"))).value is value


def test_ufw_without_a_file_that_can_be_read_cannot_be_told(tree):
    with pytest.raises(Unknowable, match=r"ufw\.conf"):
        firewall(tree.machine(Systemd("ufw")))


def test_a_known_agent_is_endpoint_protection(tree):
    found = edr_running(tree.machine(Systemd("mdatp")))

    assert (found.value, found.details) == (True, {"name": "mdatp"})


def test_an_agent_that_is_not_known_is_none(tree):
    assert edr_running(tree.machine(Systemd("other-agent"))).value is False


@pytest.mark.parametrize(
    "output", ["", "active", "hello\n" * 4, "System has not been booted with systemd\n", "\0" * 99]
)
def test_an_answer_that_is_none_cannot_be_told(tree, output):
    words = ("systemctl", "is-active", "--", "falcon-sensor", "mdatp", "sentinelone", "wazuh-agent")

    with pytest.raises(Unknowable, match="systemd"):
        edr_running(tree.machine(Answers({words: Said(code=1, output=output)})))


def test_without_systemd_it_cannot_be_told(tree):
    with pytest.raises(Unknowable, match="no program systemctl"):
        edr_running(tree.machine())
