"""Counting connections."""

import resource

import pytest

from kzproxy.transport.connection_limits import (
    ConnectionLimits,
    Excess,
    OpenConnections,
    connections_by_open_files,
)


def counting(connections: int, per_address: int) -> OpenConnections:
    return OpenConnections(
        ConnectionLimits(connections=connections, connections_per_address=per_address)
    )


def test_each_address_has_its_own_share() -> None:
    taken = counting(10, 2)

    assert [taken.admit("192.0.2.1") for _ in range(3)] == [None, None, Excess.ADDRESS]
    assert taken.admit("192.0.2.2") is None


def test_a_connection_that_ended_makes_room() -> None:
    taken = counting(10, 1)
    assert taken.admit("192.0.2.1") is None
    taken.release("192.0.2.1")

    assert taken.admit("192.0.2.1") is None


def test_all_together_have_a_bound() -> None:
    taken = counting(2, 2)

    assert [taken.admit(f"192.0.2.{n}") for n in range(3)] == [None, None, Excess.TOTAL]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        pytest.param("2001:db8::1", "2001:db8::ffff:2", True, id="one-site-of-ipv6"),
        pytest.param("2001:db8::1", "2001:db8:0:1::1", False, id="two-sites"),
        pytest.param("::ffff:192.0.2.1", "192.0.2.1", True, id="mapped-ipv4"),
        pytest.param("::ffff:192.0.2.1", "::ffff:192.0.2.2", False, id="two-mapped-ipv4"),
        pytest.param("fe80::1%eth0", "fe80::2%eth0", True, id="zone"),
    ],
)
def test_a_source_is_an_ipv4_address_or_an_ipv6_site(one: str, other: str, same: bool) -> None:
    taken = counting(10, 1)
    taken.admit(one)

    assert (taken.admit(other) is Excess.ADDRESS) is same


def test_what_was_turned_away_is_not_counted() -> None:
    taken = counting(1, 1)
    taken.admit("192.0.2.1")
    taken.admit("192.0.2.2")
    taken.release("192.0.2.1")

    assert taken.admit("192.0.2.1") is None


def test_room_is_kept_for_both_sides_of_each_connection_and_for_files() -> None:
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)

    assert connections_by_open_files() * 2 < files


@pytest.mark.parametrize("files", [1 << 20, 1 << 30, resource.RLIM_INFINITY])
def test_open_files_without_a_limit_worth_the_name_are_none_for_connections(
    files: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As containers have them; each connection takes memory too."""
    monkeypatch.setattr(resource, "getrlimit", lambda _: (files, files))

    assert connections_by_open_files() == 50_000
