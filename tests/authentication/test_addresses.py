"""Where a document that an issuer serves may send kzproxy."""

from ipaddress import ip_address

import pytest

from kzproxy.authentication.addresses import is_internal, may_be_sent_to

PUBLIC = [ip_address("93.184.216.34"), ip_address("2606:2800:220:1::1")]
LOOPBACK = [ip_address("127.0.0.1")]
PRIVATE = [ip_address("10.1.2.3")]


@pytest.mark.parametrize(
    "target",
    [
        "127.0.0.1",
        "127.8.8.8",
        "::1",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "100.100.100.200",
        "169.254.169.254",
        "fe80::1",
        "fd00:ec2::254",
        "::ffff:169.254.169.254",
        "::ffff:10.0.0.1",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b::a00:1",
        "0.0.0.0",
        "::",
        "224.0.0.1",
        "ff02::1",
        "255.255.255.255",
        "240.0.0.1",
    ],
)
def test_e6_4_a_public_issuer_cannot_send_kzproxy_inside(target):
    assert not may_be_sent_to([ip_address(target)], PUBLIC)


@pytest.mark.parametrize(
    "target", ["169.254.169.254", "fe80::1", "::ffff:169.254.169.254", "0.0.0.0"]
)
@pytest.mark.parametrize("issuer", [LOOPBACK, PRIVATE, PUBLIC])
def test_e6_4_nobody_can_send_kzproxy_to_the_metadata_service(target, issuer):
    assert not may_be_sent_to([ip_address(target)], issuer)


def test_an_issuer_inside_may_keep_its_keys_inside():
    assert may_be_sent_to(PRIVATE, PRIVATE)
    assert may_be_sent_to(LOOPBACK, LOOPBACK)


def test_a_public_issuer_may_keep_its_keys_at_another_public_host():
    assert may_be_sent_to([ip_address("8.8.8.8")], PUBLIC)


def test_one_internal_address_among_public_ones_is_enough_to_refuse():
    assert not may_be_sent_to([*PUBLIC, *PRIVATE], PUBLIC)


def test_an_issuer_that_is_also_public_does_not_count_as_inside():
    assert not may_be_sent_to(PRIVATE, [*PRIVATE, *PUBLIC])


def test_a_host_without_address_is_refused():
    assert not may_be_sent_to([], PUBLIC)
    assert not may_be_sent_to(PRIVATE, [])


def test_an_address_wrapped_in_ipv6_counts_as_what_it_wraps():
    assert is_internal(ip_address("::ffff:127.0.0.1"))
    assert not is_internal(ip_address("64:ff9b::808:808"))
