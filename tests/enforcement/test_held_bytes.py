"""What is held whole is bounded for each user, and in all."""

import pytest
from msgspec.structs import replace

from kzproxy.enforcement.held_bytes import HeldBytes
from kzproxy.errors.kinds import ServiceUnavailable, TooManyRequests
from tests.policy.samples import subject

ANN, BOB = subject("ann"), subject("bob")


def test_nobody_holds_more_than_their_share() -> None:
    held = HeldBytes("answers", max_bytes=100, max_bytes_each=10)
    one, two = held.of(ANN), held.of(ANN)
    one.hold(6)
    two.hold(4)
    with pytest.raises(TooManyRequests, match="10 bytes of answers") as refused:
        one.hold(7)
    assert refused.value.retry_after_seconds == 1
    held.of(BOB).hold(10)
    held.of(replace(ANN, issuer="https://other.example")).hold(10)


def test_all_hold_no_more_than_there_is() -> None:
    held = HeldBytes("answers", max_bytes=10, max_bytes_each=10)
    held.of(ANN).hold(6)
    with pytest.raises(ServiceUnavailable, match="answers"):
        held.of(BOB).hold(5)
    held.of(BOB).hold(4)


def test_what_is_held_no_more_makes_room() -> None:
    held = HeldBytes("answers", max_bytes=10, max_bytes_each=10)
    one, two = held.of(ANN), held.of(ANN)
    one.hold(10)
    one.hold(3)
    two.hold(7)
    two.let_go()
    one.hold(10)


def test_what_is_refused_changes_nothing_and_at_the_end_nothing_is_held() -> None:
    held = HeldBytes("answers", max_bytes=10, max_bytes_each=10)
    with held.of(ANN) as one:
        one.hold(5)
        with pytest.raises(TooManyRequests):
            one.hold(11)
        assert held._bytes == 5
    assert (held._bytes, held._of_each) == (0, {})
