"""An address does something so often, and its neighbours as often."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kzproxy.errors.kinds import TooManyRequests
from kzproxy.web.address_limits import AddressLimit
from tests.authentication.manual_clock import ManualClock


def limit(clock: ManualClock, each: int = 3, together: int = 100, share: int = 1) -> AddressLimit:
    return AddressLimit(
        clock,
        what="tries",
        each_per_minute=each,
        all_per_minute=together,
        share_per_minute=share,
    )


def tries(of: AddressLimit, address: str, count: int) -> int:
    """Return how many of ``count`` tries were let through."""
    passed = 0
    for _ in range(count):
        try:
            of.take(address)
        except TooManyRequests:
            continue
        passed += 1
    return passed


def test_so_many_and_no_more_until_time_has_passed():
    clock = ManualClock()
    limited = limit(clock)
    assert tries(limited, "192.0.2.1", 10) == 3
    assert tries(limited, "192.0.2.2", 10) == 3
    clock.advance(timedelta(seconds=20))
    assert tries(limited, "192.0.2.1", 10) == 1
    clock.advance(timedelta(hours=1))
    assert tries(limited, "192.0.2.1", 10) == 3


def test_an_ipv6_neighbourhood_is_one():
    limited = limit(ManualClock())
    assert tries(limited, "2001:db8::1", 2) + tries(limited, "2001:db8::ffff:1", 9) == 3
    assert tries(limited, "2001:db8:0:1::1", 9) == 3


def test_an_ipv4_address_in_ipv6_is_that_address():
    limited = limit(ManualClock())
    assert tries(limited, "::ffff:192.0.2.1", 2) + tries(limited, "192.0.2.1", 9) == 3
    assert tries(limited, "::ffff:192.0.2.2", 9) == 3


def test_all_together_have_a_limit_too():
    limited = limit(ManualClock(), each=10, together=25)
    assert sum(tries(limited, f"192.0.2.{n}", 10) for n in range(5)) == 25 + 2


def test_many_addresses_keep_nobody_from_their_share():
    clock = ManualClock()
    limited = limit(clock, each=10, together=25, share=2)
    for number in range(20):
        tries(limited, f"192.0.2.{number}", 10)
    assert tries(limited, "198.51.100.1", 10) == 2
    with pytest.raises(TooManyRequests, match="more than its share"):
        limited.check("198.51.100.1")
    clock.advance(timedelta(seconds=30))
    for number in range(20):
        tries(limited, f"192.0.2.{number}", 10)
    assert tries(limited, "198.51.100.1", 10) == 1


def test_many_neighbourhoods_of_one_site_have_one_share():
    limited = limit(ManualClock(), each=10, together=25, share=2)
    tries(limited, "192.0.2.1", 10)
    tries(limited, "192.0.2.2", 10)
    assert sum(tries(limited, f"2001:db8:1:{n:x}::1", 10) for n in range(100)) == 5
    assert tries(limited, "2001:db8:2::1", 10) == 2


def test_strangers_keep_nobody_out_who_is_known():
    limited = limit(ManualClock(), each=10, together=25)
    for number in range(5):
        tries(limited, f"192.0.2.{number}", 10)
    limited.take("198.51.100.1")
    with pytest.raises(TooManyRequests):
        limited.check("198.51.100.1")
    limited.check("198.51.100.1", is_known=True)


def test_who_is_known_has_the_limit_of_their_address():
    limited = limit(ManualClock(), each=2)
    assert tries(limited, "192.0.2.1", 3) == 2
    with pytest.raises(TooManyRequests):
        limited.check("192.0.2.1", is_known=True)


def test_the_refusal_says_what_and_when():
    limited = limit(ManualClock(), each=1)
    limited.take("192.0.2.1")
    with pytest.raises(TooManyRequests, match="too many tries from your address") as refused:
        limited.check("192.0.2.1")
    assert refused.value.retry_after_seconds == 60


def test_what_is_remembered_is_bounded():
    limited = limit(ManualClock(), together=10**9)
    for n in range(60_000):
        limited.count(f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}")
    assert len(limited._each) <= 50_000
    assert len(limited._share) <= 50_000


@given(address=st.text(max_size=80) | st.ip_addresses().map(str))
def test_any_address_is_one(address: str):
    limited = limit(ManualClock(), each=1)
    limited.take(address)
    with pytest.raises(TooManyRequests):
        limited.take(address)


def test_what_is_given_back_was_not_done_and_no_more_than_that():
    limited = limit(ManualClock(), together=4)
    for _ in range(10):
        limited.take("192.0.2.1")
        limited.give_back("192.0.2.1")
    limited.give_back("192.0.2.1")
    assert tries(limited, "192.0.2.1", 9) == 3
    assert tries(limited, "192.0.2.2", 9) == 1
